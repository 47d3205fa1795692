package membership

import (
	"cmp"
	"container/heap"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"hash"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_700_000_000, 0)

// sim runs many cores on a heap of events, with links that take time and can be cut.
type sim struct {
	t     testing.TB
	rng   *rand.Rand
	now   time.Time
	queue events
	seq   int
	nodes []*simNode
	byKey map[block.PublicKey]int
	links map[[2]int]int      // the lower node first; which of them dialled
	cut   func(a, b int) bool // messages and dials do not get through
	trace hash.Hash
	bytes int // of all messages
	tune  func(*Config)
}

type simNode struct {
	core  *Core
	alive bool
	inc   uint64
	wants map[int]int // whom it dials, and how often that was in vain
	life  int         // starts so far: events of an earlier one are void
	blame []string
}

type event struct {
	at  time.Time
	seq int
	do  func()
}

type events []event

func (q events) Len() int { return len(q) }
func (q events) Less(i, j int) bool {
	return cmp.Or(q[i].at.Compare(q[j].at), q[i].seq-q[j].seq) < 0
}
func (q events) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *events) Push(x any)   { *q = append(*q, x.(event)) }
func (q *events) Pop() any {
	old := *q
	e := old[len(old)-1]
	*q = old[:len(old)-1]
	return e
}

func simKey(i int) block.PublicKey { return block.PublicKey(sha256.Sum256(fmt.Append(nil, "node", i))) }

// addrOf spreads nodes over groups of eight.
func addrOf(i int) string { return fmt.Sprintf("/ip4/10.%d.0.%d/udp/7400/quic-v1", i/8, i%8+1) }

func noSign([]byte) block.Signature { return block.Signature{} }

// newSim starts n nodes that know the first one.
func newSim(t testing.TB, seed uint64, n int, tune func(*Config)) *sim {
	s := &sim{
		t: t, rng: rand.New(rand.NewPCG(seed, 9)), now: start, tune: tune,
		byKey: make(map[block.PublicKey]int), links: make(map[[2]int]int),
		cut: func(int, int) bool { return false }, trace: sha256.New(),
	}
	for i := range n {
		s.nodes = append(s.nodes, &simNode{})
		s.byKey[simKey(i)] = i
	}
	for i := range n {
		s.after(time.Duration(s.rng.Int64N(int64(time.Second))), func() { s.boot(i) })
	}
	return s
}

// boot starts a node, or starts it again with the next incarnation.
func (s *sim) boot(i int) {
	n := s.nodes[i]
	s.unlinkAll(func(a, b int) bool { return a == i || b == i }) // those of the last start
	n.alive, n.inc, n.wants = true, n.inc+1, make(map[int]int)
	n.life++
	cfg := Config{
		Self: simKey(i), Sign: noSign, Incarnation: n.inc,
		Info:      Info{Addrs: []string{addrOf(i)}, Software: "sim"},
		Bootstrap: []Contact{{simKey(0), []string{addrOf(0)}}},
	}
	if s.tune != nil {
		s.tune(&cfg)
	}
	var seed [32]byte
	binary.BigEndian.PutUint64(seed[:], s.rng.Uint64())
	n.core = New(s.now, cfg, seed)
	s.settle(i)
	s.tickLater(i, n.life)
}

func (s *sim) tickLater(i, life int) {
	n := s.nodes[i]
	d := n.core.Deadline()
	if d.IsZero() {
		return
	}
	s.after(max(0, d.Sub(s.now)), func() {
		if n.alive && n.life == life {
			n.core.Tick(s.now)
			s.settle(i)
			s.tickLater(i, life)
		}
	})
}

func (s *sim) after(d time.Duration, do func()) {
	s.seq++
	heap.Push(&s.queue, event{s.now.Add(d), s.seq, do})
}

// run lets so much time pass.
func (s *sim) run(d time.Duration) {
	end := s.now.Add(d)
	for len(s.queue) > 0 && !s.queue[0].at.After(end) {
		e := heap.Pop(&s.queue).(event)
		s.now = e.at
		e.do()
	}
	s.now = end
}

// settle carries out a core's effects.
func (s *sim) settle(i int) {
	n := s.nodes[i]
	for _, e := range n.core.Effects() {
		switch e := e.(type) {
		case Send:
			s.deliver(i, s.byKey[e.To], e.Message)
		case Connect:
			j := s.byKey[e.Key]
			if _, ok := n.wants[j]; !ok {
				n.wants[j] = 0
				s.dial(i, j, n.life)
			}
		case Release:
			j := s.byKey[e.Key]
			delete(n.wants, j)
			if by, ok := s.links[pair(i, j)]; ok && by == i {
				s.unlink(i, j)
			}
		case Persist:
			n.inc = e.Incarnation
		case Blame:
			n.blame = append(n.blame, e.Reason)
		}
	}
}

func pair(i, j int) [2]int { return [2]int{min(i, j), max(i, j)} }

func (s *sim) latency() time.Duration {
	return 20*time.Millisecond + time.Duration(s.rng.Int64N(int64(30*time.Millisecond)))
}

