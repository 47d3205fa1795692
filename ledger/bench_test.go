package ledger

import (
	"testing"

	"grapevine/block"
	"grapevine/genesis"
)

// The loads: a block of 1,000 transactions of 250 bytes, and the largest count that
// the default genesis allows.
const benchPayload = 250 - block.TxOverhead

func benchChain(b *testing.B, dir string, blocks, txs int) (*chain, *Ledger) {
	b.Helper()
	c := newChain(b, genesis.Limits{})
	l := c.open(dir)
	for range blocks {
		c.append(l, c.next(txs, benchPayload))
	}
	return c, l
}

func BenchmarkAppend(b *testing.B) {
	for _, where := range []string{"disk", "memory"} {
		b.Run(where, func(b *testing.B) {
			dir := ""
			if where == "disk" {
				dir = b.TempDir()
			}
			c, l := benchChain(b, dir, 0, 0)
			b.SetBytes(1000 * 250)
			for b.Loop() {
				b.StopTimer()
				next := c.next(1000, benchPayload)
				b.StartTimer()
				c.append(l, next)
			}
		})
	}
}

// Check of 10,000 transactions that the chain does not have, against a chain of
// 100,000.
func BenchmarkCheck(b *testing.B) {
	c, l := benchChain(b, b.TempDir(), 10, 10_000)
	next := c.next(10_000, benchPayload)
	for b.Loop() {
		l.checked.Store(nil) // else it would remember
		if err := l.Check(next); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkBlock(b *testing.B) {
	for _, from := range []string{"disk", "recent"} {
		b.Run(from, func(b *testing.B) {
			dir := b.TempDir()
			c, l := benchChain(b, dir, 1, 1000)
			if from == "disk" {
				l = reopen(c, l, dir)
			}
			b.SetBytes(1000 * 250)
			for b.Loop() {
				if _, err := l.Block(1); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkTx(b *testing.B) {
	dir := b.TempDir()
	c, l := benchChain(b, dir, 1, 1000)
	l = reopen(c, l, dir)
	id := c.blocks[0].Txs[500].ID()
	for b.Loop() {
		if _, _, err := l.Tx(id); err != nil {
			b.Fatal(err)
		}
	}
}

func reopen(c *chain, l *Ledger, dir string) *Ledger {
	c.tb.Helper()
	if err := l.Close(); err != nil {
		c.tb.Fatal(err)
	}
	return c.open(dir)
}
