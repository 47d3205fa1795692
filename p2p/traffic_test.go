package p2p

import (
	"context"
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"

	"grapevine/p2p/wire"
)

// pairOf returns two hosts that are neighbours; the second has dialled the first.
func pairOf(t *testing.T, first, second func(*Config)) (*node, *node) {
	t.Helper()
	a := startNode(t, 1, first)
	b := startNode(t, 2, func(c *Config) {
		c.Bootstrap = a.Addrs()
		if second != nil {
			second(c)
		}
	})
	a.awaitSeen(t, seen{"up", b.ID(), ""})
	b.awaitSeen(t, seen{"up", a.ID(), ""})
	return a, b
}

func TestOverTCP(t *testing.T) {
	a, b := pairOf(t, func(c *Config) { c.Listen = []string{"/ip4/127.0.0.1/tcp/0"} }, nil)
	b.Send(a.ID(), wire.Blocks, []byte("x"))
	a.awaitSeen(t, seen{"blocks", b.ID(), "x"})
}

// TCP is tried only when QUIC has had its time: sooner nobody is connected over it.
func TestQUICIsPreferred(t *testing.T) {
	begun := time.Now()
	a, b := pairOf(t, func(c *Config) {
		c.Listen = []string{"/ip4/127.0.0.1/tcp/0", "/ip4/127.0.0.1/udp/0/quic-v1"}
	}, nil)
	took := time.Since(begun)
	b.mu.RLock()
	defer b.mu.RUnlock()
	if got := b.neighbours[a.ID()].conn.ConnState().Transport; got != "quic-v1" && took < tcpDelay {
		t.Errorf("connected over %s after %v", got, took)
	}
	quic, tcp := mustAddrs(t, "/ip4/127.0.0.1/udp/1/quic-v1")[0], mustAddrs(t, "/ip4/127.0.0.1/tcp/1")[0]
	want := []network.AddrDelay{{Addr: quic}, {Addr: tcp, Delay: tcpDelay}}
	if got := quicFirst([]ma.Multiaddr{tcp, quic}); !slices.EqualFunc(got, want, func(x, y network.AddrDelay) bool { return x.Addr.Equal(y.Addr) && x.Delay == y.Delay }) {
		t.Errorf("dialled are %v, want %v", got, want)
	}
}

func TestReconnectAfterRestart(t *testing.T) {
	a := startNode(t, 1, nil)
	addr := a.Addrs()[0]
	b := startNode(t, 2, func(c *Config) { c.Bootstrap = []string{addr} })
	b.awaitSeen(t, seen{"up", a.ID(), ""})
	listenAddr := a.swarm.ListenAddresses()[0].String()
	a.stop(t)
	b.awaitSeen(t, seen{"down", a.ID(), ""})
	again := startNode(t, 1, func(c *Config) { c.Listen = []string{listenAddr} })
	again.awaitSeen(t, seen{"up", b.ID(), ""})
	b.await(t, "the second up", func(all []seen) bool { return count(all, "up") == 2 })
	if got := []string{b.history()[0].what, b.history()[1].what, b.history()[2].what}; got[1] != "down" {
		t.Errorf("events %v", got)
	}
}

// A handler that is slow with the last message of a connection hears of the next
// connection to the same peer only afterwards.
func TestUpOfTheNextComesAfterDownOfTheLast(t *testing.T) {
	a := startNode(t, 1, nil)
	b := listen(t, 2, bootstrap(a)).start()
	a.awaitSeen(t, seen{"up", b.ID(), ""})
	release := a.holdUp()
	b.awaitSeen(t, seen{"up", a.ID(), ""})
	b.Send(a.ID(), wire.Txs, []byte("x"))
	<-a.held
	b.stop(t)
	again := startNode(t, 2, bootstrap(a))
	again.awaitSeen(t, seen{"up", a.ID(), ""})
	if all := a.history(); len(all) != 1 {
		t.Errorf("while the last message is in hand: %v", all)
	}
	release()
	a.await(t, "the second up", func(all []seen) bool { return count(all, "up") == 2 })
	want := []seen{{"up", b.ID(), ""}, {"txs", b.ID(), "x"}, {"down", b.ID(), ""}, {"up", b.ID(), ""}}
	if all := a.history(); !slices.Equal(all, want) {
		t.Errorf("saw %v, want %v", all, want)
	}
}

