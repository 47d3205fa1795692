package p2p

import (
	"errors"
	"strings"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"grapevine/genesis"
	"grapevine/p2p/wire"
)

func peerID(i int) string { return genesis.PeerID(testKey(i).Public()) }

func TestOtherNetworkIsNamedToTheDialler(t *testing.T) {
	a := startNode(t, 1, nil)
	b := startNode(t, 2, func(c *Config) {
		c.Genesis = testGenesis(t, "another")
		c.Bootstrap = a.Addrs()
	})
	b.logs.awaitLine(t, "level=ERROR", "cannot connect", "another network",
		a.cfg.Genesis.ID().String(), b.cfg.Genesis.ID().String(), "genesis.json", string(a.ID()))
	if n := len(a.history()) + len(b.history()); n != 0 {
		t.Errorf("%d events of neighbours", n)
	}
}

func TestOtherVersionIsNamedToTheDialler(t *testing.T) {
	a := startNode(t, 1, nil)
	b := listen(t, 2, bootstrap(a))
	b.versionLow, b.versionHigh = 4, 5
	b.start()
	defer b.stop(t)
	b.logs.awaitLine(t, "level=ERROR", "cannot connect", "versions 3 to 3", "we speak 4 to 5", "update")
	a.logs.awaitLine(t, "refused a peer", "versions 4 to 5")
}

func TestNotAdmitted(t *testing.T) {
	for _, transport := range []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"} {
		list := testGenesis(t, "test", peerID(1))
		a := startNode(t, 1, func(c *Config) {
			c.Genesis = list
			c.Listen = []string{transport}
		})
		// The dialler believes that it is admitted; its network is another, but a
		// has closed before that could be found out.
		b := startNode(t, 2, func(c *Config) {
			c.Genesis = testGenesis(t, "test", peerID(1), peerID(2))
			c.Bootstrap = a.Addrs()
		})
		b.logs.awaitLine(t, "cannot connect", "admit")
		a.logs.awaitLine(t, "turned away", "does not admit", peerID(2), "127.0.0.1")
		if len(a.history()) != 0 {
			t.Errorf("%s: events of neighbours: %v", transport, a.history())
		}
	}
}

// Of those that are turned away a line is written a minute: the log is not theirs to fill.
func TestTurnedAwayAreLoggedNowAndThen(t *testing.T) {
	logs := newLogs()
	g := newGate(peer.ID("self"), Config{Genesis: testGenesis(t, "test", peerID(1)), Logger: logs.logger()}, nil, nil)
	from, err := ma.NewMultiaddr("/ip4/192.0.2.1/tcp/7")
	if err != nil {
		t.Fatal(err)
	}
	begun := time.Unix(1e9, 0)
	for second := range 150 {
		g.turnedAway(begun.Add(time.Duration(second)*time.Second), peer.ID("stranger"), from)
	}
	if text := logs.String(); strings.Count(text, "turned away") != 3 || strings.Count(text, "more_since_last=59") != 2 {
		t.Errorf("the log is\n%s", text)
	}
}

func TestBootstrapThatIsNotAdmittedIsAnError(t *testing.T) {
	cfg := Config{
		Key:       testKey(1),
		Genesis:   testGenesis(t, "test", peerID(1)),
		Bootstrap: []string{"/ip4/127.0.0.1/udp/7400/quic-v1/p2p/" + peerID(2)},
	}
	if _, err := Listen(cfg); err == nil || !strings.Contains(err.Error(), "does not admit") {
		t.Errorf("error %v", err)
	}
}

// Two nodes with one identity never meet, but both meet a third.
func TestYoungerOfTwoNodesWithOneIdentityStops(t *testing.T) {
	for _, test := range []struct {
		name  string
		third int // below or above the twins in the order of IDs
	}{{"the third chooses", 0}, {"the twins choose", 1}} {
		t.Run(test.name, func(t *testing.T) {
			low, high := 1, 2
			if peerID(low) > peerID(high) {
				low, high = high, low
			}
			third, twins := low, high
			if test.third == 1 {
				third, twins = high, low
			}
			inBubble(t, func(t *testing.T, p *packets) {
				a := startNode(t, third, p.at(0))
				older := startNode(t, twins, p.at(1, bootstrap(a)))
				a.awaitSeen(t, seen{"up", older.ID(), ""})
				younger := listen(t, twins, p.at(2, bootstrap(a))).start()
				<-younger.ended
				if !errors.Is(younger.err, ErrSameIdentity) || !strings.Contains(younger.err.Error(), "key of its own") {
					t.Errorf("the younger's Run returned %v", younger.err)
				}
				a.logs.awaitLine(t, "two nodes run with one identity")
				if !older.Send(a.ID(), wire.Blocks, []byte("still here")) {
					t.Error("the older is no neighbour any more")
				}
				a.awaitSeen(t, seen{"blocks", older.ID(), "still here"})
				if n := count(a.history(), "down"); n != 0 {
					t.Errorf("the older went down %d times", n)
				}
			})
		})
	}
}

// The same, when the younger was the first to connect.
func TestYoungerStopsEvenIfItWasFirst(t *testing.T) {
	inBubble(t, func(t *testing.T, p *packets) {
		a := startNode(t, 1, p.at(0))
		older := listen(t, 2, p.at(1, bootstrap(a)))
		time.Sleep(time.Nanosecond) // so that one of them is the younger
		younger := listen(t, 2, p.at(2, bootstrap(a))).start()
		a.awaitSeen(t, seen{"up", younger.ID(), ""})
		older.start()
		t.Cleanup(func() { older.stop(t) })
		<-younger.ended
		if !errors.Is(younger.err, ErrSameIdentity) {
			t.Errorf("the younger's Run returned %v", younger.err)
		}
		older.awaitSeen(t, seen{"up", a.ID(), ""})
	})
}

