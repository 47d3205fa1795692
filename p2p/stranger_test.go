package p2p

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"

	"grapevine/block"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// stranger is a peer that speaks libp2p and as much of the protocol as a test wants.
type stranger struct {
	host.Host
	t      *testing.T
	to     *node
	theirs chan wire.ControlMessage // what the node says on the control lane
}

// strangers is the address of the stranger on the simulated links.
const strangersAddr = 99

// newStranger connects to a node, and takes its streams.
func newStranger(t *testing.T, p *packets, to *node) *stranger {
	t.Helper()
	var c Config
	p.host(strangersAddr, &c)
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics(), libp2p.DisableIdentifyAddressDiscovery(),
		libp2p.Transport(libp2pquic.NewTransport), OverPackets(c.ListenPacket, c.SourceIP))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	s := &stranger{Host: h, t: t, to: to, theirs: make(chan wire.ControlMessage, 100)}
	h.SetStreamHandler(to.protocol(wire.Control), func(st network.Stream) {
		r := wire.NewReader(st, wire.MaxControl)
		for {
			raw, err := r.Next()
			if err != nil {
				close(s.theirs)
				return
			}
			if m, err := wire.DecodeControl(raw); err == nil {
				s.theirs <- m
			}
		}
	})
	for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
		h.SetStreamHandler(to.protocol(lane), func(network.Stream) {})
	}
	if err := h.Connect(context.Background(), peer.AddrInfo{ID: to.self, Addrs: to.libp2p.Addrs()}); err != nil {
		t.Fatal(err)
	}
	return s
}

func (s *stranger) id() wire.PeerID { return wire.PeerID(s.ID().String()) }

func (s *stranger) open(lane wire.Lane) network.Stream {
	s.t.Helper()
	st, err := s.NewStream(context.Background(), s.to.self, s.to.protocol(lane))
	if err != nil {
		s.t.Fatal(err)
	}
	return st
}

// greet exchanges Hellos, and begins if that is the stranger's turn.
func (s *stranger) greet() network.Stream {
	s.t.Helper()
	st := s.open(wire.Control)
	hello := s.to.hello()
	hello.Instance++
	s.say(st, hello)
	if s.id() < s.to.ID() {
		s.say(st, wire.Begin{})
	}
	s.to.awaitSeen(s.t, seen{"up", s.id(), ""})
	return st
}

func (s *stranger) say(st network.Stream, m wire.ControlMessage) {
	s.t.Helper()
	if err := wire.NewWriter(st).Write(wire.EncodeControl(m)); err != nil {
		s.t.Fatal(err)
	}
}

// hears waits until the node has said something that match likes.
func (s *stranger) hears(match func(wire.ControlMessage) bool) {
	s.t.Helper()
	for m := range s.theirs {
		if match(m) {
			return
		}
	}
	s.t.Fatal("the node has closed the control lane")
}

// patience is how long the node waits for the rest of a stranger's message: a stranger
// speaks no GossipSub, for which it is let go of before the usual time is over.
const patience = 2 * time.Second

// withStranger runs a test of a node and a stranger, in virtual time.
func withStranger(t *testing.T, test func(t *testing.T, a *node, s *stranger)) {
	t.Helper()
	inBubble(t, func(t *testing.T, p *packets) {
		a := listen(t, 1, p.at(1))
		a.timing.message = patience
		a.start()
		t.Cleanup(func() { a.stop(t) })
		test(t, a, newStranger(t, p, a))
	})
}

func TestStrangerThatGreetsIsANeighbour(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		control := s.greet()
		st := s.open(wire.Txs)
		wire.NewWriter(st).Write([]byte("hi"))
		a.awaitSeen(t, seen{"txs", s.id(), "hi"})
		s.say(control, wire.Probe{Rival: 77})
		s.hears(func(m wire.ControlMessage) bool {
			alive, ok := m.(wire.Alive)
			return ok && alive.Rival == 77 && alive.Instance == a.instance
		})
	})
}

