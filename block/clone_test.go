package block

import (
	"reflect"
	"testing"
)

// TestClonesShareNothing changes the bytes that a block was decoded from.
func TestClonesShareNothing(t *testing.T) {
	txs := []*Tx{TxFields{Nonce: 1, Expiry: 9, Payload: []byte("one")}.Seal(Signature{1}), TxFields{Nonce: 2, Expiry: 9}.Seal(Signature{2})}
	b := New(SignedHeader{Header: Draft(ID{1}, Limits{}, Tip{}, 1, PublicKey{2}, txs)}, txs)
	raw := b.Bytes()
	decoded, err := Decode(raw)
	if err != nil {
		t.Fatal(err)
	}
	block, tx := decoded.Clone(), decoded.Txs[0].Clone()
	clear(raw)
	if !reflect.DeepEqual(block.Bytes(), b.Bytes()) || block.ID() != b.ID() {
		t.Error("the block changed")
	}
	for i, got := range append(block.Txs, tx) {
		if want := txs[i%2]; !reflect.DeepEqual(got, want) {
			t.Errorf("transaction %d is %+v, want %+v", i%2, got, want)
		}
	}
}
