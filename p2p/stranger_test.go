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

	"grapevine/p2p/wire"
)

// stranger is a peer that speaks libp2p and as much of the protocol as a test wants.
type stranger struct {
	host.Host
	t      *testing.T
	to     *node
	theirs chan wire.ControlMessage // what the node says on the control lane
}

// newStranger connects to a node, and takes its streams.
func newStranger(t *testing.T, to *node) *stranger {
	t.Helper()
	h, err := libp2p.New(libp2p.NoListenAddrs, libp2p.DisableMetrics())
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
	timeout := time.After(30 * time.Second)
	for {
		select {
		case m, ok := <-s.theirs:
			if !ok {
				s.t.Fatal("the node has closed the control lane")
			}
			if match(m) {
				return
			}
		case <-timeout:
			s.t.Fatal("the node says nothing of the kind")
		}
	}
}

// impatient shortens a host's time-outs, for tests of them.
func impatient(n *node) *node {
	n.timing.hello = 200 * time.Millisecond
	n.timing.begin = 200 * time.Millisecond
	n.timing.message = 200 * time.Millisecond
	return n
}

func TestStrangerThatGreetsIsANeighbour(t *testing.T) {
	a := startNode(t, 1, nil)
	s := newStranger(t, a)
	control := s.greet()
	st := s.open(wire.Txs)
	wire.NewWriter(st).Write([]byte("hi"))
	a.awaitSeen(t, seen{"txs", s.id(), "hi"})
	s.say(control, wire.Probe{Rival: 77})
	s.hears(func(m wire.ControlMessage) bool {
		alive, ok := m.(wire.Alive)
		return ok && alive.Rival == 77 && alive.Instance == a.instance
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
	tests := map[string]struct {
		do    func(*stranger)
		cause string
	}{
		"no Hello":              {func(s *stranger) { s.open(wire.Control) }, "decision"},
		"nothing at all":        {func(*stranger) {}, "decision"}, // by the pairing's clock
		"Begin before Hello":    {control(wire.Begin{}), "at the wrong time"},
		"Probe before Hello":    {control(wire.Probe{}), "at the wrong time"},
		"two Hellos":            {func(s *stranger) { s.say(s.greet(), s.to.hello()) }, "at the wrong time"},
		"Goodbye":               {func(s *stranger) { s.say(s.greet(), wire.Goodbye{}) }, "said goodbye"},
		"garbage":               {func(s *stranger) { wire.NewWriter(s.greet()).Write([]byte("garbage")) }, "malformed"},
		"garbage for a Hello":   {func(s *stranger) { wire.NewWriter(s.open(wire.Control)).Write([]byte("x")) }, "malformed"},
		"an oversize message":   {func(s *stranger) { wire.NewWriter(s.greet()).Write(make([]byte, wire.MaxControl+1)) }, "too large"},
		"an empty frame":        {func(s *stranger) { s.greet(); s.open(wire.Blocks).Write(make([]byte, 4)) }, "empty frame"},
		"half a message":        {func(s *stranger) { s.greet(); s.open(wire.Blocks).Write([]byte{0, 0, 0, 9, 1}) }, "deadline"},
		"half a header":         {func(s *stranger) { s.greet(); s.open(wire.Bodies).Write([]byte{0}) }, "deadline"},
		"a lane's end":          {func(s *stranger) { s.greet(); s.open(wire.Bodies).Close() }, "EOF"},
		"more probes than fair": {func(s *stranger) { probeOn(s.greet()) }, "probes"},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			a := impatient(listen(t, 1, nil)).start()
			defer a.stop(t)
			s := newStranger(t, a)
			test.do(s)
			for deadline := time.Now().Add(10 * time.Second); len(a.swarm.ConnsToPeer(s.ID())) > 0; time.Sleep(time.Millisecond) {
				if time.Now().After(deadline) {
					t.Fatalf("still connected\n%s", a.logs)
				}
			}
			if log := awaitEnd(t, a); !strings.Contains(log, test.cause) {
				t.Errorf("%q is not the cause:\n%s", test.cause, log)
			}
			a.await(t, "as many down as up", func(all []seen) bool { return count(all, "up") == count(all, "down") })
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
	for deadline := time.Now().Add(10 * time.Second); ; time.Sleep(time.Millisecond) {
		log := n.logs.String()
		if strings.Contains(log, "connection ended") || strings.Contains(log, "neighbour down") {
			return log
		}
		if time.Now().After(deadline) {
			t.Fatalf("no end in the log:\n%s", log)
		}
	}
}

// An idle lane is fine for longer than a message may take.
func TestIdleLanesStayOpen(t *testing.T) {
	a := impatient(listen(t, 1, nil)).start()
	defer a.stop(t)
	s := newStranger(t, a)
	control := s.greet()
	st := s.open(wire.Blocks)
	w := wire.NewWriter(st)
	for i := range 3 {
		msg := []byte(fmt.Sprint("message ", i))
		w.Write(msg)
		a.awaitSeen(t, seen{"blocks", s.id(), string(msg)})
		time.Sleep(2 * a.timing.message)
	}
	s.say(control, wire.Beat{})
	w.Write(bytes.Repeat([]byte("x"), 1000))
	a.await(t, "a fourth message", func(all []seen) bool { return count(all, "blocks") == 4 })
}

// An answer to a Probe that somebody else has signed costs score and proves nothing.
func TestAliveIsChecked(t *testing.T) {
	a := startNode(t, 1, nil)
	s := newStranger(t, a)
	control := s.greet()
	alive := a.alive(1) // signed with another key than the stranger's
	s.say(control, alive)
	a.logs.awaitLine(t, "peer charged", "forged")
}
