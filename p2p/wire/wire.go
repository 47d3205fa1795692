// Package wire holds what all of the protocols between peers share: how a peer is
// named, which lanes there are, how messages are framed, and the control lane's
// messages. It knows no network, so that cores and decoders can use it.
package wire

// PeerID names a peer, as its libp2p peer ID in text ("12D3KooW…"). It is what
// logs, reports and the API show. Cores compare and order it, and never parse it.
type PeerID string

// Short returns the last eight characters, for people: the first are the same in
// all Ed25519 peer IDs.
func (p PeerID) Short() string { return string(p[max(0, len(p)-8):]) }

// Lane is one of the streams that two peers keep open, each with its own queue
// and budget, so that a body in transfer does not hold up an announcement.
type Lane uint8

// The lanes. Each has a protocol ID of its own: /grapevine/<16 hex>/<name>/<version>.
const (
	Control Lane = iota // Hello, Goodbye, which connection to use, membership
	Blocks              // announcements and pulls
	Bodies              // transactions of announced blocks
	Catchup             // ranges of blocks
	Txs                 // the transactions' repair plane
	NumLanes
)

// String returns the lane's name, as protocol IDs and metrics spell it.
func (l Lane) String() string {
	return [...]string{"control", "blocks", "bodies", "catchup", "txs"}[l]
}
