package dissemination

import (
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/coding"
	"grapevine/dissemination/message"
)

// What a peer does for a block of 1 MiB of which its pool has 95 %, or nothing: it checks the
// shards, rebuilds list and body, reads the transactions, and checks the block. Signatures are
// for the pool, or beside it.
func BenchmarkBlockFromShards(b *testing.B) {
	key, network := sig.NewKey([32]byte{1}), block.ID{7}
	limits := block.Limits{MaxTxBytes: 4096, MaxBodyBytes: 4 << 20, MaxBlockTxs: 10_000, MaxLifetime: 100, Coding: 1}
	txs := make([]*block.Tx, (1<<20)/250)
	for i := range txs {
		txs[i] = key.SignTx(network, block.TxFields{Nonce: uint64(i), Expiry: 9, Payload: make([]byte, 250-block.TxOverhead)})
	}
	whole := block.New(key.SignHeader(block.Draft(network, limits, block.Tip{ID: network}, 1, key.Public(), txs)), txs)
	code := whole.Code()
	pooled := make([]*block.Tx, len(txs))
	for i, t := range txs {
		if i%20 != 0 {
			pooled[i] = t
		}
	}
	data := code.Body.DataLeaves()
	for _, tc := range []struct {
		name        string
		pool        []*block.Tx
		first, upto int
	}{
		{"warm 0.95", pooled, data, data + 54},
		{"cold", nil, 0, data},
	} {
		var list, body []*message.Shards
		for leaf := range code.List.DataLeaves() {
			list = append(list, shards(whole.ID(), code.List, false, leaf, 1))
		}
		for leaf := tc.first; leaf < tc.upto; leaf += 2 {
			span, ok := code.Body.Span(leaf, 1)
			if !ok {
				span, _ = code.Body.Span(leaf, 0)
			}
			body = append(body, shards(whole.ID(), code.Body, true, span.First, span.Leaves))
		}
		b.Run(tc.name, func(b *testing.B) {
			b.ReportAllocs()
			b.SetBytes(int64(whole.BodySize))
			for b.Loop() {
				c := newCoded(&whole.SignedHeader, whole.ID())
				take := func(all []*message.Shards) {
					for _, m := range all {
						if _, err := c.take(m); err != nil {
							b.Fatal(err)
						}
					}
				}
				if tc.pool != nil {
					take(list)
					got, right, _, err := c.rebuild(false)
					if err != nil || !right {
						b.Fatal(err, right)
					}
					l, err := c.header.ReadList(got.Bytes())
					if err != nil {
						b.Fatal(err)
					}
					c.fill(l, tc.pool)
				}
				take(body)
				var built *coding.Code
				built, right, _, err := c.rebuild(true)
				if err != nil || !right {
					b.Fatal(err, right)
				}
				read, err := c.header.ReadLaid(built.Bytes())
				if err != nil {
					b.Fatal(err)
				}
				got := block.NewFrom(c.header, read, built)
				if err := got.Check(network, limits); err != nil {
					b.Fatal(err)
				}
				got.Clone()
			}
		})
	}
	b.Run("signatures", func(b *testing.B) {
		for b.Loop() {
			for _, err := range sig.VerifyTxs(network, txs) {
				if err != nil {
					b.Fatal(err)
				}
			}
		}
	})
}
