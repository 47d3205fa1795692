package p2p

import (
	"context"
	"fmt"
	"net"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/marcopolo/simnet"

	"grapevine/p2p/wire"
)

// packets is a network of simulated links, in virtual time.
type packets struct{ net *simnet.Simnet }

func newPackets(t *testing.T) *packets {
	t.Helper()
	p := &packets{&simnet.Simnet{LatencyFunc: simnet.StaticLatency(20 * time.Millisecond)}}
	p.net.Start()
	return p
}

// cuttable is a host's socket, whose cable can be pulled.
type cuttable struct {
	*simnet.SimConn
	cut *atomic.Bool
}

func (c cuttable) WriteTo(b []byte, to net.Addr) (int, error) {
	if c.cut.Load() {
		return len(b), nil
	}
	return c.SimConn.WriteTo(b, to)
}

func (c cuttable) ReadFrom(b []byte) (int, net.Addr, error) {
	for {
		n, from, err := c.SimConn.ReadFrom(b)
		if err != nil || !c.cut.Load() {
			return n, from, err
		}
	}
}

// host configures a host at the i-th address, and returns what cuts it off.
func (p *packets) host(i int, c *Config) (cut *atomic.Bool) {
	cut = &atomic.Bool{}
	ip := simnet.IntToPublicIPv4(i)
	link := simnet.LinkSettings{BitsPerSecond: 50e6, MTU: 1500}
	c.Listen = []string{fmt.Sprintf("/ip4/%s/udp/7400/quic-v1", ip)}
	c.SourceIP = ip
	c.ListenPacket = func(a *net.UDPAddr) (net.PacketConn, error) {
		return cuttable{p.net.NewEndpoint(a, simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}), cut}, nil
	}
	return cut
}

// inBubble runs a test over simulated links, in virtual time. What must end before the
// links do is for t.Cleanup.
func inBubble(t *testing.T, test func(t *testing.T, p *packets)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		t.Cleanup(p.net.Close)
		test(t, p)
	})
}

// at configures a host at the i-th address, and then changes it.
func (p *packets) at(i int, changes ...func(*Config)) func(*Config) {
	return func(c *Config) {
		p.host(i, c)
		for _, change := range changes {
			change(c)
		}
	}
}

// published counts what a host's validator has seen.
type published struct {
	mu   sync.Mutex
	seen map[string]int
}

func (p *published) validate(_ context.Context, _ wire.PeerID, data []byte) Verdict {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.seen == nil {
		p.seen = make(map[string]int)
	}
	p.seen[string(data)]++
	return VerdictAccept
}

// count returns how many different messages came.
func (p *published) count() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return len(p.seen)
}

// times returns how often a message came.
func (p *published) times(msg string) int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.seen[msg]
}

// world is a few hosts in a bubble, all of which dial all others.
type world struct {
	nodes  []*node
	topics []*published
	cuts   []*atomic.Bool
}

func newWorld(t *testing.T, p *packets, n int) *world {
	w := &world{}
	for i := range n {
		heard := &published{}
		w.topics = append(w.topics, heard)
		w.nodes = append(w.nodes, listen(t, i, func(c *Config) {
			c.Validate = heard.validate
			w.cuts = append(w.cuts, p.host(i, c))
		}))
	}
	var all []string
	for _, n := range w.nodes {
		all = append(all, n.Addrs()...)
	}
	for _, n := range w.nodes {
		n.addrs.bootstrap = mustParse(t, n, all)
		n.start()
	}
	return w
}

// sendAll has everybody send everybody a message on every lane, and publish one.
func (w *world) sendAll(t *testing.T, tag string) {
	t.Helper()
	for _, from := range w.nodes {
		for _, to := range w.nodes {
			for lane := wire.Control + 1; from != to && lane < wire.NumLanes; lane++ {
				if !from.Send(to.ID(), lane, []byte(tag)) {
					t.Errorf("%s: a message was refused", tag)
				}
			}
		}
		if err := from.Publish([]byte(tag + string(from.ID()))); err != nil {
			t.Error(err)
		}
	}
}

