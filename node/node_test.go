package node_test

import (
	"context"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"
	"github.com/prometheus/client_golang/prometheus"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/fresh"
	"grapevine/genesis"
	"grapevine/mempool"
	"grapevine/node"
)

// world is a network of whole nodes over simulated links, in a bubble's time.
type world struct {
	t          *testing.T
	genesis    *genesis.Genesis
	net        *simnet.Simnet
	configs    []node.Config
	nodes      []*node.Node
	registries []*prometheus.Registry
	cancel     []context.CancelFunc
	ended      []chan error
	sender     sig.Key
	nonce      uint64
	cut        atomic.Pointer[func(from, to net.Addr) bool] // what does not get through; nil: all does
}

// gated swallows the packets that the world's cut stops.
type gated struct {
	*simnet.SimConn
	world *world
}

func (g *gated) WriteTo(p []byte, to net.Addr) (int, error) {
	if cut := g.world.cut.Load(); cut != nil && (*cut)(g.LocalAddr(), to) {
		return len(p), nil
	}
	return g.SimConn.WriteTo(p, to)
}

// newWorld makes n nodes on links of 50 Mbit/s and 10 ms, 0 the orderer.
func newWorld(t *testing.T, n int, change func(i int, c *node.Config)) *world {
	t.Helper()
	keys := make([]sig.Key, n)
	for i := range keys {
		keys[i] = sig.NewKey([32]byte{1, byte(i)})
	}
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "test",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(keys[0].Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{t: t, genesis: g, sender: sig.NewKey([32]byte{9}), net: &simnet.Simnet{
		LatencyFunc: func(*simnet.Packet) time.Duration { return 10 * time.Millisecond },
	}}
	for i := range n {
		c := w.link(i)
		c.Genesis, c.Key, c.Seed = g, keys[i], uint64(i+1)
		c.Logger, c.Registry = logger(t, i), prometheus.NewRegistry()
		w.registries = append(w.registries, c.Registry)
		if i > 0 {
			c.Bootstrap = w.nodes[0].Addrs()
			for _, other := range w.nodes[1:] {
				c.Bootstrap = append(c.Bootstrap, other.Addrs()...)
			}
		}
		if change != nil {
			change(i, &c)
		}
		w.configs = append(w.configs, c)
		w.nodes = append(w.nodes, w.open(i))
	}
	w.net.Start()
	synctest.Wait() // let every host settle before the first dial
	w.cancel, w.ended = make([]context.CancelFunc, n), make([]chan error, n)
	for i := range w.nodes {
		w.run(i)
	}
	w.until(time.Minute, "all nodes are neighbours", func() bool {
		for _, nd := range w.nodes {
			if len(nd.Neighbours()) < n-1 {
				return false
			}
		}
		return true
	})
	return w
}

// link configures the i-th place in the network.
func (w *world) link(i int) node.Config {
	ip, link := simnet.IntToPublicIPv4(i), simnet.LinkSettings{BitsPerSecond: 50 * simnet.Mibps}
	return node.Config{
		Listen: []string{fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", ip)}, SourceIP: ip,
		ListenPacket: func(a *net.UDPAddr) (net.PacketConn, error) {
			return &gated{w.net.NewEndpoint(a, simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}), w}, nil
		},
	}
}

// open makes a node as it is configured.
func (w *world) open(i int) *node.Node {
	w.t.Helper()
	nd, err := node.New(w.configs[i])
	if err != nil {
		w.t.Fatal(err)
	}
	return nd
}

// run lets a node run.
func (w *world) run(i int) {
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error, 1)
	nd := w.nodes[i]
	go func() { ended <- nd.Run(ctx) }()
	w.cancel[i], w.ended[i] = cancel, ended
}

// halt ends a node in order.
func (w *world) halt(i int) {
	w.t.Helper()
	w.cancel[i]()
	if err := <-w.ended[i]; err != nil {
		w.t.Fatalf("node %d ended with %v", i, err)
	}
}

// again starts a node that was ended, with changed settings.
func (w *world) again(i int, change func(c *node.Config)) {
	w.t.Helper()
	w.configs[i].Registry = prometheus.NewRegistry()
	change(&w.configs[i])
	w.nodes[i] = w.open(i)
	w.run(i)
}

