package mempool

import (
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
)

var t0 = time.Unix(1_700_000_000, 0)

// newTx makes a transaction of a sender; different nonces make different ones.
// The pool checks no signatures, so it has none.
func newTx(from byte, nonce, expiry uint64, payload int) *block.Tx {
	f := block.TxFields{Sender: block.PublicKey{from}, Nonce: nonce, Expiry: expiry, Payload: make([]byte, payload)}
	return f.Seal(block.Signature{})
}

// run makes n transactions of a sender.
func run(from byte, n int) []*block.Tx {
	var txs []*block.Tx
	for i := range n {
		txs = append(txs, newTx(from, uint64(i), 100, 0))
	}
	return txs
}

func mustOpen(t testing.TB, cfg Config) *Pool {
	t.Helper()
	p, err := Open(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.Close() })
	return p
}

func mustSubmit(t testing.TB, p *Pool, now time.Time, txs ...*block.Tx) {
	t.Helper()
	verdicts, err := p.Submit(now, txs)
	if err != nil {
		t.Fatal(err)
	}
	wantAll(t, verdicts, Accepted)
}

func wantAll(t testing.TB, verdicts []Verdict, want Status) {
	t.Helper()
	for i, v := range verdicts {
		if v.Status != want {
			t.Fatalf("transaction %d is %v (%v), want %v", i, v.Status, v.Err, want)
		}
	}
}

// want1 checks the verdict on a single transaction.
func want1(t testing.TB, verdicts []Verdict, status Status, err error) {
	t.Helper()
	if len(verdicts) != 1 || verdicts[0].Status != status || !errors.Is(verdicts[0].Err, err) {
		t.Fatalf("verdicts are %v, want %v with error %v", verdicts, status, err)
	}
}

func TestVerdicts(t *testing.T) {
	big := newTx(3, 0, 100, 1000)
	cfg := Config{
		Limits: block.Limits{MaxLifetime: 90}, Height: 10,
		MaxTxs: 4, MaxBytes: 4*block.TxOverhead + 500, MaxPerSender: 2,
		Committed: func(id block.ID) (bool, error) {
			switch id {
			case newTx(9, 1, 100, 0).ID():
				return true, nil
			case newTx(9, 2, 100, 0).ID():
				return false, errDisk
			}
			return false, nil
		},
	}
	steps := []struct {
		name   string
		tx     *block.Tx
		status Status
		err    error
	}{
		{"the ledger has it", newTx(9, 1, 100, 0), Committed, nil},
		{"the ledger fails", newTx(9, 2, 100, 0), Refused, errDisk},
		{"expired at the next height", newTx(1, 0, 10, 0), Refused, block.ErrExpired},
		{"last height it may have is the next", newTx(1, 0, 11, 0), Accepted, nil},
		{"furthest expiry", newTx(1, 1, 101, 0), Accepted, nil},
		{"too far an expiry", newTx(2, 0, 102, 0), Refused, ErrEarly},
		{"again", newTx(1, 1, 101, 0), Duplicate, nil},
		{"a third of one sender", newTx(1, 2, 100, 0), Refused, ErrSenderFull},
		{"too many bytes", big, Refused, ErrFull},
		{"another sender", newTx(2, 1, 100, 0), Accepted, nil},
		{"the fourth", newTx(2, 2, 100, 0), Accepted, nil},
		{"too many", newTx(4, 0, 100, 0), Refused, ErrFull},
	}
	for _, way := range []string{"submit", "offer"} {
		p := mustOpen(t, cfg)
		for _, s := range steps {
			t.Run(way+"/"+s.name, func(t *testing.T) {
				if way == "offer" {
					want1(t, p.Offer(t0, []*block.Tx{s.tx}), s.status, s.err)
					return
				}
				verdicts, err := p.Submit(t0, []*block.Tx{s.tx})
				if err != nil {
					t.Fatal(err)
				}
				want1(t, verdicts, s.status, s.err)
			})
		}
		if st := p.Stats(); st.Accepted != 4 || st.Refused != 6 {
			t.Errorf("%s: statistics %+v, want 4 accepted, 6 refused", way, st)
		}
		wanted := p.Wanted(10)
		if len(wanted) != 0 {
			t.Errorf("%s: a full pool wants %v", way, wanted)
		}
		p.Committed(t0, 11, []*block.Tx{newTx(1, 1, 101, 0), newTx(2, 1, 100, 0)})
		wanted = p.Wanted(10)
		if way == "submit" && len(wanted) != 0 {
			t.Errorf("a submitter's transactions are wanted: %v", wanted)
		}
		if way == "offer" && !slices.Equal(wanted, []block.ID{big.ID(), newTx(4, 0, 100, 0).ID()}) {
			t.Errorf("wanted are %v, want those refused because the pool was full", wanted)
		}
	}
}