func TestStrangerIsLetGo(t *testing.T) {
	control := func(msgs ...wire.ControlMessage) func(*stranger) {
		return func(s *stranger) {
			st := s.open(wire.Control)
			for _, m := range msgs {
				s.say(st, m)
			}
		}
	}
	hello := defaultTiming.hello
	tests := map[string]struct {
		do    func(*stranger)
		cause string
		after time.Duration // in whole seconds: 0 is at once
	}{
		"no Hello":              {func(s *stranger) { s.open(wire.Control) }, "decision", hello},
		"nothing at all":        {func(*stranger) {}, "decision", hello}, // by the pairing's clock
		"Begin before Hello":    {control(wire.Begin{}), "at the wrong time", 0},
		"Probe before Hello":    {control(wire.Probe{}), "at the wrong time", 0},
		"two Hellos":            {func(s *stranger) { s.say(s.greet(), s.to.hello()) }, "at the wrong time", 0},
		"Goodbye":               {func(s *stranger) { s.say(s.greet(), wire.Goodbye{}) }, "said goodbye", 0},
		"garbage":               {func(s *stranger) { wire.NewWriter(s.greet()).Write([]byte("garbage")) }, "malformed", 0},
		"garbage for a Hello":   {func(s *stranger) { wire.NewWriter(s.open(wire.Control)).Write([]byte("x")) }, "malformed", 0},
		"an oversize message":   {func(s *stranger) { wire.NewWriter(s.greet()).Write(make([]byte, wire.MaxControl+1)) }, "too large", 0},
		"an empty frame":        {func(s *stranger) { s.greet(); s.open(wire.Blocks).Write(make([]byte, 4)) }, "empty frame", 0},
		"half a message":        {func(s *stranger) { s.greet(); s.open(wire.Blocks).Write([]byte{0, 0, 0, 9, 1}) }, "deadline", patience},
		"half a header":         {func(s *stranger) { s.greet(); s.open(wire.Bodies).Write([]byte{0}) }, "deadline", patience},
		"a lane's end":          {func(s *stranger) { s.greet(); s.open(wire.Bodies).Close() }, "EOF", 0},
		"more probes than fair": {func(s *stranger) { probeOn(s.greet()) }, "probes", 0},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			withStranger(t, func(t *testing.T, a *node, s *stranger) {
				begun := time.Now()
				test.do(s)
				log := awaitEnd(t, a)
				if !strings.Contains(log, test.cause) {
					t.Errorf("%q is not the cause:\n%s", test.cause, log)
				}
				if took := time.Since(begun).Round(time.Second); took != test.after {
					t.Errorf("it took %v, want %v", took, test.after)
				}
				a.await(t, "as many down as up", func(all []seen) bool { return count(all, "up") == count(all, "down") })
				eventually(t, "no connection", func() bool { return len(a.swarm.ConnsToPeer(s.ID())) == 0 })
			})
		})
	}
}

func probeOn(st network.Stream) {
	w := wire.NewWriter(st)
	for range maxProbes + 1 {
		if w.Write(wire.EncodeControl(wire.Probe{})) != nil {
			return
		}
	}
}

// awaitEnd returns the log once it says how a connection ended.
func awaitEnd(t *testing.T, n *node) string {
	t.Helper()
	return n.logs.await(t, "an end", func(line string) bool {
		return strings.Contains(line, "connection ended") || strings.Contains(line, "neighbour down")
	})
}

// An idle lane is fine for longer than a message may take.
func TestIdleLanesStayOpen(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		control := s.greet()
		st := s.open(wire.Blocks)
		w := wire.NewWriter(st)
		for i := range 3 {
			msg := []byte(fmt.Sprint("message ", i))
			w.Write(msg)
			a.awaitSeen(t, seen{"blocks", s.id(), string(msg)})
			time.Sleep(2 * patience)
		}
		s.say(control, wire.Beat{})
		w.Write(bytes.Repeat([]byte("x"), 1000))
		a.await(t, "a fourth message", func(all []seen) bool { return count(all, "blocks") == 4 })
	})
}

// An answer to a Probe that somebody else has signed costs score and proves nothing.
func TestAliveIsChecked(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		control := s.greet()
		s.say(control, a.alive(1)) // signed with another key than the stranger's
		a.logs.awaitLine(t, "peer charged", "forged")
	})
}

// A flood of control messages is charged, whatever they are; before their signatures are
// looked at.
func TestControlFloodsAreCharged(t *testing.T) {
	record := &membership.Record{Owner: block.PublicKey{1}, Version: 1}
	for name, m := range map[string]wire.ControlMessage{
		"beats":   wire.Beat{},
		"begins":  wire.Begin{},
		"records": wire.Membership(membership.Encode(&membership.Delta{Records: []*membership.Record{record}})),
	} {
		t.Run(name, func(t *testing.T) {
			withStranger(t, func(t *testing.T, a *node, s *stranger) {
				st := s.greet()
				w := wire.NewWriter(st)
				for range 1000 {
					if w.Write(wire.EncodeControl(m)) != nil {
						break
					}
				}
				want := "flooding"
				if name == "records" {
					want = "wrong signature" // the first few are within its share, and cost it the connection
				}
				a.logs.awaitLine(t, "peer charged", want)
				a.awaitSeen(t, seen{"down", s.id(), ""})
			})
		})
	}
}
