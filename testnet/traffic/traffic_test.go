package traffic

import (
	"context"
	"errors"
	"fmt"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/api"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
)

// desk is an API whose answers the test decides.
type desk struct {
	mu     sync.Mutex
	answer func(txs []*block.Tx) ([]mempool.Verdict, error)
	seen   []block.ID
}

// answerTime is what a desk takes for an answer, in the virtual time of these tests.
const answerTime = time.Millisecond

func (d *desk) submit(_ context.Context, txs []*block.Tx) ([]mempool.Verdict, error) {
	time.Sleep(answerTime)
	d.mu.Lock()
	defer d.mu.Unlock()
	for _, t := range txs {
		d.seen = append(d.seen, t.ID())
	}
	return d.answer(txs)
}

// each answers with the same verdict on every transaction.
func each(v mempool.Verdict) func([]*block.Tx) ([]mempool.Verdict, error) {
	return func(txs []*block.Tx) ([]mempool.Verdict, error) {
		return slices.Repeat([]mempool.Verdict{v}, len(txs)), nil
	}
}

var accept = each(mempool.Verdict{Status: mempool.Accepted})

func network(t *testing.T) *genesis.Genesis {
	t.Helper()
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "traffic",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(sig.NewKey([32]byte{1}).Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		t.Fatal(err)
	}
	return g
}

// open serves a desk, and returns it as a peer.
func (d *desk) open(t *testing.T, g *genesis.Genesis) Peer {
	t.Helper()
	l, err := ledger.Open(ledger.Config{Genesis: g})
	if err != nil {
		t.Fatal(err)
	}
	p, err := mempool.Open(mempool.Config{Genesis: g.ID(), Limits: g.BlockLimits()})
	if err != nil {
		t.Fatal(err)
	}
	m := api.NewMemory()
	s, err := api.Listen(api.Config{Listener: m, Genesis: g, Ledger: l, Pool: p, Submit: d.submit})
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	ended := make(chan error, 1)
	go func() { ended <- s.Run(ctx) }()
	client := m.Client()
	t.Cleanup(func() {
		client.Close()
		cancel()
		<-ended
		p.Close()
		l.Close()
	})
	return Peer{"a desk", client}
}

func dead() Peer {
	m := api.NewMemory()
	m.Close()
	return Peer{"dead peer", m.Client()}
}

func txs(g *genesis.Genesis, n int) []*block.Tx {
	s := Signer{Key: sig.NewKey([32]byte{2}), Genesis: g.ID(), Expiry: 100}
	out := make([]*block.Tx, n)
	for i := range out {
		out[i] = s.Sign([]byte("same"))
	}
	return out
}

func TestSignedTransactionsDiffer(t *testing.T) {
	g := network(t)
	made := txs(g, 100)
	for i, a := range made {
		if err := sig.VerifyTx(g.ID(), a); err != nil {
			t.Fatal(err)
		}
		if i > 0 && a.ID() == made[i-1].ID() {
			t.Fatal("equal payloads gave equal transactions")
		}
	}
	for _, c := range [][3]uint64{{0, 10_000, 9_000}, {500, 10, 509}, {7, 1_000_000, 900_007}} {
		if got := Expiry(c[0], c[1]); got != c[2] {
			t.Errorf("at height %d with lifetime %d the expiry is %d, want %d", c[0], c[1], got, c[2])
		}
	}
}

func TestLines(t *testing.T) {
	got, err := Lines(strings.NewReader("one\n\ntwo\r\n\r\n  \nlast"), 10)
	if want := "one|two|  |last"; err != nil || join(got) != want {
		t.Errorf("got %q, %v: want %q", join(got), err, want)
	}
	if got, err := Lines(strings.NewReader(""), 10); err != nil || len(got) != 0 {
		t.Errorf("an empty file has lines %q, %v", got, err)
	}
	if _, err := Lines(strings.NewReader("ok\n\n12345678901\n"), 10); err == nil || !strings.Contains(err.Error(), "line 3 has 11 bytes") {
		t.Errorf("a line that is too long: %v, want an error that names line 3", err)
	}
	broken := io.MultiReader(strings.NewReader("one\ntw"), failing{})
	if _, err := Lines(broken, 10); !errors.Is(err, errBroken) {
		t.Errorf("a reader that fails: %v", err)
	}
}

