package mempool

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"grapevine/block"
)

// model is a pool in its simplest form: a list.
type model struct {
	max, perSender int
	height         uint64
	list           []modelTx // by arrival
	committed      map[block.ID]bool
}

type modelTx struct {
	tx    *block.Tx
	local bool
}

func (m *model) index(id block.ID) int {
	return slices.IndexFunc(m.list, func(e modelTx) bool { return e.tx.ID() == id })
}

func (m *model) add(tx *block.Tx, local bool) Status {
	if m.committed[tx.ID()] {
		return Committed
	}
	if i := m.index(tx.ID()); i >= 0 {
		m.list[i].local = m.list[i].local || local
		return Duplicate
	}
	own := 0
	for _, e := range m.list {
		if e.tx.Sender == tx.Sender {
			own++
		}
	}
	if len(m.list) >= m.max || own >= m.perSender || tx.Expiry <= m.height {
		return Refused
	}
	m.list = append(m.list, modelTx{tx, local})
	return Accepted
}

func (m *model) commit(height uint64, txs []*block.Tx) {
	m.height = height
	for _, tx := range txs {
		m.committed[tx.ID()] = true
	}
	m.list = slices.DeleteFunc(m.list, func(e modelTx) bool { return m.committed[e.tx.ID()] || e.tx.Expiry <= height })
}

// compare says how pool and model differ.
func (m *model) compare(p *Pool) error {
	var all, local []*block.Tx
	bytes := 0
	for _, e := range m.list {
		all = append(all, e.tx)
		bytes += e.tx.Size()
		if e.local {
			local = append(local, e.tx)
		}
	}
	count, size, _ := p.Pending()
	if count != len(all) || size != bytes || p.shelf.bytes != bytes || len(p.shelf.entries) != count || len(p.shelf.expiries) != count {
		return fmt.Errorf("pool has %d transactions, %d bytes, model %d, %d", count, size, len(all), bytes)
	}
	if got := p.Journalled(); !slices.Equal(ids(got), ids(local)) {
		return fmt.Errorf("journalled are %q, in the model %q", names(got), names(local))
	}
	if got := p.Match(testKey, testKey.List(ids(all))); !slices.Equal(ids(got), ids(all)) {
		return fmt.Errorf("on offer are %q, in the model %q", names(got), names(all))
	}
	hashes, _ := p.Inventory(testKey, 0, ^uint64(0), len(all)+1)
	if got := p.BySalted(testKey, hashes, bytes); len(hashes) != len(all) || len(got) != len(all) {
		return fmt.Errorf("%d are in the inventory, %d of them can be had, want %d", len(hashes), len(got), len(all))
	}
	return nil
}

// checkSelection says what is wrong with a selection without limits on bytes.
func (m *model) checkSelection(txs []*block.Tx, limit int) error {
	if want := min(limit, len(m.list)); len(txs) != want {
		return fmt.Errorf("%d selected, want %d", len(txs), want)
	}
	taken := make(map[block.PublicKey]int)
	for _, tx := range txs {
		var own []*block.Tx
		for _, e := range m.list {
			if e.tx.Sender == tx.Sender {
				own = append(own, e.tx)
			}
		}
		if n := taken[tx.Sender]; own[n].ID() != tx.ID() {
			return fmt.Errorf("%q: %s is not its sender's number %d", names(txs), names([]*block.Tx{tx}), n)
		}
		taken[tx.Sender]++
	}
	for _, e := range m.list { // fair: who has more left is at most one behind
		n, left := taken[e.tx.Sender], 0
		for _, f := range m.list {
			if f.tx.Sender == e.tx.Sender {
				left++
			}
		}
		for other, k := range taken {
			if k > n+1 && left > n {
				return fmt.Errorf("%q: %c has %d places, %c only %d", names(txs), other[0], k, e.tx.Sender[0], n)
			}
		}
	}
	return nil
}

// Random operations give a pool that agrees with the model, restarts included.
func TestAgainstModel(t *testing.T) {
	for seed := range uint64(12) {
		t.Run(fmt.Sprint(seed), func(t *testing.T) { playRandom(t, rand.New(rand.NewPCG(seed, 1))) })
	}
}

func playRandom(t *testing.T, rng *rand.Rand) {
	m := &model{max: 60, perSender: 12, committed: make(map[block.ID]bool)}
	cfg := Config{
		MaxTxs: m.max, MaxPerSender: m.perSender, Journal: t.TempDir(), SegmentBytes: 2000,
		Committed: func(id block.ID) (bool, error) { return m.committed[id], nil },
	}
	d := newDisk(cfg.Journal)
	p, err := open(cfg, d.durable)
	if err != nil {
		t.Fatal(err)
	}
	now := t0
	check := func(what string, err error) {
		t.Helper()
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
	}
	for range 400 {
		now = now.Add(time.Millisecond)
		switch k := rng.IntN(20); {
		case k < 15:
			var txs []*block.Tx
			for range 1 + rng.IntN(6) {
				from := byte('a' + rng.IntN(9))
				nonce := rng.Uint64N(60)
				txs = append(txs, newTx(from, nonce, 1+(nonce*7+uint64(from))%50, int(nonce)))
			}
			var verdicts []Verdict
			if k < 7 {
				verdicts, err = p.Submit(now, txs)
				check("submit", err)
			} else {
				for _, tx := range txs { // one at a time: the journal tells no order within a moment
					now = now.Add(time.Millisecond)
					verdicts = append(verdicts, p.Offer(now, []*block.Tx{tx})...)
				}
			}
			for i, tx := range txs {
				if want := m.add(tx, k < 7); verdicts[i].Status != want {
					t.Fatalf("%s: %v, model %v", names(txs[i:i+1]), verdicts[i], want)
				}
			}
		case k < 18:
			limit := rng.IntN(12)
			txs := p.Select(time.Time{}, m.height+1, limit, 1<<20, 1<<20)
			check("select", m.checkSelection(txs, limit))
			if rng.IntN(3) == 0 { // a block may have what this pool never saw
				txs = append(txs, newTx('x', rng.Uint64(), 99, 0))
			}
			m.commit(m.height+1, txs)
			p.Committed(now, m.height, txs)
		case k == 18:
			m.list = slices.DeleteFunc(m.list, func(e modelTx) bool { return !e.local })
			cfg.Height = m.height
			d = newDisk(cfg.Journal)
			p, err = open(cfg, d.durable) // without a Close
			check("reopen", err)
		}
		check("compare", m.compare(p))
	}
}
