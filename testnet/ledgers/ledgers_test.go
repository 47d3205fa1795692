package ledgers

import (
	"context"
	"errors"
	"fmt"
	"strings"
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

var (
	orderer = sig.NewKey([32]byte{1})
	sender  = sig.NewKey([32]byte{2})
)

// world is a few ledgers with an API each, and no network between them: the test
// decides what each of them holds.
type world struct {
	genesis *genesis.Genesis
	ledgers []*ledger.Ledger
	pools   []*mempool.Pool
	peers   []Peer
}

func newWorld(t *testing.T, n int) *world {
	t.Helper()
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "checks",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		t.Fatal(err)
	}
	w := &world{genesis: g}
	for i := range n {
		l, err := ledger.Open(ledger.Config{Genesis: g})
		if err != nil {
			t.Fatal(err)
		}
		p, err := mempool.Open(mempool.Config{Genesis: g.ID(), Limits: g.BlockLimits()})
		if err != nil {
			t.Fatal(err)
		}
		m := api.NewMemory()
		s, err := api.Listen(api.Config{Listener: m, Genesis: g, Ledger: l, Pool: p,
			Submit: func(context.Context, []*block.Tx) ([]mempool.Verdict, error) { return nil, errors.New("not here") }})
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
		w.ledgers, w.pools = append(w.ledgers, l), append(w.pools, p)
		w.peers = append(w.peers, Peer{fmt.Sprintf("peer %d", i), client})
	}
	return w
}

func (w *world) tx(nonce uint64, payload string) *block.Tx {
	return sender.SignTx(w.genesis.ID(), block.TxFields{Nonce: nonce, Expiry: 1000, Payload: []byte(payload)})
}

// append puts a block of these transactions on a peer's chain.
func (w *world) append(t *testing.T, peer int, txs ...*block.Tx) {
	t.Helper()
	l := w.ledgers[peer]
	h := block.Draft(w.genesis.ID(), block.Limits{}, l.Tip(), 1, orderer.Public(), txs)
	if err := l.Append(block.New(orderer.SignHeader(h), txs)); err != nil {
		t.Fatal(err)
	}
}

func (w *world) appendAll(t *testing.T, txs ...*block.Tx) {
	t.Helper()
	for i := range w.ledgers {
		w.append(t, i, txs...)
	}
}

// want checks what was found: nothing wrong, or one problem that says this.
func want(t *testing.T, what string, f Finding, err error, says string) {
	t.Helper()
	switch {
	case err != nil:
		t.Errorf("%s: %v", what, err)
	case says == "" && !f.OK():
		t.Errorf("%s: found %q, want nothing wrong", what, f.Problems)
	case says != "" && (len(f.Problems) != 1 || !strings.Contains(f.Problems[0], says)):
		t.Errorf("%s: found %q, want one problem that says %q", what, f.Problems, says)
	}
}

func TestAgree(t *testing.T) { synctest.Test(t, testAgree) }

func testAgree(t *testing.T) {
	w := newWorld(t, 3)
	f, err := Agree(t.Context(), w.peers, 0)
	want(t, "empty chains", f, err, "")
	w.appendAll(t, w.tx(1, "a"))
	w.appendAll(t, w.tx(2, "b"), w.tx(3, "c"))
	f, err = Agree(t.Context(), w.peers, 0)
	want(t, "equal chains", f, err, "")
	if f.Height != 2 {
		t.Errorf("height is %d, want 2", f.Height)
	}

	w.append(t, 0, w.tx(4, "d"))
	w.append(t, 1, w.tx(4, "d"))
	f, err = Agree(t.Context(), w.peers, 0)
	want(t, "a peer behind", f, err, "peer 2 is at height 2, another peer at 3")

	// It comes to the height while it is waited for.
	begun := time.Now()
	go func() {
		time.Sleep(5 * pollEvery / 2)
		w.append(t, 2, w.tx(4, "d"))
	}()
	f, err = Agree(t.Context(), w.peers, 10*time.Second)
	want(t, "a peer that catches up", f, err, "")
	if took := time.Since(begun); took != 3*pollEvery {
		t.Errorf("it was waited for during %v, want %v", took, 3*pollEvery)
	}

	w.append(t, 0, w.tx(5, "e"))
	w.append(t, 1, w.tx(6, "f"))
	w.append(t, 2, w.tx(5, "e"))
	f, err = Agree(t.Context(), w.peers, 0)
	want(t, "a fork", f, err, "at height 4 peer 1 has block ")
}