var errBroken = errors.New("broken")

type failing struct{}

func (failing) Read([]byte) (int, error) { return 0, errBroken }

func join(lines [][]byte) string {
	var s []string
	for _, l := range lines {
		s = append(s, string(l))
	}
	return strings.Join(s, "|")
}

func TestSpreadReachesAllPeersAndPassesTheDeadBy(t *testing.T) {
	synctest.Test(t, spreadReachesAllPeersAndPassesTheDeadBy)
}

func spreadReachesAllPeersAndPassesTheDeadBy(t *testing.T) {
	g := network(t)
	desks := []*desk{{answer: accept}, {answer: accept}, {answer: each(mempool.Verdict{Status: mempool.Duplicate})}}
	var acked []block.ID
	s := &Sender{Peers: []Peer{dead()}, Acknowledged: func(ids []block.ID) { acked = append(acked, ids...) }}
	for _, d := range desks {
		s.Peers = append(s.Peers, d.open(t, g))
	}
	all := txs(g, 1000)
	last := 0
	out, err := s.Spread(t.Context(), all, func(n int) { last = n })
	if err != nil || out.Accepted+out.Duplicate != 1000 || out.Refused != 0 || out.Retried == 0 || last != 1000 {
		t.Fatalf("got %+v, %v, and %d at last: want 1000 taken, some after a retry", out, err, last)
	}
	seen := map[block.ID]int{}
	for i, d := range desks {
		if len(d.seen) < 150 {
			t.Errorf("peer %d was handed %d of 1000: want about a third", i, len(d.seen))
		}
		for _, id := range d.seen {
			seen[id]++
		}
	}
	for _, tx := range all {
		if seen[tx.ID()] != 1 || !slices.Contains(acked, tx.ID()) {
			t.Fatalf("transaction %s was taken %d times, acknowledged: %v", tx.ID(), seen[tx.ID()], slices.Contains(acked, tx.ID()))
		}
	}
}

func TestSpreadGivesUp(t *testing.T) { synctest.Test(t, spreadGivesUp) }

