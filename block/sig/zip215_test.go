package sig

import (
	"crypto/ed25519"
	"crypto/sha512"
	"encoding/hex"
	"testing"

	"github.com/oasisprotocol/curve25519-voi/curve"
	"github.com/oasisprotocol/curve25519-voi/curve/scalar"

	"grapevine/block"
)

// The encodings of the eight points of small order that ZIP 215 lets pass: the
// canonical ones, and the six that are not.
var smallOrder = []string{
	"0100000000000000000000000000000000000000000000000000000000000000",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"0000000000000000000000000000000000000000000000000000000000000000",
	"0000000000000000000000000000000000000000000000000000000000000080",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc05",
	"26e8958fc2b227b045c3f489f2ef98f0d5dfac05d3c63339b13802886d53fc85",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac037a",
	"c7176a703d4dd84fba3c0b760d10670f2a2053fa2c39ccc64ec7fd7792ac03fa",
	"0100000000000000000000000000000000000000000000000000000000000080",
	"ecffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"eeffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff7f",
	"edffffffffffffffffffffffffffffffffffffffffffffffffffffffffffffff",
}

func unhex(t *testing.T, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(s)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// forged is a transaction of that sender with that signature.
func forged(sender, r, s []byte, nonce uint64) *block.Tx {
	f := block.TxFields{Sender: block.PublicKey(sender), Nonce: nonce, Expiry: 10}
	return f.Seal(block.Signature(append(append([]byte(nil), r...), s...)))
}

// The 196 cases of the ZIP 215 conformance tests: key and R of small order, s = 0.
// The equation [8][s]B = [8]R + [8][k]A is 0 = 0 whatever was signed: such a key signs
// everything, for everybody, in several ways. So here they are refused.
func TestSmallOrderKeysAreRefused(t *testing.T) {
	var all []*block.Tx
	for i, a := range smallOrder {
		for j, r := range smallOrder {
			all = append(all, forged(unhex(t, a), unhex(t, r), make([]byte, 32), uint64(i*100+j)))
		}
	}
	agree(t, all, 0)
	good := tx(key(1), 1)
	takenByStd := 0
	for _, tx := range all {
		agree(t, []*block.Tx{tx, good}, 1)
		if ed25519.Verify(tx.Sender[:], block.SigningBytes(block.DomainTx, network, tx.UnsignedBytes()), tx.Signature[:]) {
			takenByStd++
		}
	}
	if takenByStd == 0 {
		t.Error("the standard library refuses all of them, so they prove nothing")
	}
}

// torsion returns the key's signature under its public key plus a point of small
// order: cofactorless checks refuse it, and a batch without the cofactor takes or
// refuses it by chance.
func torsion(t *testing.T, k Key, small []byte, nonce uint64) *block.Tx {
	t.Helper()
	seed := k.Seed()
	h := sha512.Sum512(seed[:])
	h[0], h[31] = h[0]&248, h[31]&127|64
	a, err1 := scalar.NewFromBits(h[:32])
	r, err2 := scalar.NewFromBytesModOrderWide(h[:])
	if err1 != nil || err2 != nil {
		t.Fatal(err1, err2)
	}
	var at, pub curve.EdwardsPoint
	var compressed curve.CompressedEdwardsY
	if _, err := compressed.SetBytes(small); err != nil {
		t.Fatal(err)
	}
	if _, err := at.SetCompressedY(&compressed); err != nil {
		t.Fatal(err)
	}
	pub.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, a)
	pub.Add(&pub, &at)
	sender := bytesOf(&pub)
	var point curve.EdwardsPoint
	big := bytesOf(point.MulBasepoint(curve.ED25519_BASEPOINT_TABLE, r))

	f := block.TxFields{Sender: block.PublicKey(sender), Nonce: nonce, Expiry: 10}
	hash := sha512.New()
	hash.Write(big)
	hash.Write(sender)
	hash.Write(block.SigningBytes(block.DomainTx, network, f.UnsignedBytes()))
	c, err := scalar.NewFromBytesModOrderWide(hash.Sum(nil))
	if err != nil {
		t.Fatal(err)
	}
	s := scalar.New().Mul(c, a)
	s.Add(s, r)
	raw := make([]byte, 32)
	if err := s.ToBytes(raw); err != nil {
		t.Fatal(err)
	}
	return forged(sender, big, raw, nonce)
}

func bytesOf(p *curve.EdwardsPoint) []byte {
	var c curve.CompressedEdwardsY
	c.SetEdwardsPoint(p)
	return c[:]
}

func TestZIP215MixedOrder(t *testing.T) {
	var all []*block.Tx
	for i, small := range smallOrder {
		tx := torsion(t, key(byte(i+1)), unhex(t, small), uint64(i))
		agree(t, []*block.Tx{tx}, 1)
		all = append(all, tx, tx.Seal(block.Signature{1}))
	}
	for range 20 { // a batch draws random factors
		agree(t, all, len(smallOrder))
	}
	four := torsion(t, key(1), unhex(t, smallOrder[4]), 0)
	if ed25519.Verify(four.Sender[:], block.SigningBytes(block.DomainTx, network, four.UnsignedBytes()), four.Signature[:]) {
		t.Error("the standard library takes it, so it proves nothing")
	}
}

// What ZIP 215 refuses, alone and in a batch: s that is not below the group's order,
// and bytes that are no point.
func TestZIP215Refusals(t *testing.T) {
	good := tx(key(1), 1)
	order := unhex(t, "edd3f55c1a631258d69cf7a2def9de1400000000000000000000000000000010")
	plus := func(s []byte) []byte { // s + the order, which is below 2^254
		out, carry := make([]byte, 32), 0
		for i := range out {
			sum := int(s[i]) + int(order[i]) + carry
			out[i], carry = byte(sum), sum>>8
		}
		return out
	}
	noPoint := unhex(t, "0200000000000000000000000000000000000000000000000000000000000000")
	zero := make([]byte, 32)
	one := unhex(t, smallOrder[0])
	for _, bad := range []*block.Tx{
		good.Seal(block.Signature(append(append([]byte(nil), good.Signature[:32]...), plus(good.Signature[32:])...))),
		forged(one, one, order, 1),
		forged(one, noPoint, zero, 1),
		forged(noPoint, one, zero, 1),
	} {
		agree(t, []*block.Tx{bad}, 0)
		agree(t, []*block.Tx{good, bad, good}, 2)
	}
}
