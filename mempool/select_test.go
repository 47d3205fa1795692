package mempool

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"grapevine/block"
)

// names spells transactions as sender and nonce: "a0 b0 a1", and nil as "-".
func names(txs []*block.Tx) string {
	var out []string
	for _, t := range txs {
		if t == nil {
			out = append(out, "-")
			continue
		}
		out = append(out, fmt.Sprintf("%c%d", t.Sender[0], t.Nonce))
	}
	return strings.Join(out, " ")
}

// parse makes transactions from what names writes, each with an optional payload
// size and expiry: "a0 b0/50 a1/0@7".
func parse(t *testing.T, s string) []*block.Tx {
	t.Helper()
	var txs []*block.Tx
	for _, f := range strings.Fields(s) {
		var from rune
		var nonce uint64
		payload, expiry := 0, uint64(100)
		at, exp, hasExp := strings.Cut(f, "@")
		id, size, hasSize := strings.Cut(at, "/")
		scan := func(s, format string, to ...any) {
			if _, err := fmt.Sscanf(s, format, to...); err != nil {
				t.Fatalf("%q: %v", f, err)
			}
		}
		scan(id, "%c%d", &from, &nonce)
		if hasSize {
			scan(size, "%d", &payload)
		}
		if hasExp {
			scan(exp, "%d", &expiry)
		}
		txs = append(txs, newTx(byte(from), nonce, expiry, payload))
	}
	return txs
}

func TestSelect(t *testing.T) {
	const unit = block.TxOverhead // an empty transaction
	tests := []struct {
		name, offered              string
		count, preferred, absolute int
		want                       string
	}{
		{"in order of arrival", "a0 a1 a2", 10, 10 * unit, 10 * unit, "a0 a1 a2"},
		{"one of each in turn", "a0 a1 a2 a3 b0 c0 c1", 10, 10 * unit, 10 * unit, "a0 b0 c0 a1 c1 a2 a3"},
		{"count", "a0 a1 a2 b0 c0 c1", 4, 10 * unit, 10 * unit, "a0 b0 c0 a1"},
		{"count of one", "a0 b0", 1, 10 * unit, 10 * unit, "a0"},
		{"count of none", "a0", 0, 10 * unit, 10 * unit, ""},
		{"preferred bytes", "a0 a1 a2 b0", 10, 3 * unit, 10 * unit, "a0 b0 a1"},
		{"preferred bytes to the byte", "a0 b0/50", 10, 2*unit + 50, 10 * unit, "a0 b0"},
		{"one byte short", "a0 b0/50", 10, 2*unit + 49, 10 * unit, "a0"},
		{"a large one alone", "a0/1000 a1 b0", 10, 3 * unit, 10 * unit, "a0"},
		{"a large one of the absolute size", "a0/1000 b0", 10, unit, unit + 1000, "a0"},
		{"too large for any block", "a0/1000 a1 b0", 10, unit, unit + 999, "a1"},
		{"a large one later waits, its sender's next too", "a0 b0/1000 b1 c0 c1", 10, 4 * unit, 20 * unit, "a0 c0 c1"},
		{"what does not fit lets others by", "a0 a1/60 b0 b1/10 c0", 10, 4*unit + 20, 10 * unit, "a0 b0 c0 b1"},
		{"expired", "a0@4 a1@5 b0@4", 10, 10 * unit, 10 * unit, "a1"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			p := mustOpen(t, Config{Height: 3})
			wantAll(t, p.Offer(t0, parse(t, tt.offered)), Accepted)
			height := uint64(4)
			if strings.Contains(tt.offered, "@") {
				p.shelf.height, height = 4, 5 // as if expired ones had not been removed
			}
			for range 2 { // selecting changes nothing
				if got := names(p.Select(time.Time{}, height, tt.count, tt.preferred, tt.absolute)); got != tt.want {
					t.Fatalf("selected %q, want %q", got, tt.want)
				}
			}
		})
	}
}

func TestSelectOnlyAboveTheLastBlock(t *testing.T) {
	p := mustOpen(t, Config{Height: 3})
	txs := parse(t, "a0 b0")
	p.Offer(t0, txs)
	for height := uint64(1); height < 7; height++ {
		if got := p.Select(time.Time{}, height, 10, 1000, 1000); (len(got) > 0) != (height == 4) {
			t.Errorf("at height %d: %q", height, names(got))
		}
	}
	p.Committed(t0, 4, txs[:1])
	if got := names(p.Select(time.Time{}, 5, 10, 1000, 1000)); got != "b0" {
		t.Errorf("after the block: %q", got)
	}
}

// Every sender's turn comes though there are more of them than a block has places,
// and however much the others have waiting.
func TestSelectStarvesNobody(t *testing.T) {
	p := mustOpen(t, Config{})
	const senders, places, each = 50, 20, 30
	for n := range each {
		for s := range senders {
			p.Offer(t0, []*block.Tx{newTx(byte(s), uint64(n), 1000, 0)})
		}
	}
	got := make(map[byte]int)
	for height := uint64(1); height <= 50; height++ {
		txs := p.Select(time.Time{}, height, places, 1<<20, 1<<20)
		for _, tx := range txs {
			if tx.Nonce != uint64(got[tx.Sender[0]]) {
				t.Fatalf("sender %d: nonce %d is selected as its number %d", tx.Sender[0], tx.Nonce, got[tx.Sender[0]])
			}
			got[tx.Sender[0]]++
		}
		p.Committed(t0, height, txs)
	}
	for s := range senders {
		if got[byte(s)] != 50*places/senders {
			t.Errorf("sender %d got %d places, want %d", s, got[byte(s)], 50*places/senders)
		}
	}
}

// A large transaction that does not fit beside others is first in a block before
// long.
func TestSelectStarvesNoLargeTransaction(t *testing.T) {
	p := mustOpen(t, Config{})
	for n := range 40 {
		p.Offer(t0, []*block.Tx{newTx('a', uint64(n), 1000, 0), newTx('b', uint64(n), 1000, 0)})
	}
	large := newTx('z', 0, 1000, 5000)
	p.Offer(t0, []*block.Tx{large})
	for height := uint64(1); height < 5; height++ {
		txs := p.Select(time.Time{}, height, 10, 4*block.TxOverhead, 10_000)
		if len(txs) == 1 && txs[0].ID() == large.ID() {
			return
		}
		p.Committed(t0, height, txs)
	}
	t.Fatal("four blocks went past a large transaction")
}
