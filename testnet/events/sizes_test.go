package events

import (
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// The sizes that this world reckons with are those of the real encoding.
func TestSizesAreTheEncodings(t *testing.T) {
	const n, txSize = 300, 250
	key := sig.NewKey([32]byte{1})
	var txs []*block.Tx
	for i := range n {
		txs = append(txs, key.SignTx(block.ID{}, block.TxFields{
			Nonce: uint64(i), Expiry: 100, Payload: make([]byte, txSize-block.TxOverhead),
		}))
	}
	b := &blk{height: 300, txs: n, txSize: txSize, bytes: n * txSize}
	for i := range uint32(n) {
		b.every = append(b.every, i)
	}
	some := []uint32{0, 1, 7, 200, 299}
	pick := func(at []uint32) (out []*block.Tx) {
		for _, i := range at {
			out = append(out, txs[i])
		}
		return out
	}
	shorts := make([]byte, n*block.ShortSize)
	id := block.ID{1}
	for name, c := range map[string]struct {
		size int64
		msg  message.Message
	}{
		"announcement": {announceSize(b, true, announced{hop: 3, complete: true}, some, false),
			&message.Announce{Hop: 3, Complete: true, Shorts: shorts, PrefillAt: some, Prefill: pick(some)}},
		"pulled":      {announceSize(b, true, announced{pulled: true}, nil, false), &message.Announce{Pulled: true, Shorts: shorts}},
		"digest":      {announceSize(b, false, announced{hop: 200}, nil, false), &message.Announce{Hop: 200}},
		"pull":        {pullSize(5, 1000, 3), &message.Pull{Tip: 5, Upto: 1000, Have: make([]block.ID, 3)}},
		"first pull":  {pullSize(0, 64, 0), &message.Pull{Upto: 64}},
		"tip":         {tipSize(70000), &message.Tip{Height: 70000, Base: 1}},
		"fetch":       {fetchSize(some, 1500*time.Millisecond), &message.Fetch{Number: 1, Block: id, At: some, Wait: 1500 * time.Millisecond}},
		"fetch all":   {fetchSize(b.every, time.Second), &message.Fetch{Number: 900, Block: id, At: b.every, Wait: time.Second}},
		"part":        {partSize(true, some, txSize), &message.Part{Number: 7, Block: id, At: some, Txs: pick(some)}},
		"body":        {partSize(false, b.every, txSize), &message.Part{Block: id, At: b.every, Txs: txs}},
		"refusal":     {refuseSize(), &message.Part{Number: 9, Block: id, Missing: true}},
		"range":       {rangeSize(3, 300, 2<<20), &message.GetRange{Number: 4, From: 3, Upto: 300, MaxBytes: 2 << 20}},
		"chunk":       {chunkSize(300, 61440, 1234, 75286), &message.Chunk{Number: 4, Height: 300, Offset: 61440, Data: make([]byte, 1234), Size: 75286}},
		"first chunk": {chunkSize(1, 0, 61440, 75286), &message.Chunk{Number: 4, Height: 1, Data: make([]byte, 61440), Size: 75286}},
		"last chunk":  {lastChunkSize(300, 1), &message.Chunk{Number: 4, Last: true, Tip: 300, Base: 1}},
	} {
		if want := int64(wire.FramedSize(len(message.Encode(c.msg)))); c.size != want {
			t.Errorf("%s: %d bytes, its encoding has %d", name, c.size, want)
		}
	}
}
