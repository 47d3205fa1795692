package node_test

import (
	"context"
	"fmt"
	"log"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/node"
)

// A program with a node inside: it submits transactions and follows the blocks.
func Example() {
	key := sig.Generate()
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "example",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		log.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	defer cancel()
	n, err := node.New(node.Config{
		Genesis: g, Key: key, // no Dir: in memory
		Listen: []string{"/ip4/127.0.0.1/udp/0/quic-v1"},
		OnBlock: func(_ context.Context, b *block.Block) error {
			for _, tx := range b.Txs {
				fmt.Printf("height %d: %s\n", b.Height, tx.Payload)
			}
			cancel()
			return nil
		},
	})
	if err != nil {
		log.Fatal(err)
	}
	tx := sig.Generate().SignTx(g.ID(), block.TxFields{Expiry: 100, Payload: []byte("hello")})
	verdicts, err := n.Submit(ctx, []*block.Tx{tx}) // it may be submitted before Run: it waits in the pool
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verdicts[0].Status)
	if err := n.Run(ctx); err != nil {
		log.Fatal(err)
	}
	// Output:
	// accepted
	// height 1: hello
}
