package ledger_test

import (
	"fmt"
	"log"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ledger"
)

// A chain of one block, in memory, and a transaction found in it.
func Example() {
	key := sig.NewKey([32]byte{1})
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "example",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		log.Fatal(err)
	}
	l, err := ledger.Open(ledger.Config{Genesis: g})
	if err != nil {
		log.Fatal(err)
	}
	defer l.Close()

	tx := key.SignTx(g.ID(), block.TxFields{Nonce: 1, Expiry: 100, Payload: []byte("hello")})
	txs := []*block.Tx{tx}
	header := block.Draft(g.ID(), block.Limits{}, l.Tip(), 1, key.Public(), txs)
	if err := l.Append(block.New(key.SignHeader(header), txs)); err != nil {
		log.Fatal(err)
	}

	got, at, err := l.Tx(tx.ID())
	if err != nil {
		log.Fatal(err)
	}
	fmt.Printf("height %d, index %d: %s\n", at.Height, at.Index, got.Payload)
	// Output: height 1, index 0: hello
}
