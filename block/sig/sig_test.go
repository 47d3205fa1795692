package sig

import (
	"bytes"
	"crypto/ed25519"
	"strings"
	"testing"

	"grapevine/block"
)

var network = block.ID{7}

func key(b byte) Key { return NewKey([32]byte{b}) }

func tx(k Key, nonce uint64) *block.Tx {
	return k.SignTx(network, block.TxFields{Nonce: nonce, Expiry: 10, Payload: []byte("payload")})
}

func TestSignatureCountsForOnePurpose(t *testing.T) {
	k := key(1)
	s := k.Sign(block.DomainTx, network, []byte("content"))
	for _, tc := range []struct {
		name    string
		pub     block.PublicKey
		domain  block.Domain
		genesis block.ID
		content string
		want    bool
	}{
		{"as signed", k.Public(), block.DomainTx, network, "content", true},
		{"another key", key(2).Public(), block.DomainTx, network, "content", false},
		{"another domain", k.Public(), block.DomainHeader, network, "content", false},
		{"another network", k.Public(), block.DomainTx, block.ID{8}, "content", false},
		{"another content", k.Public(), block.DomainTx, network, "Content", false},
		{"more content", k.Public(), block.DomainTx, network, "content ", false},
	} {
		if got := Verify(tc.pub, tc.domain, tc.genesis, []byte(tc.content), s); got != tc.want {
			t.Errorf("%s: %v, want %v", tc.name, got, tc.want)
		}
	}
	// Content cannot take over a part of the domain or of the genesis.
	signed := append([]byte(block.DomainTx), network[:]...)
	if pub := k.Public(); !ed25519.Verify(pub[:], append(signed, "content"...), s[:]) {
		t.Error("the standard library refuses the signature over domain ‖ genesis ‖ content")
	}
	domains := []block.Domain{block.DomainTx, block.DomainHeader, block.DomainRecord, block.DomainEvidence}
	for i, a := range domains {
		for j, b := range domains {
			if i != j && strings.HasPrefix(string(a), string(b)) {
				t.Errorf("domain %q begins with %q", a, b)
			}
		}
	}
}

func TestKeyFromSeed(t *testing.T) {
	k := Generate()
	again := NewKey(k.Seed())
	if again.Public() != k.Public() || k.Public() == Generate().Public() {
		t.Error("a key's seed does not make it again, or two are alike")
	}
	std := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{5}, 32)).Public().(ed25519.PublicKey)
	if pub := NewKey([32]byte(bytes.Repeat([]byte{5}, 32))).Public(); !bytes.Equal(pub[:], std) {
		t.Errorf("public key is %s, the standard library's %x", pub, std)
	}
}

func TestVerifyHeader(t *testing.T) {
	txs := []*block.Tx{tx(key(2), 1)}
	h := key(1).SignHeader(block.Draft(network, block.Limits{}, block.Tip{ID: network}, 1, key(1).Public(), txs))
	if err := VerifyHeader(&h); err != nil {
		t.Fatal(err)
	}
	h.Producer = key(2).Public()
	if err := VerifyHeader(&h); err == nil || !strings.Contains(err.Error(), "height 1: wrong signature for producer "+key(2).Public().String()) {
		t.Errorf("another producer: %v", err)
	}
}

// In batches of every small size, with bad ones at every place, the batch says what
// single checks say.
func TestVerifyTxsAgreesWithVerifyTx(t *testing.T) {
	for n := range 12 {
		txs := make([]*block.Tx, n)
		for i := range txs {
			txs[i] = tx(key(byte(i%3)), uint64(i))
		}
		agree(t, txs, n)
		for bad := range n {
			mixed := append([]*block.Tx(nil), txs...)
			mixed[bad] = mixed[bad].Seal(block.Signature{1})
			agree(t, mixed, n-1)
			for other := range bad {
				two := append([]*block.Tx(nil), mixed...)
				two[other] = two[other].Seal(mixed[bad].Signature)
				agree(t, two, n-2)
			}
		}
	}
}

// agree compares the batch's verdicts with those of single checks, of which that
// many are good.
func agree(t *testing.T, txs []*block.Tx, good int) {
	t.Helper()
	errs := VerifyTxs(network, txs)
	if len(errs) != len(txs) {
		t.Fatalf("%d errors for %d transactions", len(errs), len(txs))
	}
	for i, tx := range txs {
		alone := VerifyTx(network, tx)
		if (alone == nil) != (errs[i] == nil) || alone != nil && alone.Error() != errs[i].Error() {
			t.Errorf("transaction %d of %d: alone %v, in the batch %v", i, len(txs), alone, errs[i])
		}
		if alone == nil {
			good--
		}
	}
	if good != 0 {
		t.Errorf("of %d transactions %d more were to be good", len(txs), good)
	}
}

func TestVerifyTxOfAnotherNetwork(t *testing.T) {
	txs := []*block.Tx{tx(key(1), 1), tx(key(1), 2)}
	for _, err := range append(VerifyTxs(block.ID{8}, txs), VerifyTx(block.ID{8}, txs[0])) {
		if err == nil || !strings.Contains(err.Error(), "wrong signature for sender "+key(1).Public().String()) {
			t.Errorf("error is %v", err)
		}
	}
}

func load(n int) []*block.Tx {
	txs := make([]*block.Tx, n)
	for i := range txs {
		f := block.TxFields{Nonce: uint64(i), Expiry: 10, Payload: make([]byte, 250-block.TxOverhead)}
		txs[i] = key(byte(i)).SignTx(network, f)
	}
	return txs
}

func BenchmarkVerifyTxs(b *testing.B) {
	txs := load(1000)
	for b.Loop() {
		VerifyTxs(network, txs)
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/1000, "ns/tx")
}

func BenchmarkVerifyTx(b *testing.B) {
	one := load(1)[0]
	for b.Loop() {
		if err := VerifyTx(network, one); err != nil {
			b.Fatal(err)
		}
	}
}

func BenchmarkSignTx(b *testing.B) {
	k := key(1)
	for b.Loop() {
		tx(k, 1)
	}
}