func TestDialsAtOnceGiveOneConnection(t *testing.T) {
	for range 5 {
		a, b := listen(t, 1, nil), listen(t, 2, nil)
		a.addrs.bootstrap = mustParse(t, a, b.Addrs())
		b.addrs.bootstrap = mustParse(t, b, a.Addrs())
		a.start()
		b.start()
		a.awaitSeen(t, seen{"up", b.ID(), ""})
		b.awaitSeen(t, seen{"up", a.ID(), ""})
		a.Send(b.ID(), wire.Blocks, []byte("x"))
		b.Send(a.ID(), wire.Blocks, []byte("y"))
		a.awaitSeen(t, seen{"blocks", b.ID(), "y"})
		b.awaitSeen(t, seen{"blocks", a.ID(), "x"})
		eventually(t, "one connection alone", func() bool { return len(a.swarm.Conns()) == 1 })
		if count(a.history(), "down")+count(b.history(), "down") != 0 {
			t.Errorf("flapped; one side:\n%s\nthe other:\n%s", a.logs, b.logs)
		}
		a.stop(t)
		b.stop(t)
	}
}

func TestSlowReaderHoldsUpNobodyElse(t *testing.T) {
	small := func(c *Config) { c.QueueBytes[wire.Blocks] = 1 << 20 }
	a, slow := pairOf(t, small, nil)
	fast := startNode(t, 3, bootstrap(a))
	a.awaitSeen(t, seen{"up", fast.ID(), ""})
	release := slow.holdUp()
	msg := make([]byte, 64<<10)
	full := 0
	for full < 10 { // until the slow one's queue and windows are full, and stay so
		if a.Send(slow.ID(), wire.Blocks, msg) {
			full = 0
		} else {
			full++
			time.Sleep(time.Millisecond)
		}
	}
	if got := valueOf(t, a.metrics.drops.WithLabelValues("blocks", "queue full")); got < 10 {
		t.Errorf("%v drops counted", got)
	}
	a.Send(fast.ID(), wire.Blocks, []byte("quick"))
	fast.awaitSeen(t, seen{"blocks", a.ID(), "quick"}) // while the slow one still reads nothing
	a.Send(slow.ID(), wire.Txs, []byte("another lane"))
	release()
	slow.awaitSeen(t, seen{"txs", a.ID(), "another lane"})
}

// Queues share one bound. When it is reached the neighbour that holds the most of it is
// let go of, and nobody else: messages of the control lane are outside of it.
func TestLargestDebtorGoesWhenAllIsFull(t *testing.T) {
	a, slow := pairOf(t, func(c *Config) { c.TotalQueueBytes = 2 << 20 }, nil)
	fast := startNode(t, 3, bootstrap(a))
	a.awaitSeen(t, seen{"up", fast.ID(), ""})
	a.mu.RLock()
	l := a.neighbours[fast.ID()]
	a.mu.RUnlock()
	release := slow.holdUp()
	defer release()
	msg := make([]byte, 64<<10)
	for a.Send(slow.ID(), wire.Bodies, msg) {
	}
	l.sendControl(wire.Beat{})
	a.awaitSeen(t, seen{"down", slow.ID(), ""})
	a.logs.awaitLine(t, "neighbour down", "the most of it")
	eventually(t, "room again", func() bool { return a.budget.used.Load() == 0 })
	a.Send(fast.ID(), wire.Bodies, []byte("quick"))
	fast.awaitSeen(t, seen{"bodies", a.ID(), "quick"})
	if n := count(a.history(), "down"); n != 1 {
		t.Errorf("%d neighbours were let go of:\n%s", n, a.logs)
	}
}

