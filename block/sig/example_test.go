package sig_test

import (
	"fmt"

	"grapevine/block"
	"grapevine/block/sig"
)

// A signature counts in one network only.
func Example() {
	alice := sig.NewKey([32]byte{1})
	here, elsewhere := block.ID{1}, block.ID{2}
	tx := alice.SignTx(here, block.TxFields{Nonce: 1, Expiry: 100, Payload: []byte("hello")})

	fmt.Println(sig.VerifyTx(here, tx))
	fmt.Println(sig.VerifyTx(elsewhere, tx) != nil)
	// Output:
	// <nil>
	// true
}