func TestWantedIsBoundedAndForgotten(t *testing.T) {
	p := mustOpen(t, Config{MaxTxs: 1, MaxWanted: 3})
	txs := run(1, 6)
	p.Offer(t0, txs)                                // the first is in, 1 to 5 are not: 3, 4 and 5 are kept
	p.Committed(t0, 1, []*block.Tx{txs[0], txs[4]}) // 4 came in a block
	if got := p.Wanted(10); !slices.Equal(got, []block.ID{txs[3].ID()}) {
		t.Fatalf("wanted are %v, want only the oldest, for there is room for one", got)
	}
	if got := p.Wanted(10); !slices.Equal(got, []block.ID{txs[5].ID()}) {
		t.Fatalf("wanted are %v, want the next", got)
	}
	p.Offer(t0, txs)
	p.Committed(t0, 2, txs[1:2])
	p.Offer(t0, txs[3:4])
	p.Committed(t0, 3, nil)
	p.cfg.MaxTxs = 10 // room, so that what is still wanted is told
	if got := p.Wanted(10); !slices.Equal(got, []block.ID{txs[2].ID(), txs[5].ID()}) {
		t.Fatalf("wanted are %v, want those that have not come", got)
	}
}

// The set forgets the oldest, whatever was removed and added again meanwhile.
func TestIDSet(t *testing.T) {
	rng := rand.New(rand.NewPCG(1, 2))
	s := newIDSet(5)
	var ring, model []block.ID // the last five added, and what is left of them
	for range 2000 {
		id := block.ID{byte(rng.IntN(9))}
		switch rng.IntN(10) {
		case 0, 1:
			s.remove(id)
			model = slices.DeleteFunc(model, func(m block.ID) bool { return m == id })
		case 2:
			n := min(rng.IntN(3), len(model))
			if got := s.take(n); !slices.Equal(got, model[:n]) {
				t.Fatalf("took %v, want %v", got, model[:n])
			}
			model = slices.Clone(model[n:])
		default:
			if slices.Contains(model, id) {
				s.add(id)
				break
			}
			if len(model) == 0 && len(s.place) == 0 && len(s.ring) == 0 {
				ring = nil
			}
			ring = append(ring, id)
			model = append(model, id)
			s.add(id)
			if len(ring) > 5 {
				// The place that was taken is the sixth last addition's, if it is still its.
				old := ring[0]
				ring = ring[1:]
				if slices.Contains(model[:len(model)-1], old) && !slices.Contains(ring, old) {
					model = slices.DeleteFunc(model, func(m block.ID) bool { return m == old })
				}
			}
		}
		for b := range byte(9) {
			id := block.ID{b}
			if s.has(id) != slices.Contains(model, id) {
				t.Fatalf("has %d is %v, the model has %v", b, s.has(id), model)
			}
		}
		if len(s.ring) > 5 || len(s.place) > 5 {
			t.Fatalf("%d places, %d IDs", len(s.ring), len(s.place))
		}
	}
}

func TestOneTransaction(t *testing.T) {
	p := mustOpen(t, Config{})
	tx, other := newTx(1, 0, 100, 30), newTx(1, 1, 100, 0)
	if count, bytes, oldest := p.Pending(); count != 0 || bytes != 0 || !oldest.IsZero() {
		t.Fatalf("empty pool has %d transactions, %d bytes, since %v", count, bytes, oldest)
	}
	changed := p.Changed()
	p.Offer(t0, []*block.Tx{tx})
	wantClosed(t, changed)
	p.Offer(t0.Add(time.Second), []*block.Tx{other})
	if count, bytes, oldest := p.Pending(); count != 2 || bytes != 2*block.TxOverhead+30 || !oldest.Equal(t0) {
		t.Errorf("pending are %d transactions, %d bytes, since %v", count, bytes, oldest)
	}
	if got, ok := p.Get(tx.ID()); !ok || got.ID() != tx.ID() || !p.Has(tx.ID()) {
		t.Error("the transaction cannot be had")
	}
	if at, local, ok := p.Arrived(tx.ID()); !at.Equal(t0) || local || !ok {
		t.Errorf("arrived %v, local %v, %v", at, local, ok)
	}

	// A submitter brings what gossip had brought before: it is this node's own now.
	changed = p.Changed()
	verdicts, err := p.Submit(t0, []*block.Tx{tx})
	if err != nil {
		t.Fatal(err)
	}
	want1(t, verdicts, Duplicate, nil)
	wantOpen(t, changed)
	if _, local, _ := p.Arrived(tx.ID()); !local {
		t.Error("submitted, and not local")
	}
	if got := p.Journalled(); len(got) != 1 || got[0].ID() != tx.ID() {
		t.Errorf("journalled are %v", got)
	}

	p.Committed(t0.Add(3*time.Second), 1, []*block.Tx{tx})
	wantClosed(t, changed)
	if _, _, ok := p.Arrived(tx.ID()); ok || p.Has(tx.ID()) {
		t.Error("a committed transaction is on offer")
	}
	if _, _, oldest := p.Pending(); !oldest.Equal(t0.Add(time.Second)) {
		t.Errorf("the oldest is of %v", oldest)
	}
	if st := p.Stats(); st.Committed != 1 || st.Waited != 3*time.Second {
		t.Errorf("statistics %+v, want one committed after 3 s", st)
	}
}