// A neighbour that takes next to nothing of what waits for it is let go of, though each
// message gets through in the time that one may take.
func TestWhoHardlyReadsIsLetGo(t *testing.T) {
	inBubble(t, func(t *testing.T, p *packets) {
		a, b := listen(t, 1, p.at(1)), listen(t, 2, p.at(2))
		b.addrs.bootstrap = mustParse(t, b, a.Addrs())
		a.timing.stall = a.timing.message / 2
		for _, n := range []*node{a.start(), b.start()} {
			t.Cleanup(func() { n.stop(t) })
		}
		a.awaitSeen(t, seen{"up", b.ID(), ""})
		b.awaitSeen(t, seen{"up", a.ID(), ""})
		release := b.holdUp()
		defer release()
		begun := time.Now()
		for a.Send(b.ID(), wire.Bodies, make([]byte, 128<<10)) {
		}
		a.logs.awaitLine(t, "neighbour down", "took 0 bytes")
		if took := time.Since(begun); took < a.timing.stall || took > a.timing.stall+2*wire.BeatEvery {
			t.Errorf("it took %v", took)
		}
	})
}

func TestPace(t *testing.T) {
	const sec = time.Second
	type look struct {
		at              time.Duration
		waiting, drains int
		stalled         bool
		empty           int
	}
	for name, looks := range map[string][]look{
		"idle":            {{0, 0, 0, false, 0}, {100 * sec, 0, 0, false, 0}},
		"silent":          {{0, 9, 0, false, 0}, {59 * sec, 9, 0, false, 0}, {60 * sec, 9, 0, true, 0}},
		"dribbling":       {{0, 9, 0, false, 0}, {30 * sec, 9, 100, false, 0}, {60 * sec, 9, 200, true, 0}},
		"slow":            {{0, 9, 0, false, 0}, {59 * sec, 9, leastDrain, false, 0}, {118 * sec, 9, leastDrain, false, 0}, {119 * sec, 9, leastDrain, true, 0}},
		"begun anew":      {{0, 9, 0, false, 0}, {59 * sec, 0, 9, false, 1}, {60 * sec, 9, 9, false, 1}, {118 * sec, 9, 9, false, 1}, {119 * sec, 9, 9, true, 1}},
		"little and soon": {{0, 9, 0, false, 0}, {60 * sec, 9, 9, false, 1}, {120 * sec, 9, 18, false, 2}},
		"seldom seen":     {{0, 9, 0, false, 0}, {500 * sec, 9, leastDrain, false, 0}},
	} {
		var p pace
		for i, l := range looks {
			now, done := time.Unix(1e9, 0).Add(l.at), drained{l.drains, l.empty}
			if _, got := p.stalled(now, 60*sec, l.waiting, done); got != l.stalled {
				t.Errorf("%s, look %d: stalled %v, want %v", name, i, got, l.stalled)
			}
		}
	}
}

// holdUp makes the recorder take no more messages until release is called.
func (r *recorder) holdUp() (release func()) {
	r.lock.Lock()
	defer r.lock.Unlock()
	hold := make(chan struct{})
	r.hold = hold
	return func() { close(hold) }
}

// rawStream opens a lane's stream past the link, as a hostile peer would.
func rawStream(t *testing.T, from, to *node, lane wire.Lane) network.Stream {
	t.Helper()
	s, err := from.libp2p.NewStream(context.Background(), to.self, from.protocol(lane))
	if err != nil {
		t.Fatal(err)
	}
	return s
}

func TestOversizeMessageCostsTheConnection(t *testing.T) {
	a, b := pairOf(t, nil, nil)
	limit := MaxMessage(wire.Bodies, a.cfg.Limits)
	if b.Send(a.ID(), wire.Bodies, make([]byte, limit+1)) {
		t.Error("Send of too much said true")
	}
	b.mu.RLock()
	l := b.neighbours[a.ID()]
	b.mu.RUnlock()
	l.send(wire.Bodies, make([]byte, limit+1))
	a.awaitSeen(t, seen{"down", b.ID(), ""})
	if got := valueOf(t, a.metrics.offences.WithLabelValues("malformed")); got != 1 {
		t.Errorf("%v offences counted", got)
	}
	a.await(t, "the peer to come back", func(all []seen) bool { return count(all, "up") == 2 })
}

