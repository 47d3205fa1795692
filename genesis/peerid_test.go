package genesis

import (
	"crypto/sha256"
	"testing"

	"grapevine/block/sig"
)

func TestPeerIDIsReadBackAsTheKey(t *testing.T) {
	for i := range byte(20) {
		key := sig.NewKey(sha256.Sum256([]byte{i})).Public()
		got, err := publicKey(PeerID(key))
		if err != nil || got != key {
			t.Errorf("peer ID %s stands for key %s, %v: want %s", PeerID(key), got, err, key)
		}
	}
}