// logger shows the nodes' logs when GRAPEVINE_TEST_LOG is set.
func logger(_ *testing.T, i int) *slog.Logger {
	if os.Getenv("GRAPEVINE_TEST_LOG") == "" {
		return nil
	}
	return slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelDebug})).With("node", i)
}

// until waits in virtual time for a condition.
func (w *world) until(most time.Duration, what string, ok func() bool) time.Duration {
	w.t.Helper()
	start := time.Now()
	for !ok() {
		if time.Since(start) > most {
			w.t.Fatalf("after %v it is not yet so that %s", most, what)
		}
		time.Sleep(5 * time.Millisecond) // virtual: a step of the bubble's clock
	}
	return time.Since(start)
}

// stop ends all nodes and the network.
func (w *world) stop() {
	w.t.Helper()
	for i := range w.nodes {
		w.cancel[i]()
	}
	for i, ended := range w.ended {
		if err := <-ended; err != nil {
			w.t.Errorf("node %d ended with %v", i, err)
		}
	}
	w.net.Close()
}

// counters returns the sums of counters over all nodes, by name and label values.
func (w *world) counters() map[string]float64 {
	sums := map[string]float64{}
	for _, r := range w.registries {
		families, err := r.Gather()
		if err != nil {
			w.t.Fatal(err)
		}
		for _, f := range families {
			for _, m := range f.Metric {
				key := f.GetName()
				for _, l := range m.Label {
					key += " " + l.GetValue()
				}
				sums[key] += m.GetCounter().GetValue()
			}
		}
	}
	return sums
}

// logMetrics logs the sums of counters over all nodes, where they are not zero.
func (w *world) logMetrics(names ...string) {
	sums := w.counters()
	for _, key := range slices.Sorted(maps.Keys(sums)) {
		if name, _, _ := strings.Cut(key, " "); slices.Contains(names, name) && sums[key] > 0 {
			w.t.Logf("%s: %.0f", key, sums[key])
		}
	}
}

func (w *world) tx(payload string) *block.Tx {
	w.nonce++
	return w.sender.SignTx(w.genesis.ID(), block.TxFields{Nonce: w.nonce, Expiry: 1000, Payload: []byte(payload)})
}

// submit hands transactions to a node, which must accept them all.
func (w *world) submit(i int, txs ...*block.Tx) {
	w.t.Helper()
	verdicts, err := w.nodes[i].Submit(w.t.Context(), txs)
	if err != nil {
		w.t.Fatal(err)
	}
	for j, v := range verdicts {
		if v.Status != mempool.Accepted {
			w.t.Fatalf("transaction %d at node %d: %v, %v", j, i, v.Status, v.Err)
		}
	}
}

// everywhere says whether each of the transactions stands in the same block on
// every node.
func (w *world) everywhere(txs []*block.Tx) bool {
	top := w.nodes[0].Tip().Height
	for _, nd := range w.nodes {
		if nd.Tip().Height < top {
			return false
		}
	}
	stands := map[block.ID]uint64{}
	for h := uint64(1); h <= top; h++ {
		first, err := w.nodes[0].Block(h)
		if err != nil {
			w.t.Fatal(err)
		}
		for _, nd := range w.nodes[1:] {
			b, err := nd.Block(h)
			if err != nil {
				w.t.Fatal(err)
			}
			if b.ID() != first.ID() {
				w.t.Fatalf("two blocks at height %d: %s and %s", h, b.ID(), first.ID())
			}
		}
		for _, id := range first.TxIDs() {
			if stands[id] != 0 {
				w.t.Fatalf("transaction %s stands at heights %d and %d", id, stands[id], h)
			}
			stands[id] = h
		}
	}
	for _, t := range txs {
		if stands[t.ID()] == 0 {
			return false
		}
	}
	return true
}

// Nothing of a node outlives Run: a goroutine that does makes the bubble panic.
func TestNodeStartsAndStops(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 1, nil)
		w.stop()
	})
}

