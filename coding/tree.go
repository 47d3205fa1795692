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

// errProof says that leaves are not those that a root commits to.
var errProof = errors.New("the shards are not those under the root")

// Verify refuses the bytes of a span that are not those under a root, or a proof other than
// theirs.
func (g Geometry) Verify(root Hash, s Span, raw []byte, proof []Hash) error {
	if err := g.Check(s); err != nil {
		return err
	}
	if len(raw) != s.Leaves*g.LeafBytes() || len(proof) != g.ProofLen(s) {
		return errProof
	}
	own, _ := g.treeOf(s.First)
	level := grow(g.leaves(s.First, raw), s.level())
	at, width := (s.First-own.First)>>s.level(), own.Leaves // of the span's node, and of its level
	for range s.level() {
		width = (width + 1) / 2
	}
	node := level.root()
	for ; width > 1; at, width = at/2, (width+1)/2 {
		var other Hash
		if at^1 < width {
			other, proof = proof[0], proof[1:]
		}
		if at%2 == 0 {
			node = nodeHash(node, other)
		} else {
			node = nodeHash(other, node)
		}
	}
	data, parity := node, proof[0]
	if own.First > 0 {
		data, parity = parity, data
	}
	if rootHash(data, parity) != root {
		return errProof
	}
	return nil
}

// ProofLen returns how many hashes the proof of a span has: siblings that have a leaf below,
// and the other tree's root.
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
