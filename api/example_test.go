package api_test

import (
	"context"
	"fmt"
	"log"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/block/sig"
)

// A sender hands in a transaction and waits for the block that has it.
func Example() {
	ctx := context.Background()
	node := api.Dial(api.DefaultListen)
	defer node.Close()

	status, err := node.Status(ctx)
	if err != nil {
		log.Fatal(err)
	}
	genesis, err := block.ParseID(status.GenesisId)
	if err != nil {
		log.Fatal(err)
	}
	tx := sig.Generate().SignTx(genesis, block.TxFields{
		Expiry:  status.Height + 1 + status.Limits.MaxLifetime,
		Payload: []byte("hello"),
	})
	verdicts, err := node.Submit(ctx, tx)
	if err != nil {
		log.Fatal(err)
	}
	fmt.Println(verdicts[0].Status, verdicts[0].Reason)

	for b, err := range node.Watch(ctx, &apipb.WatchBlocksRequest{From: status.Height + 1}) {
		if err != nil {
			log.Fatal(err)
		}
		if found, err := node.Tx(ctx, tx.ID()); err == nil && found.Status == api.StatusCommitted {
			fmt.Println("in block", found.Height, "of", b.Header.Height)
			return
		}
	}
}