func TestSecondStreamOfALaneIsRefused(t *testing.T) {
	a, b := pairOf(t, nil, nil)
	b.Send(a.ID(), wire.Bodies, []byte("the first"))
	a.awaitSeen(t, seen{"bodies", b.ID(), "the first"})
	s := rawStream(t, b, a, wire.Bodies)
	wire.NewWriter(s).Write([]byte("x"))
	if _, err := s.Read(make([]byte, 1)); err == nil {
		t.Error("the stream is open")
	}
	b.Send(a.ID(), wire.Bodies, []byte("the first still works"))
	a.awaitSeen(t, seen{"bodies", b.ID(), "the first still works"})
}

func TestLowScoreCutsOffForAWhile(t *testing.T) {
	dropped := make(chan string, 2)
	a, b := pairOf(t, func(c *Config) {
		c.OnDropped = func(p wire.PeerID, why string) { dropped <- string(p) + " " + why }
	}, nil)
	a.Charge(b.ID(), Forged, "a wrong root")
	if len(dropped) > 0 {
		t.Errorf("%s at the first offence", <-dropped)
	}
	a.Charge(b.ID(), Forged, "a wrong root")
	if want := string(b.ID()) + " forged: a wrong root"; len(dropped) != 1 {
		t.Errorf("dropped %d times, want once", len(dropped))
	} else if got := <-dropped; got != want {
		t.Errorf("dropped %s, want %s", got, want)
	}
	b.logs.awaitLine(t, "peer said goodbye", "misbehaved", "a wrong root", "refused for 1m")
	a.awaitSeen(t, seen{"down", b.ID(), ""})
	b.logs.awaitLine(t, "cannot connect", "misbehaviour")
	if n := count(a.history(), "up"); n != 1 {
		t.Errorf("up %d times", n)
	}
}

// Peers that do nothing fill all places. One of them goes, the newest, when this side has
// dialled another; or after a while, when another asks. Who has brought something stays.
func TestIdleNeighboursMakeRoom(t *testing.T) {
	for name, c := range map[string]struct {
		useful, dialled bool
		wait            time.Duration
		room            bool
	}{
		"asks too soon":              {wait: time.Second},
		"asks after a while":         {wait: idleFor, room: true},
		"asks, and all are useful":   {wait: idleFor, useful: true},
		"is dialled":                 {wait: time.Second, dialled: true, room: true},
		"is dialled, all are useful": {wait: time.Second, dialled: true, useful: true},
	} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *packets) {
				var last *node
				a := listen(t, 1, p.at(1, func(c *Config) { c.MaxNeighbours = 2 }))
				if c.dialled {
					last = listen(t, 4, p.at(4))
					a.addrs.bootstrap = nil
				} else {
					last = listen(t, 4, p.at(4, bootstrap(a)))
				}
				idle := []*node{listen(t, 2, p.at(2, bootstrap(a))), listen(t, 3, p.at(3, bootstrap(a)))}
				for _, n := range append([]*node{a, last}, idle...) {
					t.Cleanup(func() { n.stop(t) })
				}
				a.start()
				for _, n := range idle {
					n.start()
					a.awaitSeen(t, seen{"up", n.ID(), ""})
					if c.useful {
						a.Brought(n.ID())
					}
					time.Sleep(time.Millisecond)
				}
				time.Sleep(c.wait)
				last.start()
				if c.dialled {
					a.dialNow(t, last)
				}
				time.Sleep(firstDelay / 2) // before who had to go dials again
				if up := slices.Contains(a.Neighbours(), last.ID()); up != c.room {
					t.Errorf("the other is a neighbour: %v, want %v", up, c.room)
				}
				if newest := slices.Contains(a.Neighbours(), idle[1].ID()); newest == c.room {
					t.Errorf("the newest that is idle is a neighbour: %v", newest)
				}
				if !slices.Contains(a.Neighbours(), idle[0].ID()) {
					t.Error("the oldest that is idle had to go")
				}
			})
		})
	}
}