func spreadGivesUp(t *testing.T) {
	s := &Sender{Peers: []Peer{dead()}, Patience: 100 * time.Millisecond}
	out, err := s.Spread(t.Context(), txs(network(t), 10), func(int) {})
	if err == nil || !strings.Contains(err.Error(), "no peer took 10 transactions within 100ms") || out.Accepted != 0 {
		t.Errorf("got %+v, %v: want an error that says how many and how long", out, err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := s.Spread(ctx, txs(network(t), 10), func(int) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("interrupted: %v", err)
	}
}

func TestSpreadInsistsWhereAPoolIsFull(t *testing.T) { synctest.Test(t, spreadInsistsWhereAPoolIsFull) }

func spreadInsistsWhereAPoolIsFull(t *testing.T) {
	g := network(t)
	calls := 0
	d := &desk{}
	d.answer = func(txs []*block.Tx) ([]mempool.Verdict, error) {
		if calls++; calls <= 2 {
			return each(mempool.Verdict{Status: mempool.Refused, Err: fmt.Errorf("here: %w", mempool.ErrFull)})(txs)
		}
		return accept(txs)
	}
	s := &Sender{Peers: []Peer{d.open(t, g)}}
	if out, err := s.Spread(t.Context(), txs(g, 5), func(int) {}); err != nil || out.Accepted != 5 || out.Refused != 0 {
		t.Errorf("got %+v, %v: want all taken once there was room", out, err)
	}

	d.answer = each(mempool.Verdict{Status: mempool.Refused, Err: mempool.ErrFull})
	s.Patience = 300 * time.Millisecond
	if out, err := s.Spread(t.Context(), txs(g, 5), func(int) {}); err != nil || out.Refused != 5 {
		t.Errorf("got %+v, %v: want all refused in the end", out, err)
	}

	d.seen, d.answer = nil, each(mempool.Verdict{Status: mempool.Refused, Err: errors.New("too odd")})
	out, err := s.Spread(t.Context(), txs(g, 5), func(int) {})
	if err != nil || out.Refused != 5 || len(d.seen) != 5 || out.Reasons["too odd"] == nil {
		t.Errorf("got %+v, %v after %d submissions: want all refused at once, with the reason", out, err, len(d.seen))
	}
}

func TestLoad(t *testing.T) { synctest.Test(t, load) }

func load(t *testing.T) {
	g := network(t)
	good, odd := &desk{answer: accept}, &desk{answer: each(mempool.Verdict{Status: mempool.Refused, Err: errors.New("too odd")})}
	load := Load{Rate: 500, Duration: time.Second, Size: 100, Senders: 3, Genesis: g.ID(),
		Expiry: func() uint64 { return 50 }, Sender: &Sender{Peers: []Peer{good.open(t, g), dead()}}}
	senders := map[block.PublicKey]bool{}
	good.answer = func(txs []*block.Tx) ([]mempool.Verdict, error) {
		for _, tx := range txs {
			senders[tx.Sender] = true
			if len(tx.Payload) != 100 || tx.Expiry != 50 || sig.VerifyTx(g.ID(), tx) != nil {
				t.Errorf("offered a transaction of %d bytes that expires at %d", len(tx.Payload), tx.Expiry)
			}
		}
		return accept(txs)
	}
	res, err := load.Run(t.Context())
	if err != nil || res.Offered != 500 || res.Accepted != 500 || res.Err() != nil || len(senders) != 3 || res.Retried == 0 {
		t.Errorf("got %+v, %v from %d senders: want 500 accepted, some after a retry, from 3", res, err, len(senders))
	}
	if res.Seconds < 0.99 || res.Seconds > 1.01+firstPause.Seconds() || res.Late > 0 || res.P50 < millis(answerTime) || res.Max < res.P95 {
		t.Errorf("got %+v: want a second's work, and latencies", res)
	}

	load.Sender, load.Duration = &Sender{Peers: []Peer{odd.open(t, g)}}, 100*time.Millisecond
	if res, err = load.Run(t.Context()); err != nil || res.Refused != 50 || res.Err() == nil || !slices.Equal(res.Reasons, []string{"too odd"}) {
		t.Errorf("got %+v, %v: want 50 refused", res, err)
	}
	load.Sender = &Sender{Peers: []Peer{dead()}, Patience: 50 * time.Millisecond}
	if res, err = load.Run(t.Context()); err != nil || res.Failed != 50 || res.Err() == nil {
		t.Errorf("got %+v, %v: want 50 never answered", res, err)
	}
	if _, err = (Load{Rate: 1, Duration: time.Millisecond}).Run(t.Context()); err == nil {
		t.Error("a load of nothing is no error")
	}

	ctx, cancel := context.WithTimeout(t.Context(), 200*time.Millisecond)
	defer cancel()
	load.Sender, load.Duration = &Sender{Peers: []Peer{good.open(t, g)}}, time.Hour
	if res, err = load.Run(ctx); err != nil || res.Offered < 90 || res.Offered > 101 || res.Accepted != res.Offered {
		t.Errorf("interrupted after 200 ms: got %+v, %v: want what is due at 9 or 10 ticks offered, and all of it accepted", res, err)
	}
}

func TestLogOfTheAcknowledged(t *testing.T) {
	path := filepath.Join(t.TempDir(), "acknowledged")
	if ids, err := ReadLog(path); err != nil || len(ids) != 0 {
		t.Errorf("no file: %v, %v", ids, err)
	}
	want := []block.ID{{1}, {2}, {3}}
	for _, part := range [][]block.ID{want[:2], want[2:]} {
		l, err := OpenLog(path)
		if err != nil {
			t.Fatal(err)
		}
		if err := errors.Join(l.Add(part), l.Close()); err != nil {
			t.Fatal(err)
		}
	}
	if ids, err := ReadLog(path); err != nil || !slices.Equal(ids, want) {
		t.Errorf("got %v, %v: want %v", ids, err, want)
	}
}
