package coding

import (
	"crypto/sha256"
	"encoding/binary"
	"errors"
)

// Hash is a node of a tree: SHA-256, or zeros where nothing is below.
type Hash = [sha256.Size]byte

const domainRoot = "grapevine shards 1\x00"

// tree is one of the two Merkle trees of a code, by level, leaves first. A level ends with
// the last node that has a leaf below.
type tree [][]Hash

func leafHash(number, count int, leaf []byte) Hash {
	b := make([]byte, 9, 9+leastLeaf)
	binary.BigEndian.PutUint32(b[1:], uint32(number))
	binary.BigEndian.PutUint32(b[5:], uint32(count))
	return sha256.Sum256(append(b, leaf...))
}

func nodeHash(left, right Hash) Hash {
	var b [1 + 2*sha256.Size]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[1+sha256.Size:], right[:])
	return sha256.Sum256(b[:])
}

func rootHash(data, parity Hash) Hash {
	b := append([]byte(domainRoot), data[:]...)
	return sha256.Sum256(append(b, parity[:]...))
}

// leaves returns the hashes of some leaves, of which raw is the bytes.
func (g Geometry) leaves(first int, raw []byte) []Hash {
	out := make([]Hash, 0, len(raw)/g.LeafBytes())
	for ; len(raw) > 0; raw = raw[g.LeafBytes():] {
		out = append(out, leafHash(first+len(out), g.Leaves(), raw[:g.LeafBytes()]))
	}
	return out
}

// grow makes the tree of some leaves, of so many levels above them.
func grow(level []Hash, above int) tree {
	t := tree{level}
	for range above {
		up := make([]Hash, 0, (len(level)+1)/2)
		for i := 0; i < len(level); i += 2 {
			var right Hash
			if i+1 < len(level) {
				right = level[i+1]
			}
			up = append(up, nodeHash(level[i], right))
		}
		t, level = append(t, up), up
	}
	return t
}

func (t tree) root() Hash { return t[len(t)-1][0] }

// Errors of Verify.
var (
	// ErrWrong says that leaves are not those that a root commits to, or a proof not theirs.
	ErrWrong = errors.New("the shards are not those under the root")
	// ErrShort says that a proof leads to no node that is known: it may be right.
	ErrShort = errors.New("the proof of the shards leads to no node that is known")
)

// Verifier checks the leaves of one code, and remembers the nodes that it has seen, so that
// who sends leaves that follow each other need not prove each of them up to the root.
type Verifier struct {
	geometry Geometry
	root     Hash
	trees    [2]tree // of data and parity, as far as it is known; zeros: not, or nothing below
}

// NewVerifier returns one for a code of a root.
func NewVerifier(g Geometry, root Hash) *Verifier {
	v := &Verifier{geometry: g, root: root}
	for i, leaves := range [2]int{g.DataLeaves(), g.Leaves() - g.DataLeaves()} {
		for width := leaves; ; width = (width + 1) / 2 {
			v.trees[i] = append(v.trees[i], make([]Hash, width))
			if width == 1 {
				break
			}
		}
	}
	return v
}

// Verify refuses the bytes of a span that are not those under the root, or of which the proof
// is wrong or leads nowhere. A proof is the siblings on the way up, of those that have a leaf
// below, to a node that is known, or to the top and then the other tree's root.
func (v *Verifier) Verify(s Span, raw []byte, proof []Hash) error {
	g := v.geometry
	if err := g.Check(s); err != nil {
		return err
	}
	if len(raw) != s.Leaves*g.LeafBytes() || len(proof) > g.ProofLen(s) {
		return ErrWrong
	}
	own, _ := g.treeOf(s.First)
	t, rest := v.trees[min(own.First, 1)], proof
	below := grow(g.leaves(s.First, raw), s.level())
	level, at, node := s.level(), (s.First-own.First)>>s.level(), below.root()
	path := []Hash{node}
	for ; level < len(t)-1; level, at = level+1, at/2 {
		var other Hash
		if at^1 < len(t[level]) {
			if len(rest) == 0 {
				break
			}
			other, rest = rest[0], rest[1:]
		}
		if at%2 == 0 {
			node = nodeHash(node, other)
		} else {
			node = nodeHash(other, node)
		}
		path = append(path, node)
	}
	switch known := t[level][at]; {
	case len(rest) == 1 && level == len(t)-1:
		data, parity := node, rest[0]
		if own.First > 0 {
			data, parity = parity, data
		}
		if rootHash(data, parity) != v.root {
			return ErrWrong
		}
		v.trees[1-min(own.First, 1)].set(len(v.trees[1-min(own.First, 1)])-1, 0, rest[0])
	case len(rest) > 0:
		return ErrWrong
	case known == Hash{}:
		return ErrShort
	case known != node:
		return ErrWrong
	}
	v.learn(t, s, own, below, path, proof)
	return nil
}

// learn notes the nodes of a proof that is right.
func (v *Verifier) learn(t tree, s, own Span, below tree, path, proof []Hash) {
	for l, nodes := range below {
		for i, n := range nodes {
			t.set(l, (s.First-own.First)>>l+i, n)
		}
	}
	at := (s.First - own.First) >> s.level()
	for i, n := range path {
		l := s.level() + i
		t.set(l, at, n)
		if l < len(t)-1 && at^1 < len(t[l]) && len(proof) > 0 {
			t.set(l, at^1, proof[0])
			proof = proof[1:]
		}
		at /= 2
	}
}

func (t tree) set(level, at int, n Hash) {
	if at < len(t[level]) {
		t[level][at] = n
	}
}

// Proof returns the whole proof of a span that Verify has found right.
func (v *Verifier) Proof(s Span) (proof []Hash) {
	own, _ := v.geometry.treeOf(s.First)
	own.First = min(own.First, 1)
	return proofIn(v.trees[own.First], v.trees[1-own.First].root(), s, v.geometry)
}

// proofIn returns the siblings on the way from a span to the top of its tree, and the other
// tree's root.
func proofIn(t tree, other Hash, s Span, g Geometry) (proof []Hash) {
	own, _ := g.treeOf(s.First)
	at := (s.First - own.First) >> s.level()
	for level := s.level(); level < len(t)-1; level, at = level+1, at/2 {
		if at^1 < len(t[level]) {
			proof = append(proof, t[level][at^1])
		}
	}
	return append(proof, other)
}

// ProofLen returns how many hashes the whole proof of a span has.
func (g Geometry) ProofLen(s Span) int {
	own, _ := g.treeOf(s.First)
	at, width, n := s.First-own.First, own.Leaves, 1
	for level := 0; width > 1; level, at, width = level+1, at/2, (width+1)/2 {
		if level >= s.level() && at^1 < width {
			n++
		}
	}
	return n
}

// FollowLen returns how many hashes are enough for the proof of a span, where those before it
// in its tree were proven one after the other, back to the last that began a multiple of its
// size times two to the power of any number: one up to the node that is the sibling of one on
// the way of the span before.
func (g Geometry) FollowLen(s Span) int {
	own, _ := g.treeOf(s.First)
	at, width := (s.First-own.First)>>s.level(), own.Leaves
	if at == 0 {
		return g.ProofLen(s)
	}
	for range s.level() {
		width = (width + 1) / 2
	}
	n := 0
	for ; at&1 == 0; at, width = at/2, (width+1)/2 {
		if at^1 < width {
			n++
		}
	}
	return n
}
