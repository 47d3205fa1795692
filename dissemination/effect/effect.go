// Package effect is what the cores of dissemination want done. They only say so; who
// drives them does it: the driver of a node with bytes, signatures and a disk, the
// simulator with sizes and links.
package effect

import (
	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Effect is something that a core wants done.
//
//sumtype:decl
type Effect interface{ effect() }

// Send sends a message to each peer named, with what is to be attached to it. A peer
// whose queue has no room for it is told of with Dropped.
type Send struct {
	To  []wire.PeerID
	Msg message.Message
}

// Serve answers a peer's Fetch with the transactions at the places, or without places
// with the list of full IDs: message.Answer.
type Serve struct {
	To     wire.PeerID
	Number uint32
	Block  block.ID
	At     []uint32
	Stored bool // the block is in the ledger
}

// Assemble puts a block together of which nothing is lacking, and checks it against
// its header; the answer is Checked, Mismatched or Rejected.
type Assemble struct{ Block block.ID }

// Rebuild rebuilds a coded string of a block, its body or its list, of which there are as
// many symbols as it takes. The answer for a list is Listed, if it is right in itself; for a
// body that of Assemble.
type Rebuild struct {
	Block block.ID
	Body  bool
}

// Recheck looks again at shards that came before their block was known: the driver checks
// them, and hands them in.
type Recheck struct {
	From wire.PeerID
	Msg  *message.Shards
}

// CheckList holds a block's full IDs against its header; the answer is Listed or
// ListForged.
type CheckList struct {
	Block  block.ID
	Number uint32 // of the request that they answer
	From   wire.PeerID
	IDs    []block.ID
}

// Append adds a whole block to the chain, which has reached the height below it or is
// about to. The answer is Accepted and then Durable, or Refused.
type Append struct {
	Block  block.ID
	Height uint64
}

// Forget says that there is no more use for what is here of a block.
type Forget struct{ Block block.ID }

// Discard throws away what has come of an answer to a GetRange, and takes no more of
// it: its peer is gone, what it sent was wrong, or it came too late.
type Discard struct {
	Peer   wire.PeerID
	Number uint32
}

func (Send) effect()      {}
func (Serve) effect()     {}
func (Assemble) effect()  {}
func (Rebuild) effect()   {}
func (Recheck) effect()   {}
func (CheckList) effect() {}
func (Append) effect()    {}
func (Forget) effect()    {}
func (Discard) effect()   {}

// List collects effects in order.
type List struct{ list []Effect }

// Add adds an effect at the end.
func (l *List) Add(x Effect) { l.list = append(l.list, x) }

// Send adds a message to one peer.
func (l *List) Send(to wire.PeerID, m message.Message) {
	l.Add(Send{To: []wire.PeerID{to}, Msg: m})
}

// Drain returns what was added since it was last called.
func (l *List) Drain() []Effect {
	out := l.list
	l.list = nil
	return out
}
