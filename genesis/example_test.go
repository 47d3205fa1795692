package genesis_test

import (
	"fmt"
	"log"

	"grapevine/block/sig"
	"grapevine/genesis"
)

// The definition of an open network with one orderer.
func Example() {
	orderer := sig.NewKey([32]byte{1})
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "example",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		log.Fatal(err)
	}
	fmt.Print(string(g.Bytes()))
	fmt.Println(g.ID())
}