// check says what of sendAll has not arrived.
func (w *world) check(t *testing.T, tag string) {
	t.Helper()
	for i, to := range w.nodes {
		for _, from := range w.nodes {
			if from == to {
				continue
			}
			for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
				got := 0
				for _, s := range to.history() {
					if s == (seen{lane.String(), from.ID(), tag}) {
						got++
					}
				}
				if got != 1 {
					t.Errorf("%s: %d messages on lane %s from %s to %s", tag, got, lane, from.ID().Short(), to.ID().Short())
				}
			}
			if got := w.topics[i].times(tag + string(from.ID())); got != 1 {
				t.Errorf("%s: what %s published has come to %s %d times", tag, from.ID().Short(), to.ID().Short(), got)
			}
		}
	}
}

// awaitMesh waits until what is published comes to a host, and goes from it, by
// GossipSub's mesh, and not only by its gossip, which forgets within seconds. There
// must be a neighbour on either side of which the link is in the mesh, and that is not
// about to prune it: heartbeats prune who has as many as Dhi, of these hosts several at
// the same time the same one.
func (w *world) awaitMesh(t *testing.T, i int) {
	t.Helper()
	me := w.nodes[i].topic.tracer
	for range 60 {
		for _, n := range w.nodes {
			if other := n.topic.tracer; me.holds(n.topic.host.self) && other.holds(w.nodes[i].topic.host.self) &&
				other.meshSize() < meshParams().Dhi {
				return
			}
		}
		time.Sleep(time.Second)
	}
	t.Fatal("a host is outside of the mesh after a minute")
}

// holds says whether a peer is in the mesh.
func (t *tracer) holds(p peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.mesh[p]
}

// A lane that is not used has no stream, and the first message on it takes no round trip
// more than the others.
func TestStreamComesWithTheFirstMessage(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		w := newWorld(t, p, 2)
		time.Sleep(5 * time.Second)
		a, b := w.nodes[0], w.nodes[1]
		streams := func() (n int) {
			for _, c := range a.libp2p.Network().ConnsToPeer(b.self) {
				for _, s := range c.GetStreams() {
					if s.Protocol() == a.protocol(wire.Bodies) {
						n++
					}
				}
			}
			return n
		}
		if n := streams(); n != 0 || len(a.Neighbours()) != 1 {
			t.Errorf("%d streams on an idle lane, to %d neighbours", n, len(a.Neighbours()))
		}
		var took []time.Duration
		for _, msg := range []string{"the first", "the second"} {
			begun := time.Now()
			a.Send(b.ID(), wire.Bodies, []byte(msg))
			b.awaitSeen(t, seen{"bodies", a.ID(), msg})
			took = append(took, time.Since(begun))
		}
		if n := streams(); n != 1 {
			t.Errorf("%d streams on a lane that is used", n)
		}
		if took[0] > took[1]*3/2 {
			t.Errorf("the first message took %v, the second %v", took[0], took[1])
		}
		for _, n := range w.nodes {
			n.cancel()
			<-n.ended
		}
		p.net.Close()
	})
}

