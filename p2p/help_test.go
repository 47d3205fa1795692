package p2p

import (
	"bytes"
	"context"
	"crypto/sha256"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"
	"github.com/prometheus/client_golang/prometheus"
	dto "github.com/prometheus/client_model/go"

	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/p2p/wire"
)

// hang is how long tests over sockets wait for what must come. It only makes a failure of
// what would hang: no test is about how fast this machine is.
const hang = 5 * time.Minute

func testKey(i int) sig.Key { return sig.NewKey(sha256.Sum256([]byte{byte(i), byte(i >> 8)})) }

func testGenesis(t testing.TB, chain string, admitted ...string) *genesis.Genesis {
	t.Helper()
	g := genesis.Genesis{
		ChainID:   chain,
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(testKey(0).Public())},
		Admission: genesis.Admission{Type: "open"},
	}
	if len(admitted) > 0 {
		g.Admission = genesis.Admission{Type: "list", Peers: admitted}
	}
	out, err := genesis.New(g)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

// seen is one call of a Handler.
type seen struct {
	what string // up, down, or a lane
	peer wire.PeerID
	msg  string
}

// recorder is a Handler that remembers, and lets a test wait for what it wants.
type recorder struct {
	lock    sync.Mutex
	all     []seen
	changed chan struct{}
	hold    chan struct{} // when not nil, Receive waits for it to be closed
	held    chan struct{} // gets a token when Receive begins to wait
}

func newRecorder() *recorder {
	return &recorder{changed: make(chan struct{}), held: make(chan struct{}, 1000)}
}

func (r *recorder) add(s seen) {
	r.lock.Lock()
	defer r.lock.Unlock()
	r.all = append(r.all, s)
	close(r.changed)
	r.changed = make(chan struct{})
}

func (r *recorder) PeerUp(p wire.PeerID, _ wire.Hello) { r.add(seen{"up", p, ""}) }
func (r *recorder) PeerDown(p wire.PeerID)             { r.add(seen{"down", p, ""}) }
func (r *recorder) Receive(p wire.PeerID, lane wire.Lane, msg []byte) {
	r.lock.Lock()
	hold := r.hold
	r.lock.Unlock()
	if hold != nil {
		r.held <- struct{}{}
		<-hold
	}
	r.add(seen{lane.String(), p, string(msg)})
}

func (r *recorder) history() []seen {
	r.lock.Lock()
	defer r.lock.Unlock()
	return slices.Clone(r.all)
}

// await returns once cond holds of what has been seen, or fails the test.
func (r *recorder) await(t testing.TB, what string, cond func([]seen) bool) {
	t.Helper()
	timeout := time.After(hang)
	for {
		r.lock.Lock()
		ok, changed := cond(r.all), r.changed
		r.lock.Unlock()
		if ok {
			return
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain for %s; saw %v", what, r.history())
		}
	}
}

func (r *recorder) awaitSeen(t testing.TB, want ...seen) {
	t.Helper()
	r.await(t, fmt.Sprint(want), func(all []seen) bool {
		for _, w := range want {
			if !slices.Contains(all, w) {
				return false
			}
		}
		return true
	})
}

func count(all []seen, what string) int {
	n := 0
	for _, s := range all {
		if s.what == what {
			n++
		}
	}
	return n
}

// logs keeps what a host logs, and lets a test wait for it.
type logs struct {
	mu  sync.Mutex
	buf bytes.Buffer
	new chan struct{}
}

func newLogs() *logs { return &logs{new: make(chan struct{})} }

func (l *logs) Write(b []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	close(l.new)
	l.new = make(chan struct{})
	return l.buf.Write(b)
}

func (l *logs) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.buf.String()
}

func (l *logs) logger() *slog.Logger {
	return slog.New(slog.NewTextHandler(l, &slog.HandlerOptions{Level: slog.LevelDebug}))
}

// awaitLine waits for a line that holds all of the words.
func (l *logs) awaitLine(t testing.TB, words ...string) {
	t.Helper()
	l.await(t, fmt.Sprintf("a line with %q", words), func(line string) bool {
		return !slices.ContainsFunc(words, func(w string) bool { return !strings.Contains(line, w) })
	})
}

// await waits for a line that is so, and returns all of the log.
func (l *logs) await(t testing.TB, what string, so func(line string) bool) string {
	t.Helper()
	timeout := time.After(hang)
	for {
		l.mu.Lock()
		text, changed := l.buf.String(), l.new
		l.mu.Unlock()
		for line := range strings.Lines(text) {
			if so(line) {
				return text
			}
		}
		select {
		case <-changed:
		case <-timeout:
			t.Fatalf("waited in vain for %s in:\n%s", what, text)
		}
	}
}

// node is a host that runs, with what a test wants to know of it.
type node struct {
	*Host
	*recorder
	logs   *logs
	cancel context.CancelFunc
	err    error
	ended  chan struct{} // closed when Run has returned, and err is set
}

// listen opens a host on loopback; change adapts its configuration.
func listen(t testing.TB, i int, change func(*Config)) *node {
	t.Helper()
	n := &node{recorder: newRecorder(), logs: newLogs(), ended: make(chan struct{})}
	cfg := Config{
		Key:      testKey(i),
		Genesis:  testGenesis(t, "test"),
		Listen:   []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		Software: fmt.Sprintf("test %d", i),
		Logger:   n.logs.logger(),
	}
	if change != nil {
		change(&cfg)
	}
	h, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	n.Host = h
	return n
}

func (n *node) start() *node {
	ctx, cancel := context.WithCancel(context.Background())
	n.cancel = cancel
	go func() {
		n.err = n.Run(ctx, n.recorder)
		close(n.ended)
	}()
	return n
}

func (n *node) stop(t testing.TB) {
	t.Helper()
	n.cancel()
	select {
	case <-n.ended:
	case <-time.After(hang):
		t.Fatal("the host does not stop")
	}
}

// startNode runs a host on loopback until the test ends.
func startNode(t testing.TB, i int, change func(*Config)) *node {
	t.Helper()
	n := listen(t, i, change).start()
	t.Cleanup(func() { n.stop(t) })
	return n
}

func bootstrap(nodes ...*node) func(*Config) {
	return func(c *Config) {
		for _, n := range nodes {
			c.Bootstrap = append(c.Bootstrap, n.Addrs()...)
		}
	}
}

// eventually looks until something is so of which nothing tells.
func eventually(t testing.TB, what string, so func() bool) {
	t.Helper()
	for begun := time.Now(); !so(); time.Sleep(time.Millisecond) {
		if time.Since(begun) > hang {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

// awaitMesh waits until a host's topic has a mesh of so many peers.
func awaitMesh(t testing.TB, n *node, peers int) {
	t.Helper()
	eventually(t, fmt.Sprintf("a mesh of %d peers", peers), func() bool { return n.topic.tracer.meshSize() >= peers })
}

func mustAddrs(t testing.TB, list ...string) []ma.Multiaddr {
	t.Helper()
	out, err := parseAddrs("test", list)
	if err != nil {
		t.Fatal(err)
	}
	return out
}

func mustParse(t testing.TB, n *node, bootstrap []string) []peer.AddrInfo {
	t.Helper()
	c := n.cfg
	c.Bootstrap = bootstrap
	a, err := c.parse(n.self)
	if err != nil {
		t.Fatal(err)
	}
	return a.bootstrap
}

func valueOf(t testing.TB, m prometheus.Metric) float64 {
	t.Helper()
	var out dto.Metric
	if err := m.Write(&out); err != nil {
		t.Fatal(err)
	}
	return out.GetCounter().GetValue()
}
