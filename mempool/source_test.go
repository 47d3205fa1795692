package mempool

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"grapevine/block"
)

// from offers what a neighbour brings, all of it right.
func (p *Pool) from(source string, txs ...*block.Tx) []Verdict {
	return p.OfferUnchecked(t0, source, txs, func(list []*block.Tx) []error { return make([]error, len(list)) })
}

// A crowd of keys that comes by one neighbour gets no more of a block than what comes by
// another, or from this node's clients.
func TestSelectIsFairAmongSources(t *testing.T) {
	p := mustOpen(t, Config{})
	for n := range 50 {
		p.from("crowd", newTx(byte(n), 0, 1000, 0), newTx(byte(n), 1, 1000, 0))
	}
	p.from("b", parse(t, "x0 x1 y0")...)
	p.Offer(t0, parse(t, "z0 z1"))
	count := func(txs []*block.Tx) string {
		var crowd, b, own int
		for _, tx := range txs {
			switch tx.Sender[0] {
			case 'x', 'y':
				b++
			case 'z':
				own++
			default:
				crowd++
			}
		}
		return fmt.Sprintf("%d of the crowd's, %d of b's, %d own", crowd, b, own)
	}
	if got := count(p.Select(time.Time{}, 1, 6, 1<<20, 1<<20)); got != "2 of the crowd's, 2 of b's, 2 own" {
		t.Errorf("a block of six has %s", got)
	}
	if got := count(p.Select(time.Time{}, 1, 100, 1<<20, 1<<20)); got != "95 of the crowd's, 3 of b's, 2 own" {
		t.Errorf("a block of a hundred has %s", got)
	}
	// Those whose turn it was stand behind, source and sender.
	seen := map[string]int{}
	for height := uint64(1); height <= 6; height++ {
		txs := p.Select(time.Time{}, height, 1, 1<<20, 1<<20)
		seen[count(txs)]++
		p.Committed(t0, height, txs)
	}
	if seen["1 of the crowd's, 0 of b's, 0 own"] != 2 || seen["0 of the crowd's, 1 of b's, 0 own"] != 2 {
		t.Errorf("six blocks of one have %v, want two of each", seen)
	}
}

// A sender's transactions stay in order, whoever brings which.
func TestSelectKeepsASendersOrder(t *testing.T) {
	p := mustOpen(t, Config{})
	p.from("a", parse(t, "s0")...)
	p.from("b", parse(t, "s1 r0")...)
	p.from("a", parse(t, "s2")...)
	if got := names(p.Select(time.Time{}, 1, 10, 1<<20, 1<<20)); got != "s0 r0 s1 s2" {
		t.Errorf("selected %q", got)
	}
}

// A neighbour gets half of the room that there is, and there is always some for one more,
// and for this node's clients.
func TestNeighboursHaveAShare(t *testing.T) {
	for _, tt := range []struct {
		name    string
		cfg     Config
		payload int
	}{
		{"transactions", Config{MaxTxs: 120}, 0},
		{"bytes", Config{MaxTxs: 1000, MaxBytes: 120 * (block.TxOverhead + 100)}, 100},
	} {
		t.Run(tt.name, func(t *testing.T) {
			p := mustOpen(t, tt.cfg)
			nonce := uint64(0)
			fill := func(source string) (n int) {
				for range 200 {
					nonce++
					v := p.from(source, newTx(byte(nonce), nonce, 1000, tt.payload))[0]
					if v.Status == Accepted {
						n++
					} else if !errors.Is(v.Err, ErrFull) {
						t.Fatalf("%s: %v", source, v.Err)
					}
				}
				return n
			}
			if !p.Room("a") {
				t.Error("an empty pool has no room")
			}
			if n := fill("a"); n != 60 {
				t.Errorf("the first brought %d of 120, want half", n)
			}
			if p.Room("a") || !p.Room("b") {
				t.Error("want room for another, and none for the first")
			}
			if n := fill("b"); n != 30 {
				t.Errorf("the second brought %d of 60, want half", n)
			}
			if n := fill("c"); n != 15 {
				t.Errorf("the third brought %d of 30, want half", n)
			}
			if n := fill(""); n != 15 {
				t.Errorf("this node's clients brought %d, want all that is left", n)
			}
			p.Committed(t0, 1, p.Select(time.Time{}, 1, 1000, 1<<20, 1<<20))
			if len(p.shelf.sources) != 0 || p.shelf.ring.Len() != 0 {
				t.Errorf("an empty pool remembers %d sources, %d in the ring", len(p.shelf.sources), p.shelf.ring.Len())
			}
		})
	}
}