// deliver sends a message through its encoding, as the driver does.
func (s *sim) deliver(i, j int, m Message) {
	raw := Encode(m)
	s.bytes += len(raw)
	if len(raw) > wire.MaxControl-16 {
		s.t.Fatalf("message of %d bytes", len(raw))
	}
	got, err := Decode(raw)
	if err != nil {
		s.t.Fatalf("decoding %T: %v", m, err)
	}
	fmt.Fprintln(s.trace, s.now.UnixNano(), i, j)
	s.trace.Write(raw)
	life := s.nodes[j].life
	s.after(s.latency(), func() {
		_, linked := s.links[pair(i, j)]
		if linked && s.nodes[j].alive && s.nodes[j].life == life && !s.cut(i, j) {
			s.nodes[j].core.Receive(s.now, simKey(i), got)
			s.settle(j)
		}
	})
}

func (s *sim) dial(i, j, life int) {
	s.after(s.latency(), func() {
		n := s.nodes[i]
		tries, wanted := n.wants[j]
		_, linked := s.links[pair(i, j)]
		if !n.alive || n.life != life || !wanted || linked {
			return
		}
		if s.nodes[j].alive && !s.cut(i, j) {
			s.links[pair(i, j)] = i
			n.wants[j] = 0
			s.up(i, j)
			s.up(j, i)
			return
		}
		n.wants[j] = tries + 1
		s.after(min(time.Second<<min(tries, 5), 30*time.Second), func() { s.dial(i, j, life) })
		n.core.DialFailed(s.now, simKey(j))
		s.settle(i)
	})
}

func (s *sim) up(i, j int) {
	// The other side may have let go already, when it was told.
	if _, linked := s.links[pair(i, j)]; linked && s.nodes[i].alive {
		n := s.nodes[i]
		n.core.PeerUp(s.now, simKey(j))
		s.settle(i)
	}
}

// unlink closes a connection; whoever still wants it dials again.
func (s *sim) unlink(i, j int) {
	if _, ok := s.links[pair(i, j)]; !ok {
		return
	}
	delete(s.links, pair(i, j))
	for _, side := range [][2]int{{i, j}, {j, i}} {
		n := s.nodes[side[0]]
		if !n.alive {
			continue
		}
		n.core.PeerDown(s.now, simKey(side[1]))
		s.settle(side[0])
		if _, wanted := n.wants[side[1]]; wanted {
			s.after(time.Second, func() { s.dial(side[0], side[1], n.life) })
		}
	}
}

func (s *sim) unlinkAll(match func(a, b int) bool) {
	var gone [][2]int
	for p := range s.links {
		if match(p[0], p[1]) {
			gone = append(gone, p)
		}
	}
	slices.SortFunc(gone, func(a, b [2]int) int { return cmp.Or(a[0]-b[0], a[1]-b[1]) })
	for _, p := range gone {
		s.unlink(p[0], p[1])
	}
}

// kill ends a node without a word; its connections time out.
func (s *sim) kill(i int) {
	n := s.nodes[i]
	n.alive = false
	life := n.life
	s.after(30*time.Second, func() {
		if n.life == life && !n.alive {
			s.unlinkAll(func(a, b int) bool { return a == i || b == i })
		}
	})
}

// restart kills and boots a node: its old connections are gone.
func (s *sim) restart(i int) {
	s.nodes[i].alive = false
	s.boot(i)
}

// leave ends a node with a word.
func (s *sim) leave(i int) {
	n := s.nodes[i]
	n.core.Leave(s.now)
	s.settle(i)
	s.after(100*time.Millisecond, func() {
		n.alive = false
		s.unlinkAll(func(a, b int) bool { return a == i || b == i })
	})
}

// partition cuts the network in two; connections across time out.
func (s *sim) partition(side func(int) bool) {
	s.cut = func(a, b int) bool { return side(a) != side(b) }
	s.after(30*time.Second, func() { s.unlinkAll(s.cut) })
}

func (s *sim) heal() { s.cut = func(int, int) bool { return false } }

// states returns how node i judges all others, by number.
func (s *sim) states(i int) map[int]State {
	out := make(map[int]State)
	for _, m := range s.nodes[i].core.Members() {
		out[s.byKey[m.Owner]] = m.State
	}
	return out
}

// agree says whether all live nodes judge all live nodes to be alive, and says what
// is not so.
func (s *sim) agree() error {
	for i, n := range s.nodes {
		if !n.alive {
			continue
		}
		states := s.states(i)
		for j, o := range s.nodes {
			st, known := states[j]
			if o.alive && (!known || st != Alive) {
				return fmt.Errorf("at %v, %d takes %d for %v (known: %v)", s.now.Sub(start), i, j, st, known)
			}
			if !o.alive && known && st == Alive {
				return fmt.Errorf("at %v, %d takes %d, which is gone, for alive", s.now.Sub(start), i, j)
			}
		}
	}
	return nil
}

// within returns how long it takes until all agree, or fails the test.
func (s *sim) within(limit time.Duration) time.Duration {
	s.t.Helper()
	began := s.now
	for s.agree() != nil {
		if s.now.Sub(began) >= limit {
			s.t.Fatalf("no agreement within %v: %v", limit, s.agree())
		}
		s.run(500 * time.Millisecond)
	}
	return s.now.Sub(began)
}

func (s *sim) nobodyBlamed() {
	s.t.Helper()
	for i, n := range s.nodes {
		if len(n.blame) > 0 {
			s.t.Errorf("node %d blames others: %v", i, n.blame[0])
		}
	}
}