func TestGoodbyeWithoutProofStopsNobody(t *testing.T) {
	h := listen(t, 1, nil)
	defer h.Close()
	other := listen(t, 1, nil) // our key, older or younger
	defer other.Close()
	older, younger := h, other
	if other.started.Before(h.started) {
		older, younger = other, h
	}
	proof := older.alive(younger.instance)
	tests := []struct {
		name   string
		change func(*wire.Alive)
		want   bool
	}{
		{"a proof", func(*wire.Alive) {}, true},
		{"other instance", func(a *wire.Alive) { a.Instance++ }, false},
		{"about another rival", func(a *wire.Alive) { *a = older.alive(younger.instance + 1) }, false},
		{"of a younger node", func(a *wire.Alive) { *a = younger.alive(older.instance) }, false},
		{"of itself", func(a *wire.Alive) { *a = younger.alive(younger.instance) }, false},
		{"older than signed", func(a *wire.Alive) { a.Started = a.Started.Add(-1) }, false},
	}
	for _, test := range tests {
		a := proof
		test.change(&a)
		if got := younger.yieldsTo(&a); got != test.want {
			t.Errorf("%s: yields %v, want %v", test.name, got, test.want)
		}
	}
	if younger.yieldsTo(nil) {
		t.Error("yields to nothing")
	}
}

func TestPortInUse(t *testing.T) {
	for _, transport := range []string{"/ip4/127.0.0.1/udp/0/quic-v1", "/ip4/127.0.0.1/tcp/0"} {
		a := listen(t, 1, func(c *Config) { c.Listen = []string{transport} })
		taken := a.swarm.ListenAddresses()[0].String()
		_, err := Listen(Config{Key: testKey(2), Genesis: testGenesis(t, "test"), Listen: []string{taken}})
		if !errors.Is(err, ErrPortInUse) || !strings.Contains(err.Error(), taken) || !strings.Contains(err.Error(), "another listen address") {
			t.Errorf("%s: error %v", transport, err)
		}
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestConfigErrorsNameTheValue(t *testing.T) {
	for _, test := range []struct {
		change func(*Config)
		want   string
	}{
		{func(c *Config) { c.Genesis = nil }, "Genesis"},
		{func(c *Config) { c.Listen = []string{"localhost:80"} }, `listen address "localhost:80"`},
		{func(c *Config) { c.Listen = []string{"/ip4/1.2.3.4/udp/1/quic-v1/p2p/" + peerID(1)} }, "leave out /p2p/"},
		{func(c *Config) { c.Advertise = []string{"x"} }, `advertise address "x"`},
		{func(c *Config) { c.Bootstrap = []string{"/ip4/1.2.3.4/udp/1/quic-v1"} }, "peer ID at the end"},
		{func(c *Config) { c.Software = strings.Repeat("x", 65) }, "at most 64"},
		{func(c *Config) { c.Listen = []string{"/ip4/192.0.2.1/udp/7400/quic-v1"} }, "does not have the address"},
		{func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/sctp/1"} }, "/sctp/1"},
	} {
		cfg := Config{Key: testKey(1), Genesis: testGenesis(t, "test")}
		test.change(&cfg)
		if _, err := Listen(cfg); err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("error %v, want %q in it", err, test.want)
		}
	}
}

// A connection may be let through just before its peer is refused, and come up after.
// It is closed then, whatever the gate has said.
func TestRefusedPeersConnectionIsClosedWhenItComesUp(t *testing.T) {
	inBubble(t, func(t *testing.T, p *packets) {
		a := listen(t, 1, p.at(1))
		a.gate.refused = func(time.Time, wire.PeerID) bool { return false } // it asked too early
		a.start()
		t.Cleanup(func() { a.stop(t) })
		s := newStranger(t, p, a)
		s.greet()
		a.Charge(s.id(), Forged, "a test")
		a.Charge(s.id(), Forged, "a test")
		a.awaitSeen(t, seen{"down", s.id(), ""})
		eventually(t, "no connection", func() bool { return len(s.Network().ConnsToPeer(a.self)) == 0 })
		s.SetStreamHandler(a.protocol(wire.Control), func(network.Stream) {})
		if err := s.Connect(t.Context(), peer.AddrInfo{ID: a.self, Addrs: a.libp2p.Addrs()}); err != nil {
			t.Fatal(err)
		}
		time.Sleep(2 * a.timing.parting)
		if n := len(a.swarm.ConnsToPeer(s.ID())); n != 0 {
			t.Errorf("a refused peer has %d connections", n)
		}
	})
}

// What a link's goroutines still have to say when it has ended makes no record of its
// peer, which nothing would remove: who has one is not dialled.
func TestWordsAfterTheEndMakeNoPairing(t *testing.T) {
	a, b := pairOf(t, nil, nil)
	a.mu.RLock()
	l := a.neighbours[b.ID()]
	a.mu.RUnlock()
	b.stop(t)
	a.awaitSeen(t, seen{"down", b.ID(), ""})
	eventually(t, "no neighbour", func() bool { return len(a.Neighbours()) == 0 })
	a.post(began{l})
	a.post(answered{l, wire.Alive{}})
	a.post(greeted{l, l.greeting()})
	a.Members() // the loop has heard all of it
	a.stop(t)
	if len(a.pairs) != 0 {
		t.Errorf("%d peers without a connection are taken for connected", len(a.pairs))
	}
}