// Whole hosts over simulated links: they connect, exchange messages on every lane
// and on the topic, live through cuts of up to 26 seconds with their connections, and
// stop. That no goroutine outlives Run, the bubble itself checks.
func TestHostsInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		w := newWorld(t, p, 5)
		time.Sleep(5 * time.Second)
		for _, n := range w.nodes {
			if got := len(n.Neighbours()); got != 4 {
				t.Fatalf("%s has %d neighbours, want 4\n%s", n.ID().Short(), got, n.logs)
			}
			for _, p := range n.Neighbours() {
				if rtt := n.RTT(p); rtt < 40*time.Millisecond || rtt > 60*time.Millisecond {
					t.Errorf("the round trip from %s to %s is %s, want 40 ms and a little more", n.ID().Short(), p.Short(), rtt)
				}
			}
		}
		w.sendAll(t, "before ")
		time.Sleep(5 * time.Second)
		w.check(t, "before ")

		for _, cut := range []time.Duration{5, 20, 26} {
			w.awaitMesh(t, 4)
			w.cuts[4].Store(true)
			time.Sleep(700 * time.Millisecond)
			tag := fmt.Sprint("during ", cut, " ")
			w.sendAll(t, tag) // waits in queues and in QUIC
			time.Sleep(cut*time.Second - 700*time.Millisecond)
			w.cuts[4].Store(false)
			time.Sleep(30 * time.Second)
			w.check(t, tag)
		}
		w.sendAll(t, "after ")
		time.Sleep(5 * time.Second)
		w.check(t, "after ")

		for _, n := range w.nodes {
			if downs := count(n.history(), "down"); downs != 0 {
				t.Errorf("%s lost %d neighbours\n%s", n.ID().Short(), downs, n.logs)
			}
			n.cancel()
		}
		for _, n := range w.nodes {
			<-n.ended
			if n.err != nil {
				t.Error(n.err)
			}
			if ups, downs := count(n.history(), "up"), count(n.history(), "down"); ups != 4 || downs != 4 {
				t.Errorf("%s: %d up and %d down", n.ID().Short(), ups, downs)
			}
		}
		p.net.Close()
	})
}

// A cut that QUIC does not survive ends in the same neighbours again, soon after it
// heals.
func TestLongCutHeals(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		w := newWorld(t, p, 3)
		time.Sleep(5 * time.Second)
		w.cuts[2].Store(true)
		time.Sleep(3 * time.Minute)
		if got := len(w.nodes[2].Neighbours()); got != 0 {
			t.Errorf("%d neighbours across a cut of three minutes", got)
		}
		w.cuts[2].Store(false)
		time.Sleep(lateDelay + dialTimeout + 5*time.Second)
		w.sendAll(t, "after ")
		time.Sleep(5 * time.Second)
		w.check(t, "after ")
		for _, n := range w.nodes {
			n.cancel()
			<-n.ended
		}
		p.net.Close()
	})
}

// Restarting a peer that died without a word is not taken for a second node with
// its identity.
func TestKilledPeerComesBack(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		w := newWorld(t, p, 2)
		time.Sleep(5 * time.Second)
		w.cuts[1].Store(true) // dead: nothing gets out, not even a goodbye
		w.nodes[1].cancel()
		<-w.nodes[1].ended
		again := listen(t, 1, func(c *Config) {
			p.host(1, c)
			c.Listen[0] = "/ip4/" + c.SourceIP.String() + "/udp/7401/quic-v1"
			c.Bootstrap = w.nodes[0].Addrs()
		}).start()
		time.Sleep(15 * time.Second)
		if got := again.Neighbours(); len(got) != 1 {
			t.Errorf("%d neighbours\n%s\n%s", len(got), again.logs, w.nodes[0].logs)
		}
		for _, n := range []*node{w.nodes[0], again} {
			n.cancel()
			<-n.ended
			if n.err != nil {
				t.Error(n.err)
			}
		}
		p.net.Close()
	})
}

// A burst that GossipSub's own queue sizes lose most of comes through whole.
func TestLargeBurstOnTheTopicLosesNothing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		w := newWorld(t, p, 6)
		time.Sleep(5 * time.Second)
		const burst = 2000
		for i := range burst {
			if err := w.nodes[0].Publish(fmt.Appendf(nil, "%d %0300d", i, 0)); err != nil {
				t.Fatal(err)
			}
		}
		time.Sleep(10 * time.Second)
		for i, heard := range w.topics[1:] {
			if got := heard.count(); got != burst {
				t.Errorf("node %d has %d of %d messages", i+1, got, burst)
			}
		}
		for _, n := range w.nodes {
			for _, loss := range []string{"dropped: queue full", "rejected: validation queue full", "rejected: validation throttled", "undeliverable"} {
				if got := valueOf(t, n.metrics.pubsub.WithLabelValues(loss)); got != 0 {
					t.Errorf("%s: %v %s", n.ID().Short(), got, loss)
				}
			}
			n.cancel()
			<-n.ended
		}
		p.net.Close()
	})
}
