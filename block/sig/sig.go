// Package sig makes and checks the network's signatures: Ed25519 under the rules
// of ZIP 215, which are exact about every edge case, so that a signature checked
// alone and the same one checked in a batch never disagree, and no two peers do. In one
// thing it is stricter: a public key of small order signs nothing. Under ZIP 215 anybody
// signs anything for such a key, and in several ways, which would be so many IDs.
//
// A signature covers domain ‖ genesis ID ‖ content (block.SigningBytes), so it
// counts for one purpose, in one network.
package sig

import (
	"crypto/rand"
	"fmt"

	"github.com/oasisprotocol/curve25519-voi/primitives/ed25519"

	"grapevine/block"
)

var zip215 = &ed25519.Options{Verify: func() *ed25519.VerifyOptions {
	o := *ed25519.VerifyOptionsZIP_215
	o.AllowSmallOrderA = false
	return &o
}()}

// Key is a private key that can sign.
type Key struct{ private ed25519.PrivateKey }

// NewKey derives the key from a secret seed.
func NewKey(seed [32]byte) Key { return Key{ed25519.NewKeyFromSeed(seed[:])} }

// Generate makes a key from the system's randomness.
func Generate() Key {
	var seed [32]byte
	rand.Read(seed[:]) // never fails, says crypto/rand
	return NewKey(seed)
}

// Seed returns the secret from which NewKey makes the key again.
func (k Key) Seed() [32]byte { return [32]byte(k.private.Seed()) }

// Public returns the public key.
func (k Key) Public() block.PublicKey { return block.PublicKey(k.private[32:]) }

// Sign signs content for one purpose in one network.
func (k Key) Sign(d block.Domain, genesis block.ID, content []byte) block.Signature {
	return block.Signature(ed25519.Sign(k.private, block.SigningBytes(d, genesis, content)))
}

// SignTx makes a transaction from the fields, with this key as its sender.
func (k Key) SignTx(genesis block.ID, f block.TxFields) *block.Tx {
	f.Sender = k.Public()
	return f.Seal(k.Sign(block.DomainTx, genesis, f.UnsignedBytes()))
}

// SignHeader signs a block's header.
func (k Key) SignHeader(h block.Header) block.SignedHeader {
	return block.SignedHeader{Header: h, Signature: k.Sign(block.DomainHeader, h.Genesis, h.Bytes())}
}

// Verify says whether s is pub's signature of the content.
func Verify(pub block.PublicKey, d block.Domain, genesis block.ID, content []byte, s block.Signature) bool {
	return ed25519.VerifyWithOptions(pub[:], block.SigningBytes(d, genesis, content), s[:], zip215)
}

// VerifyHeader refuses a header whose producer did not sign it.
func VerifyHeader(h *block.SignedHeader) error {
	if !Verify(h.Producer, block.DomainHeader, h.Genesis, h.Header.Bytes(), h.Signature) {
		return fmt.Errorf("header at height %d: wrong signature for producer %s", h.Height, h.Producer)
	}
	return nil
}

// VerifyTx refuses a transaction that its sender did not sign for this network.
func VerifyTx(genesis block.ID, t *block.Tx) error {
	if !Verify(t.Sender, block.DomainTx, genesis, t.UnsignedBytes(), t.Signature) {
		return wrongTx(t)
	}
	return nil
}

func wrongTx(t *block.Tx) error {
	return fmt.Errorf("transaction %s: wrong signature for sender %s in this network", t.ID().Short(), t.Sender)
}

// VerifyTxs checks many transactions in one batch, at about a quarter of the cost
// of checking them one by one, and returns an error per transaction, nil for the
// good ones.
func VerifyTxs(genesis block.ID, txs []*block.Tx) []error {
	errs := make([]error, len(txs))
	if len(txs) == 1 { // a batch of one costs more than a single check
		errs[0] = VerifyTx(genesis, txs[0])
		return errs
	}
	batch := ed25519.NewBatchVerifierWithCapacity(len(txs))
	for _, t := range txs {
		batch.AddWithOptions(t.Sender[:], block.SigningBytes(block.DomainTx, genesis, t.UnsignedBytes()), t.Signature[:], zip215)
	}
	all, each := batch.Verify(rand.Reader)
	if all {
		return errs
	}
	for i, ok := range each {
		if !ok {
			errs[i] = wrongTx(txs[i])
		}
	}
	return errs
}
