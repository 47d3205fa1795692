package genesis

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/peer"

	"grapevine/block"
)

// idPrefix comes before the key in the peer ID of an Ed25519 key: the multihash
// "identity, 36 bytes", and the protobuf fields "type Ed25519" and "key, 32 bytes"
// (libp2p's peer ID specification).
var idPrefix = []byte{0x00, 0x24, 0x08, 0x01, 0x12, 0x20}

// PeerID returns the peer ID of a key, as the genesis and everything else shows it.
func PeerID(key block.PublicKey) string {
	id, err := peer.IDFromBytes(append(idPrefix[:len(idPrefix):len(idPrefix)], key[:]...))
	if err != nil {
		panic(fmt.Sprintf("peer ID of key %s: %v", key, err)) // the prefix is fixed
	}
	return id.String()
}
