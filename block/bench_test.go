package block_test

import (
	"testing"

	"grapevine/block"
)

// load is a block of n transactions of 250 bytes.
func load(n int) *block.Block {
	txs := make([]*block.Tx, n)
	for i := range txs {
		txs[i] = tx(uint64(i), 20, 250-block.TxOverhead)
	}
	return sealed(txs...)
}

func BenchmarkDecode(b *testing.B) {
	raw := load(1000).Bytes()
	b.SetBytes(int64(len(raw)))
	for b.Loop() {
		if _, err := block.Decode(raw); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkCheck(b *testing.B) {
	wide := block.Limits{MaxTxBytes: 1 << 20, MaxBodyBytes: 1 << 30, MaxBlockTxs: 1 << 20, MaxLifetime: 1 << 20}
	blk := load(1000)
	b.SetBytes(int64(blk.BodySize))
	for b.Loop() {
		if err := blk.Check(network, wide); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkHeaderID(b *testing.B) {
	h := load(1).Header
	for b.Loop() {
		h.ID()
	}
}

func BenchmarkTxRoot(b *testing.B) {
	ids := load(1000).TxIDs()
	for b.Loop() {
		block.TxRoot(ids)
	}
}

func BenchmarkShortList(b *testing.B) {
	blk := load(1000)
	ids, key := blk.TxIDs(), blk.ShortKey()
	for b.Loop() {
		key.List(ids)
	}
}
