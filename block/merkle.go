package block

import "crypto/sha256"

// TxRoot returns the Merkle tree hash of RFC 6962 §2.1 over the IDs. Of no IDs it
// is the hash of the empty string.
func TxRoot(ids []ID) ID {
	if len(ids) == 0 {
		return sha256.Sum256(nil)
	}
	// A full binary tree over the leaves so far, as a stack of perfect subtrees
	// whose sizes are the bits of the count: the split of RFC 6962 follows.
	stack := make([]ID, 0, 32)
	for i, id := range ids {
		stack = append(stack, leafHash(id))
		for n := i + 1; n&1 == 0; n >>= 1 {
			stack = fold(stack)
		}
	}
	for len(stack) > 1 {
		stack = fold(stack)
	}
	return stack[0]
}

func fold(stack []ID) []ID {
	n := len(stack)
	stack[n-2] = nodeHash(stack[n-2], stack[n-1])
	return stack[:n-1]
}

func leafHash(id ID) ID {
	var b [1 + 32]byte
	copy(b[1:], id[:])
	return sha256.Sum256(b[:])
}

func nodeHash(left, right ID) ID {
	var b [1 + 64]byte
	b[0] = 1
	copy(b[1:], left[:])
	copy(b[33:], right[:])
	return sha256.Sum256(b[:])
}
