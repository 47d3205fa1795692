package p2p

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"errors"
	"math/big"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	"github.com/libp2p/go-libp2p/core/sec"
	upgrader "github.com/libp2p/go-libp2p/p2p/net/upgrader"
	libp2ptls "github.com/libp2p/go-libp2p/p2p/security/tls"
	"github.com/libp2p/go-libp2p/p2p/transport/tcp"

	"grapevine/p2p/wire"
)

// early secures connections as a peer does whose clock is two hours ahead.
type early struct{ identity *libp2ptls.Identity }

func newEarly(_ protocol.ID, key crypto.PrivKey, _ []upgrader.StreamMuxer) (*early, error) {
	begin := time.Now().Add(2*time.Hour - time.Hour) // as libp2p makes them
	id, err := libp2ptls.NewIdentity(key, libp2ptls.WithCertTemplate(&x509.Certificate{
		SerialNumber: big.NewInt(1), NotBefore: begin, NotAfter: begin.Add(time.Hour * 24 * 365), Subject: pkix.Name{SerialNumber: "1"},
	}))
	return &early{id}, err
}

func (e *early) ID() protocol.ID { return libp2ptls.ID }

func (e *early) SecureInbound(ctx context.Context, c net.Conn, p peer.ID) (sec.SecureConn, error) {
	cfg, _ := e.identity.ConfigForPeer(p)
	if err := tls.Server(c, cfg).HandshakeContext(ctx); err != nil {
		return nil, err
	}
	return nil, errors.New("a certificate that begins in an hour was taken")
}

func (e *early) SecureOutbound(context.Context, net.Conn, peer.ID) (sec.SecureConn, error) {
	return nil, errors.New("it dials nobody")
}

// A host whose clock is hours behind can connect to nobody, and says that it is the clock;
// with the first neighbour it is a host like others.
func TestClockBehindIsSaid(t *testing.T) {
	other, err := libp2p.New(libp2p.ListenAddrStrings("/ip4/127.0.0.1/tcp/0"), libp2p.DisableMetrics(),
		libp2p.Transport(tcp.NewTCPTransport), libp2p.Security(libp2ptls.ID, newEarly))
	if err != nil {
		t.Fatal(err)
	}
	defer other.Close()
	n := startNode(t, 1, func(c *Config) {
		c.Listen = append(c.Listen, "/ip4/127.0.0.1/tcp/0")
		c.Bootstrap = []string{other.Addrs()[0].String() + "/p2p/" + other.ID().String()}
	})
	n.logs.awaitLine(t, "cannot connect", "clock says", "begins later", "NTP")
	if err := n.Barred(); err == nil || !strings.Contains(err.Error(), "set the clock") {
		t.Errorf("Barred says %v", err)
	}
	friend := startNode(t, 2, bootstrap(n))
	awaitMesh(t, friend, 1)
	awaitMesh(t, n, 1)
	eventually(t, "nothing that bars it", func() bool { return n.Barred() == nil })
}

// How far a neighbour's clock is ahead is known from its Hello, and said.
func TestClocksAreCompared(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		st := s.open(wire.Control)
		hello := a.hello()
		hello.Instance++
		hello.Clock = time.Now().Add(-2 * time.Hour)
		s.say(st, hello)
		if s.id() < a.ID() {
			s.say(st, wire.Begin{})
		}
		a.awaitSeen(t, seen{"up", s.id(), ""})
		a.logs.awaitLine(t, "clock differs", "ahead=2h0m0")
		now := time.Now()
		if ahead, of := a.clockAhead(now); of != 1 || ahead > -2*time.Hour || ahead < -2*time.Hour-time.Second {
			t.Errorf("%d neighbours' clocks are %v ahead", of, ahead)
		}
	})
}

func TestRefusedCertificateIsBlamedOnAClock(t *testing.T) {
	if !isCertificateRefused(errors.New("CRYPTO_ERROR 0x12a (remote): tls: bad certificate")) || isCertificateRefused(errors.New("EOF")) || isCertificateRefused(nil) {
		t.Error("want what QUIC says of an alert, and nothing else")
	}
}
