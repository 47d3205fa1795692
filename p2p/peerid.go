package p2p

import (
	"fmt"

	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/peer"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/p2p/wire"
)

// PeerIDFromKey returns the peer ID of a key.
func PeerIDFromKey(k block.PublicKey) wire.PeerID { return wire.PeerID(genesis.PeerID(k)) }

// keyOf returns the Ed25519 key that a peer ID stands for.
func keyOf(id peer.ID) (block.PublicKey, error) {
	key, err := id.ExtractPublicKey()
	if err != nil {
		return block.PublicKey{}, fmt.Errorf("peer ID %s: %w", id, err)
	}
	raw, err := key.Raw()
	if err != nil || key.Type() != crypto.Ed25519 || len(raw) != len(block.PublicKey{}) {
		return block.PublicKey{}, fmt.Errorf("peer ID %s is not that of an Ed25519 key", id)
	}
	return block.PublicKey(raw), nil
}

// identity turns a key into libp2p's form.
func identity(k sig.Key) (crypto.PrivKey, peer.ID, error) {
	seed, public := k.Seed(), k.Public()
	private, err := crypto.UnmarshalEd25519PrivateKey(append(seed[:], public[:]...))
	if err != nil {
		return nil, "", fmt.Errorf("identity: %w", err)
	}
	id, err := peer.IDFromPrivateKey(private)
	if err != nil {
		return nil, "", fmt.Errorf("identity: %w", err)
	}
	return private, id, nil
}
