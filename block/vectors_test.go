package block_test

import (
	"bytes"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"os"
	"strconv"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
)

// vectors is testdata/vectors.json, which testdata/vectors.py made: a second
// implementation of everything here.
type vectors struct {
	Genesis      block.ID
	SenderSeed   hexBytes `json:"sender_seed"`
	Sender       hexBytes
	OrdererSeed  hexBytes `json:"orderer_seed"`
	Orderer      hexBytes
	Transactions []struct {
		Bytes hexBytes
		ID    block.ID
	}
	Parent          block.ID
	Height          uint64
	Time            string
	TxRoot          block.ID `json:"tx_root"`
	ShortKey        hexBytes `json:"short_key"`
	ShortIDs        hexBytes `json:"short_ids"`
	Header          hexBytes
	HeaderSignature hexBytes `json:"header_signature"`
	BlockID         block.ID `json:"block_id"`
	Block           hexBytes
	Siphash         struct {
		Key      hexBytes
		Of00To1f string `json:"of_00_to_1f"`
	}
	Roots []block.ID `json:"roots_of_sha256_of_0_to_n_minus_1"`
}

type hexBytes []byte

func (h *hexBytes) UnmarshalText(text []byte) (err error) {
	*h, err = hex.DecodeString(string(text))
	return err
}

func loadVectors(tb testing.TB) vectors {
	tb.Helper()
	raw, err := os.ReadFile("testdata/vectors.json")
	if err != nil {
		tb.Fatal(err)
	}
	var v vectors
	if err := json.Unmarshal(raw, &v); err != nil {
		tb.Fatal(err)
	}
	return v
}

func TestVectorsOfTransactions(t *testing.T) {
	v := loadVectors(t)
	if len(v.Transactions) != 3 {
		t.Fatalf("%d transactions", len(v.Transactions))
	}
	sender, orderer := sig.NewKey([32]byte(v.SenderSeed)), sig.NewKey([32]byte(v.OrdererSeed))
	if s := sender.Public(); !bytes.Equal(s[:], v.Sender) {
		t.Errorf("the sender's public key is %s, want %x", s, v.Sender)
	}
	all := make([]byte, 256)
	for i := range all {
		all[i] = byte(i)
	}
	made := []*block.Tx{
		sender.SignTx(v.Genesis, block.TxFields{Nonce: 7, Expiry: 100}),
		sender.SignTx(v.Genesis, block.TxFields{Nonce: 8, Expiry: 101, Payload: []byte("hello")}),
		orderer.SignTx(v.Genesis, block.TxFields{Nonce: 1<<64 - 1, Expiry: 1 << 63, Payload: all}),
	}
	for i, want := range v.Transactions {
		if got := made[i]; !bytes.Equal(got.Bytes(), want.Bytes) || got.ID() != want.ID {
			t.Errorf("transaction %d is made as %x with ID %s, want %x with ID %s", i, got.Bytes(), got.ID(), want.Bytes, want.ID)
		}
		read, err := block.DecodeTx(want.Bytes)
		if err != nil {
			t.Errorf("transaction %d: %v", i, err)
			continue
		}
		if read.ID() != want.ID || read.Nonce != made[i].Nonce || read.Expiry != made[i].Expiry ||
			read.Sender != made[i].Sender || read.Kind != 0 || !bytes.Equal(read.Payload, made[i].Payload) || read.Signature != made[i].Signature {
			t.Errorf("transaction %d is read as %+v with ID %s", i, read.TxFields, read.ID())
		}
		if err := sig.VerifyTx(v.Genesis, read); err != nil {
			t.Error(err)
		}
		signed := append([]byte("grapevine transaction 1\x00"), v.Genesis[:]...)
		signed = append(signed, want.Bytes[:len(want.Bytes)-64]...)
		if !ed25519.Verify(read.Sender[:], signed, read.Signature[:]) {
			t.Errorf("transaction %d: the standard library refuses its signature", i)
		}
	}
}

