package membership

import "crypto/sha256"

// A heartbeat must be cheap to check and impossible to forge by those who pass it
// on. So an owner makes a chain of hashes backwards from a secret, signs its end,
// the anchor, with its record, and reveals one link with each heartbeat:
//
//	anchor = v₀ = H(v₁),  v₁ = H(v₂),  …
//
// Whoever knows vᵢ checks vⱼ with j − i hashes, and cannot make it. Every version of
// a record begins a chain of its own, so that a late comer has few hashes to make.

// chainLength is how many heartbeats a version of a record has; the next needs a new
// version. A quarter of an hour at one a second; 32 KiB for the owner.
const chainLength = 1024

type link [32]byte

// next is H.
func (l link) next() link {
	return sha256.Sum256(append([]byte("grapevine beat 1\x00"), l[:]...))
}

// newChain returns the chain whose secret end is made from a secret: chain[0] is the
// anchor, chain[i] the i-th heartbeat.
func newChain(secret [32]byte) []link {
	chain := make([]link, chainLength+1)
	chain[chainLength] = link(secret).next()
	for i := chainLength; i > 0; i-- {
		chain[i-1] = chain[i].next()
	}
	return chain
}

// beat is a heartbeat that is known of a chain.
type beat struct {
	index uint32
	link  link
}

// follows says whether b is a later heartbeat of the same chain as a.
func (b beat) follows(a beat) bool {
	if b.index <= a.index || b.index > chainLength {
		return false
	}
	l := b.link
	for i := b.index; i > a.index; i-- {
		l = l.next()
	}
	return l == a.link
}