func TestPayloads(t *testing.T) {
	w := newWorld(t, 2)
	lines := [][]byte{[]byte("a"), []byte("b"), []byte("b"), []byte("c")}
	w.appendAll(t, w.tx(1, "a"), w.tx(2, "b"), w.tx(9, "of somebody else"))
	w.appendAll(t, w.tx(3, "b"), w.tx(4, "c"))
	f, err := Payloads(t.Context(), w.peers, lines)
	want(t, "all there", f, err, "")

	f, err = Payloads(t.Context(), w.peers, append(lines, []byte("d")))
	if err != nil || len(f.Problems) != 2 || f.Problems[1] != `peer 1 has "d" not at all, want once` {
		t.Errorf("one missing everywhere: found %q, %v", f.Problems, err)
	}
	w.append(t, 0, w.tx(5, "a"))
	w.append(t, 1, w.tx(6, "x"))
	f, err = Payloads(t.Context(), w.peers, lines)
	want(t, "twice in one ledger", f, err, `peer 0 has "a" 2 times, want once`)
}

func TestPresent(t *testing.T) {
	w := newWorld(t, 2)
	a, b := w.tx(1, "same"), w.tx(2, "same")
	w.append(t, 0, a, b)
	w.append(t, 1, a)
	f, err := Present(t.Context(), w.peers, []block.ID{a.ID(), a.ID()})
	want(t, "there, and listed twice", f, err, "")
	f, err = Present(t.Context(), w.peers, []block.ID{a.ID(), b.ID()})
	want(t, "missing in one ledger", f, err, "peer 1 has \""+b.ID().String()+"\" not at all")
	f, err = Present(t.Context(), w.peers, nil)
	want(t, "nothing to look for", f, err, "")
}

func TestQuiet(t *testing.T) { synctest.Test(t, testQuiet) }

func testQuiet(t *testing.T) {
	w := newWorld(t, 2)
	none := func(uint32) {}
	if err := Quiet(t.Context(), w.peers, 0, none); err != nil {
		t.Errorf("an idle network: %v", err)
	}
	w.append(t, 0, w.tx(1, "a"))
	if err := Quiet(t.Context(), w.peers, 0, none); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "heights 0 to 1") {
		t.Errorf("a peer behind: %v, want a timeout that names the heights", err)
	}
	w.append(t, 1, w.tx(1, "a"))
	tx := w.tx(2, "b")
	if _, err := w.pools[1].Submit(time.Now(), []*block.Tx{tx}); err != nil {
		t.Fatal(err)
	}
	if err := Quiet(t.Context(), w.peers, 0, none); !errors.Is(err, context.DeadlineExceeded) || !strings.Contains(err.Error(), "holds 1 transactions") {
		t.Errorf("a transaction waits: %v, want a timeout that counts it", err)
	}
	most := uint32(0)
	err := Quiet(t.Context(), w.peers, 10*time.Second, func(waiting uint32) {
		if most == 0 {
			w.pools[1].Committed(time.Now(), 2, []*block.Tx{tx})
		}
		most = max(most, waiting)
	})
	if err != nil || most != 1 {
		t.Errorf("a pool that empties: %v, and %d waited; want 1", err, most)
	}
}

func TestAPeerThatIsNotThere(t *testing.T) {
	w := newWorld(t, 1)
	gone := api.NewMemory()
	gone.Close()
	peers := append(w.peers, Peer{"peer 9", gone.Client()})
	if _, err := Agree(t.Context(), peers, 0); err == nil || !strings.Contains(err.Error(), "peer 9") {
		t.Errorf("got %v, want an error that names the peer", err)
	}
}
