package mempool

import (
	"math"
	"slices"
	"testing"

	"grapevine/block"
)

var testKey = block.SipKey{K0: 1, K1: 2}

// twins returns two transactions with one short ID under testKey. The nonces were
// found by trying 2^25.
func twins(t *testing.T) (a, b *block.Tx) {
	t.Helper()
	a, b = newTx(1, 5687016, 1000, 0), newTx(1, 6851131, 1000, 0)
	if testKey.Short(a.ID()) != testKey.Short(b.ID()) || a.ID() == b.ID() {
		t.Fatal("the twins are none: has the format of a transaction changed?")
	}
	return a, b
}

func ids(txs []*block.Tx) []block.ID {
	var out []block.ID
	for _, t := range txs {
		out = append(out, t.ID())
	}
	return out
}

func TestMatch(t *testing.T) {
	p := mustOpen(t, Config{})
	a, b := twins(t)
	have, lack := run(2, 300), run(3, 3)
	p.Offer(t0, have)

	inBlock := []*block.Tx{have[7], lack[0], a, have[299], have[0], lack[1]}
	shorts := testKey.List(ids(inBlock))
	want := []*block.Tx{have[7], nil, nil, have[299], have[0], nil}
	if got := p.Match(testKey, shorts); names(got) != names(want) {
		t.Fatalf("matched %q, want %q", names(got), names(want))
	}
	p.Offer(t0, []*block.Tx{a})
	want[2] = a
	if got := p.Match(testKey, shorts); names(got) != names(want) {
		t.Fatalf("matched %q, want %q", names(got), names(want))
	}
	p.Offer(t0, []*block.Tx{b, have[1]})
	want[2] = nil
	if got := p.Match(testKey, shorts); names(got) != names(want) {
		t.Fatalf("matched %q, want %q: two of the pool have one short ID", names(got), names(want))
	}
	p.Committed(t0, 1, []*block.Tx{b})

	twice := testKey.List(ids([]*block.Tx{have[1], a, b, have[2], have[2]}))
	if got := p.Match(testKey, twice); names(got) != names([]*block.Tx{have[1], nil, nil, nil, nil}) {
		t.Fatalf("matched %q, though two places have one short ID", names(got))
	}
	if got := p.Match(testKey, nil); len(got) != 0 {
		t.Fatalf("matched %q to an empty list", names(got))
	}
}

func TestInventory(t *testing.T) {
	p := mustOpen(t, Config{})
	txs := run(1, 1000)
	p.Offer(t0, txs)
	var all []uint64
	for _, tx := range txs {
		all = append(all, testKey.Sum64(tx.ID()))
	}
	slices.Sort(all)
	const top = math.MaxUint64
	tests := []struct {
		name      string
		low, high uint64
		limit     int
		want      []uint64
		covered   uint64
	}{
		{"everything", 0, top, 2000, all, top},
		{"exactly as many", 0, top, 1000, all, top},
		{"one too many", 0, top, 999, all[:999], all[998]},
		{"the lowest", 0, top, 10, all[:10], all[9]},
		{"a range, ends included", all[100], all[200], 1000, all[100:201], all[200]},
		{"a range, cut", all[100], all[200], 50, all[100:150], all[149]},
		{"nothing there", all[5] + 1, all[6] - 1, 50, nil, all[6] - 1},
		{"an empty range", 10, 9, 50, nil, 9},
	}
	for _, tt := range tests {
		got, covered := p.Inventory(testKey, tt.low, tt.high, tt.limit)
		if !slices.Equal(got, tt.want) || covered != tt.covered {
			t.Errorf("%s: %d hashes, covered to %x; want %d, %x", tt.name, len(got), covered, len(tt.want), tt.covered)
		}
	}
}

func TestBySalted(t *testing.T) {
	p := mustOpen(t, Config{})
	txs := run(1, 100)
	p.Offer(t0, txs[:90])
	hash := func(i int) uint64 { return testKey.Sum64(txs[i].ID()) }
	hashes := []uint64{hash(5), hash(95), hash(3), hash(80)}
	for fit, want := range []string{"", "\x015", "\x015 \x013", "\x015 \x013 \x0180"} {
		if got := names(p.BySalted(testKey, hashes, (fit+1)*block.TxOverhead-1)); got != want {
			t.Errorf("room for %d: %q, want %q", fit, got, want)
		}
	}
}
