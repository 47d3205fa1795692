package packets

import (
	"fmt"
	"sync"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/node"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// bootstraps is how many peers everybody is told of; the others are found.
const bootstraps = 3

// nodes is a network of whole nodes.
type nodes struct {
	w         *world
	genesis   *genesis.Genesis
	keys      []sig.Key
	ids       []string
	addrs     []string
	memories  []*ledger.Memory // the peers' disks
	counters  []*prometheus.Registry
	past      []int64  // what came again in the lives before
	orderer   *orderer // nil: peer 0 has its own
	bootstrap []string

	mu    sync.Mutex
	lives []*node.Node // guarded by mu; each one's last life; nil: there was none
}

func newNodes(w *world) (*nodes, error) {
	n := w.plan.Peers
	ns := &nodes{
		w: w, keys: make([]sig.Key, n), ids: make([]string, n), addrs: make([]string, n),
		memories: make([]*ledger.Memory, n), counters: make([]*prometheus.Registry, n), past: make([]int64, n),
		lives: make([]*node.Node, n),
	}
	for i := range n {
		ns.keys[i], ns.memories[i] = sig.NewKey(ns.seed("identity", i)), ledger.NewMemory()
		ns.ids[i] = genesis.PeerID(ns.keys[i].Public())
		ns.addrs[i] = listenAddr(w.network.ports[i].ip) + "/p2p/" + ns.ids[i]
		w.book.name(i, ns.ids[i])
		if w.plan.PeerPlans[i].Joins == 0 && len(ns.bootstrap) < bootstraps {
			ns.bootstrap = append(ns.bootstrap, ns.addrs[i])
		}
	}
	var err error
	ns.genesis, err = genesis.New(genesis.Genesis{
		ChainID:   "packets",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: ns.ids[0]},
		Admission: genesis.Admission{Type: "open"},
		Coding:    genesis.ReedSolomon,
	})
	if err != nil {
		return nil, fmt.Errorf("genesis: %w", err)
	}
	if w.plan.Load.TxRate == 0 {
		ns.orderer = newOrderer(ns)
	} else {
		w.users = newUsers(ns)
	}
	return ns, nil
}

// seed returns the secret of a key.
func (ns *nodes) seed(purpose string, number int) (seed [32]byte) {
	fill(seed[:], ns.w.plan.Random(purpose, uint64(number)))
	return seed
}

func (ns *nodes) open(i int) (runner, error) {
	port := ns.w.network.ports[i]
	blocks, err := ns.w.plan.Settings.Protocol()
	if err != nil {
		return nil, err
	}
	ns.past[i], ns.counters[i] = ns.again(i), prometheus.NewRegistry()
	cfg := node.Config{
		Genesis: ns.genesis, Key: ns.keys[i], Memory: ns.memories[i], Seed: ns.w.plan.Random("node", uint64(i)).Uint64(),
		Listen: []string{listenAddr(port.ip)}, SourceIP: port.ip, ListenPacket: port.listen, Bootstrap: ns.bootstrap,
		// A block of the smallest transactions, and those of some blocks that a peer
		// that is cut off waits for.
		PoolMaxPerSender: 100_000,
		OnAccepted:       func(a node.Accepted) { ns.accept(i, a) },
		OnDropped:        func(p wire.PeerID, why string) { ns.w.book.drop(i, string(p), why) },
		Registry:         ns.counters[i],
		Protocol:         blocks,
	}
	if i == 0 && ns.orderer != nil {
		cfg.Orderer = ns.orderer
	}
	nd, err := node.New(cfg)
	if err != nil {
		return nil, err
	}
	ns.mu.Lock()
	defer ns.mu.Unlock()
	ns.lives[i] = nd
	return nd, nil
}

// life returns a peer's node; nil: it had none yet.
func (ns *nodes) life(i int) *node.Node {
	ns.mu.Lock()
	defer ns.mu.Unlock()
	return ns.lives[i]
}

func (ns *nodes) accept(i int, a node.Accepted) {
	ns.w.book.accept(i, accepted{
		height: a.Height, id: a.ID, bytes: a.Bytes, made: a.At.Add(-a.Latency), via: a.Via, from: string(a.From), hop: a.Hop,
	})
}

// unlinked wants everybody to have all others for neighbours, or, where there are too
// many, as many as it looks for.
func (ns *nodes) unlinked() string {
	up := 0
	for _, l := range ns.w.lives {
		if l != nil {
			up++
		}
	}
	want := up - 1
	if up > membership.DefaultFull {
		want = membership.DefaultActive
	}
	for i, l := range ns.w.lives {
		if l == nil {
			continue
		}
		if got := len(ns.life(i).Neighbours()); got < want {
			return fmt.Sprintf("peer %d has %d neighbours, want %d", i, got, want)
		}
	}
	return ""
}

func (ns *nodes) propose(number int) error {
	ns.orderer.due <- number // has room for all blocks
	return nil
}

func (ns *nodes) chain(i int) (uint64, block.ID) {
	nd := ns.life(i)
	if nd == nil {
		return 0, block.ID{}
	}
	tip := nd.Tip()
	if tip.Height == 0 {
		return 0, block.ID{}
	}
	return tip.Height, tip.ID
}

// againMetric is the count of what came again.
const againMetric = "grapevine_block_again_bytes_total"

func (ns *nodes) again(i int) int64 {
	if ns.counters[i] == nil {
		return 0
	}
	families, err := ns.counters[i].Gather()
	if err != nil {
		panic(fmt.Sprintf("packets: a node's metrics: %v", err))
	}
	for _, f := range families {
		if f.GetName() == againMetric {
			return ns.past[i] + int64(f.Metric[0].GetCounter().GetValue())
		}
	}
	return ns.past[i]
}
