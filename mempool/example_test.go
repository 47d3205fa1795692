package mempool_test

import (
	"fmt"
	"os"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/mempool"
)

// What a submitter was told is accepted is there again after the process died.
func Example() {
	dir, err := os.MkdirTemp("", "journal")
	if err != nil {
		panic(err)
	}
	defer os.RemoveAll(dir)
	network := block.ID{1}
	key := sig.NewKey([32]byte{7})
	tx := key.SignTx(network, block.TxFields{Expiry: 100, Payload: []byte("hello")})

	cfg := mempool.Config{Genesis: network, Journal: dir}
	pool, err := mempool.Open(cfg)
	if err != nil {
		panic(err)
	}
	verdicts, err := pool.Submit(time.Now(), []*block.Tx{tx, tx})
	fmt.Println(verdicts[0].Status, verdicts[1].Status, err)

	pool, err = mempool.Open(cfg) // as after a kill -9: nobody called Close
	if err != nil {
		panic(err)
	}
	defer pool.Close()
	for _, t := range pool.Select(time.Time{}, 1, 10, 1<<20, 4<<20) {
		fmt.Printf("%s\n", t.Payload)
	}
	pool.Committed(time.Now(), 1, []*block.Tx{tx})
	fmt.Println(pool.Offer(time.Now(), []*block.Tx{tx})[0].Status)
	// Output:
	// accepted duplicate <nil>
	// hello
	// committed
}