func TestVectorsOfBlock(t *testing.T) {
	v := loadVectors(t)
	var txs []*block.Tx
	var ids []block.ID
	for _, raw := range v.Transactions {
		tx, err := block.DecodeTx(raw.Bytes)
		if err != nil {
			t.Fatal(err)
		}
		txs, ids = append(txs, tx), append(ids, tx.ID())
	}
	now, err := strconv.ParseInt(v.Time, 10, 64)
	if err != nil {
		t.Fatal(err)
	}
	orderer := sig.NewKey([32]byte(v.OrdererSeed))
	h := block.Draft(v.Genesis, block.Limits{}, block.Tip{Height: v.Height - 1, ID: v.Parent, TimeNano: now - 1}, now, orderer.Public(), txs)
	if !bytes.Equal(h.Bytes(), v.Header) || h.ID() != v.BlockID {
		t.Errorf("header is %x with ID %s, want %x with ID %s", h.Bytes(), h.ID(), v.Header, v.BlockID)
	}
	signed := orderer.SignHeader(h)
	if !bytes.Equal(signed.Signature[:], v.HeaderSignature) {
		t.Errorf("signature is %x, want %x", signed.Signature, v.HeaderSignature)
	}
	if root := block.TxRoot(ids); root != v.TxRoot {
		t.Errorf("transaction root is %s, want %s", root, v.TxRoot)
	}
	key := h.ShortKey()
	if want := block.NewSipKey(block.ID(append(v.ShortKey[:16:16], make([]byte, 16)...))); key != want {
		t.Errorf("short key is %x, want %x", key, want)
	}
	list := key.List(ids)
	if !bytes.Equal(list, v.ShortIDs) {
		t.Errorf("short IDs are %x, want %x", list, v.ShortIDs)
	}
	for i, id := range ids {
		if block.ShortAt(list, i) != key.Short(id) {
			t.Errorf("short ID %d is %x in the list, %x alone", i, block.ShortAt(list, i), key.Short(id))
		}
	}
	b := block.New(signed, txs)
	if !bytes.Equal(b.Bytes(), v.Block) {
		t.Errorf("block is %x, want %x", b.Bytes(), v.Block)
	}
	read, err := block.Decode(v.Block)
	if err != nil {
		t.Fatal(err)
	}
	if read.ID() != v.BlockID || read.SignedHeader != signed || !bytes.Equal(read.Bytes(), v.Block) || !bytes.Equal(read.Body(), v.Block[len(v.Block)-int(h.BodySize):]) {
		t.Errorf("block is read as %+v", read.Header)
	}
	if err := sig.VerifyHeader(&read.SignedHeader); err != nil {
		t.Error(err)
	}
}

func TestVectorOfSipHash(t *testing.T) {
	v := loadVectors(t)
	var id block.ID
	for i := range id {
		id[i] = byte(i)
	}
	key := block.NewSipKey(block.ID(append(v.Siphash.Key[:16:16], make([]byte, 16)...)))
	if got := fmt.Sprintf("%016x", key.Sum64(id)); got != v.Siphash.Of00To1f {
		t.Errorf("SipHash of 00 to 1f is %s, want %s", got, v.Siphash.Of00To1f)
	}
}

func TestVectorsOfRoots(t *testing.T) {
	v := loadVectors(t)
	var ids []block.ID
	for n, want := range v.Roots {
		if got := block.TxRoot(ids); got != want {
			t.Errorf("root of %d is %s, want %s", n, got, want)
		}
		ids = append(ids, sha256.Sum256(binary.BigEndian.AppendUint32(nil, uint32(n))))
	}
}

// mth is the Merkle tree hash as RFC 6962 §2.1 defines it.
func mth(leaves [][]byte) block.ID {
	if len(leaves) == 0 {
		return sha256.Sum256(nil)
	}
	if len(leaves) == 1 {
		return sha256.Sum256(append([]byte{0}, leaves[0]...))
	}
	k := 1
	for k*2 < len(leaves) {
		k *= 2
	}
	left, right := mth(leaves[:k]), mth(leaves[k:])
	return sha256.Sum256(append(append([]byte{1}, left[:]...), right[:]...))
}

// TxRoot is the tree of RFC 6962 over the IDs. The definition it is compared with
// gives the trees that Certificate Transparency's tests have known since 2012.
func TestTxRootIsRFC6962(t *testing.T) {
	var leaves [][]byte
	for _, leaf := range []struct{ data, root string }{
		{"", "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d"},
		{"00", "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125"},
		{"10", "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77"},
		{"2021", "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7"},
		{"3031", "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4"},
		{"40414243", "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef"},
		{"5051525354555657", "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c"},
		{"606162636465666768696a6b6c6d6e6f", "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328"},
	} {
		data, err := hex.DecodeString(leaf.data)
		if err != nil {
			t.Fatal(err)
		}
		leaves = append(leaves, data)
		if got := mth(leaves).String(); got != leaf.root {
			t.Fatalf("the definition gives %s for %d leaves, want %s", got, len(leaves), leaf.root)
		}
	}
	var ids []block.ID
	leaves = nil
	for n := range 260 {
		if got, want := block.TxRoot(ids), mth(leaves); got != want {
			t.Fatalf("root of %d is %s, want %s", n, got, want)
		}
		id := block.ID(sha256.Sum256([]byte{byte(n), byte(n >> 8)}))
		ids, leaves = append(ids, id), append(leaves, id[:])
	}
}