// dialNow connects a node to another, as its loop does.
func (n *node) dialNow(t *testing.T, to *node) {
	t.Helper()
	n.dial(t.Context(), peer.AddrInfo{ID: to.self, Addrs: to.libp2p.Addrs()})
}

func TestNeighboursAreBounded(t *testing.T) {
	a := startNode(t, 1, func(c *Config) { c.MaxNeighbours = 1 })
	b := startNode(t, 2, bootstrap(a))
	a.awaitSeen(t, seen{"up", b.ID(), ""})
	c := startNode(t, 3, bootstrap(a))
	c.logs.awaitLine(t, "peer said goodbye", "code=full")
	if got := a.Neighbours(); len(got) != 1 || got[0] != b.ID() {
		t.Errorf("neighbours %v", got)
	}
}

func TestAdvertisedAddresses(t *testing.T) {
	a := listen(t, 1, func(c *Config) { c.Advertise = []string{"/ip4/192.0.2.7/udp/7400/quic-v1"} })
	defer a.Close()
	if got, want := a.Addrs(), "/ip4/192.0.2.7/udp/7400/quic-v1/p2p/"+string(a.ID()); len(got) != 1 || got[0] != want {
		t.Errorf("addresses %v, want %s", got, want)
	}
	var addrs addresses
	both := mustAddrs(t, "/ip4/127.0.0.1/udp/1/quic-v1", "/ip4/192.0.2.7/udp/1/quic-v1")
	if got := addrs.shown(both); len(got) != 1 || !got[0].Equal(both[1]) {
		t.Errorf("of %v are shown %v", both, got)
	}
	if got := addrs.shown(both[:1]); len(got) != 1 {
		t.Errorf("loopback is all there is, and shown are %v", got)
	}
}

func TestMetricsAreRegisteredAndCount(t *testing.T) {
	r := prometheus.NewRegistry()
	a, b := pairOf(t, func(c *Config) { c.Registerer = r }, nil)
	a.Send(b.ID(), wire.Blocks, make([]byte, 100))
	b.await(t, "the message", func(all []seen) bool { return count(all, "blocks") == 1 })
	if got := valueOf(t, b.metrics.bytesIn[wire.Blocks]); got != 104 {
		t.Errorf("%v bytes came in, want 104", got)
	}
	families, err := r.Gather()
	if err != nil {
		t.Fatal(err)
	}
	found := false
	for _, f := range families {
		if f.GetName() == "grapevine_p2p_neighbours" {
			found = f.GetMetric()[0].GetGauge().GetValue() == 1
		}
	}
	if !found {
		t.Error("no gauge says that there is one neighbour")
	}
	a.stop(t)
	if families, _ := r.Gather(); len(families) != 0 {
		t.Errorf("%d families are left after Run", len(families))
	}
}

func TestPublishOfTooMuchIsAnError(t *testing.T) {
	a := listen(t, 1, nil)
	defer a.Close()
	if err := a.Publish(make([]byte, MaxPublish(a.cfg.Limits)+1)); err == nil {
		t.Error("no error")
	}
	if err := a.Publish(make([]byte, MaxPublish(a.cfg.Limits))); err != nil {
		t.Error(err)
	}
}

func TestHostThatNeverRanCloses(t *testing.T) {
	a := listen(t, 1, nil)
	b := startNode(t, 2, bootstrap(a))
	b.logs.awaitLine(t, "host runs")
	for range 2 {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	}
	if err := a.Run(context.Background(), a.recorder); err == nil {
		t.Error("a closed host ran")
	}
}