func TestTransactionsStandInTheSameBlockEverywhere(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5, nil)
		defer w.stop()
		var all []*block.Tx
		for i := range 100 {
			x := w.tx(fmt.Sprint("payload ", i))
			w.submit(i%5, x)
			all = append(all, x)
			time.Sleep(10 * time.Millisecond)
		}
		took := w.until(10*time.Second, "every transaction stands everywhere", func() bool { return w.everywhere(all) })
		t.Logf("everything stood everywhere %v after the last transaction, at height %d", took, w.nodes[0].Tip().Height)
	})
}

func TestModes(t *testing.T) {
	for _, mode := range []fresh.Mode{fresh.PullOnly, fresh.PushOnly} {
		t.Run(mode.String(), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, 5, func(_ int, c *node.Config) { c.Protocol.Fresh.Mode, c.Protocol.NoCatchup = mode, true })
				defer w.stop()
				var all []*block.Tx
				for i := range 20 {
					x := w.tx(fmt.Sprint("payload ", i))
					w.submit(i%5, x)
					all = append(all, x)
					time.Sleep(100 * time.Millisecond)
				}
				w.until(30*time.Second, "every transaction stands everywhere", func() bool { return w.everywhere(all) })
			})
		})
	}
}

func TestLateJoinerCatchesUp(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		// The third node pushes and pulls nothing of 60 blocks that are older than it.
		w := newWorld(t, 2, nil)
		for i := range 60 {
			w.submit(0, w.tx(fmt.Sprint("payload ", i)))
			h := uint64(i + 1)
			w.until(5*time.Second, "the block is there", func() bool { return w.nodes[1].Tip().Height >= h })
		}
		ip := simnet.IntToPublicIPv4(7)
		link := simnet.LinkSettings{BitsPerSecond: 50 * simnet.Mibps}
		late, err := node.New(node.Config{
			Genesis: w.genesis, Key: sig.NewKey([32]byte{1, 7}), Seed: 7, Bootstrap: w.nodes[1].Addrs(),
			Listen: []string{fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", ip)}, SourceIP: ip, Logger: logger(t, 2),
			ListenPacket: func(a *net.UDPAddr) (net.PacketConn, error) {
				return w.net.NewEndpoint(a, simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}), nil
			},
		})
		if err != nil {
			t.Fatal(err)
		}
		synctest.Wait()
		ctx, cancel := context.WithCancel(t.Context())
		ended := make(chan error, 1)
		go func() { ended <- late.Run(ctx) }()
		w.nodes, w.cancel, w.ended = append(w.nodes, late), append(w.cancel, cancel), append(w.ended, ended)
		took := w.until(10*time.Second, "the late joiner has the tip", func() bool { return w.everywhere(nil) })
		t.Logf("60 blocks were caught up in %v", took)
		w.stop()
	})
}

// Two of five peers are cut off for 20 s while the others go on.
func TestCutOffPeersReachTheTipAfterHealing(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 5, nil)
		defer w.stop()
		far := func(a net.Addr) bool {
			ip := a.(*net.UDPAddr).IP
			return ip.Equal(simnet.IntToPublicIPv4(3)) || ip.Equal(simnet.IntToPublicIPv4(4))
		}
		cut := func(from, to net.Addr) bool { return far(from) != far(to) }
		w.cut.Store(&cut)
		var all []*block.Tx
		for i := range 100 { // some on each side: those of the far side wait there
			x := w.tx(fmt.Sprint("payload ", i))
			w.submit(i%5, x)
			all = append(all, x)
			time.Sleep(200 * time.Millisecond)
		}
		near, behind := w.nodes[0].Tip().Height, w.nodes[4].Tip().Height
		if behind != 0 || near < 20 {
			t.Fatalf("heights are %d and, behind the cut, %d: want 20 or more, and 0", near, behind)
		}
		w.cut.Store(nil)
		took := w.until(5*time.Second, "all peers have the tip", func() bool { return w.everywhere(nil) && w.nodes[4].Tip().Height >= near })
		t.Logf("%d blocks behind after 20 s; all at the same tip %v after the cut healed", near, took)
		w.until(10*time.Second, "every transaction stands everywhere", func() bool { return w.everywhere(all) })
	})
}
