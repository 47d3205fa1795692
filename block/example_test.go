package block_test

import (
	"fmt"
	"log"

	"grapevine/block"
	"grapevine/block/sig"
)

// From a transaction to a signed block and back.
func Example() {
	genesis := block.ID{1}
	limits := block.Limits{MaxTxBytes: 64 << 10, MaxBodyBytes: 4 << 20, MaxBlockTxs: 10_000, MaxLifetime: 10_000}
	alice, orderer := sig.NewKey([32]byte{2}), sig.NewKey([32]byte{3})

	tx := alice.SignTx(genesis, block.TxFields{Nonce: 1, Expiry: 100, Payload: []byte("hello")})
	txs := []*block.Tx{tx}
	header := block.Draft(genesis, block.Limits{}, block.Tip{ID: genesis}, 1_700_000_000_000_000_000, orderer.Public(), txs)
	raw := block.New(orderer.SignHeader(header), txs).Bytes()

	b, err := block.Decode(raw)
	if err != nil {
		log.Fatal(err)
	}
	if err := b.Check(genesis, limits); err != nil {
		log.Fatal(err)
	}
	if err := sig.VerifyHeader(&b.SignedHeader); err != nil {
		log.Fatal(err)
	}
	fmt.Printf("height %d, %d transaction, %d bytes: %s\n", b.Height, b.TxCount, len(raw), b.Txs[0].Payload)
	// Output: height 1, 1 transaction, 409 bytes: hello
}