// The pool holds the bytes that it counts: of a message with one transaction that it
// takes and a large one that it does not, it keeps the one.
func TestPoolHoldsWhatItCounts(t *testing.T) {
	p := mustOpen(t, Config{})
	small, large := newTx(1, 0, 100, 10), newTx(1, 1, 100, 1<<20)
	message := slices.Concat(small.Bytes(), large.Bytes())
	came, _, err := block.DecodeTxPrefix(message)
	if err != nil {
		t.Fatal(err)
	}
	p.Offer(t0, []*block.Tx{came})
	clear(message) // whoever held on to it would see this
	got, _ := p.Get(small.ID())
	if !slices.Equal(got.Bytes(), small.Bytes()) || !slices.Equal(got.Payload, small.Payload) {
		t.Error("the transaction has no bytes of its own")
	}
}

func TestLateGossipReadsNoLedger(t *testing.T) {
	reads := 0
	p := mustOpen(t, Config{Committed: func(block.ID) (bool, error) { reads++; return false, nil }})
	txs := run(1, 3)
	p.Committed(t0, 1, txs)
	wantAll(t, p.Offer(t0, txs), Committed)
	if reads != 0 {
		t.Fatalf("%d reads of the ledger", reads)
	}
}

func TestExpiry(t *testing.T) {
	p := mustOpen(t, Config{})
	for e := uint64(1); e <= 20; e++ {
		p.Offer(t0, []*block.Tx{newTx(byte(e%3), e, e, 0)})
	}
	p.Committed(t0, 7, nil)
	if count, _, _ := p.Pending(); count != 13 || p.Stats().Expired != 7 {
		t.Fatalf("%d pending, %d expired, want 13 and 7", count, p.Stats().Expired)
	}
	if p.Has(newTx(7%3, 7, 7, 0).ID()) || !p.Has(newTx(8%3, 8, 8, 0).ID()) {
		t.Fatal("the line between expired and not is not between 7 and 8")
	}
	p.Committed(t0, 1_000_000, nil) // as after a catch-up
	if count, bytes, _ := p.Pending(); count != 0 || bytes != 0 || len(p.shelf.senders) != 0 || p.shelf.bytes != 0 {
		t.Fatalf("%d pending, %d bytes, %d senders", count, bytes, len(p.shelf.senders))
	}
}

func TestRefusalsSayWhatToDo(t *testing.T) {
	p := mustOpen(t, Config{MaxTxs: 1})
	v := p.Offer(t0, run(1, 2))[1]
	for _, part := range []string{"transaction ", "the pool is full", "1 transactions wait", "the limit is 1", "try again"} {
		if !strings.Contains(v.Err.Error(), part) {
			t.Errorf("%q does not say %q", v.Err, part)
		}
	}
}

func wantClosed(t testing.TB, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
	default:
		t.Fatal("nobody was told of a change")
	}
}

func wantOpen(t testing.TB, ch <-chan struct{}) {
	t.Helper()
	select {
	case <-ch:
		t.Fatal("told of a change without one")
	default:
	}
}

// Journalled returns what submitters brought here and is still on offer, in order
// of arrival: after a restart others may lack it.
func (p *Pool) Journalled() []*block.Tx {
	p.mu.Lock()
	defer p.mu.Unlock()
	var txs []*block.Tx
	for el := p.shelf.arrival.Front(); el != nil; el = el.Next() {
		if e := el.Value.(*entry); e.local {
			txs = append(txs, e.tx)
		}
	}
	return txs
}

// A signature is looked at only if the transaction is neither in the pool nor in the
// ledger: what was committed costs whoever is sent it again no more than looking it up.
func TestOnlyWhatIsLackingIsChecked(t *testing.T) {
	committed, held, lacking := newTx(1, 1, 100, 0), newTx(1, 2, 100, 0), newTx(1, 3, 100, 0)
	p := mustOpen(t, Config{Committed: func(id block.ID) (bool, error) { return id == committed.ID(), nil }})
	p.Offer(t0, []*block.Tx{held})
	wrong := errors.New("a wrong signature")
	var checked []*block.Tx
	v := p.OfferUnchecked(t0, "a", []*block.Tx{committed, held, lacking}, func(list []*block.Tx) []error {
		checked = append(checked, list...)
		return []error{wrong}
	})
	if len(checked) != 1 || checked[0] != lacking {
		t.Errorf("%d are checked, want the one that is lacking", len(checked))
	}
	if v[0].Status != Committed || v[1].Status != Duplicate || v[2].Status != Refused || !errors.Is(v[2].Err, wrong) {
		t.Errorf("verdicts %v", v)
	}
	if p.Has(lacking.ID()) {
		t.Error("one with a wrong signature is in the pool")
	}
}
