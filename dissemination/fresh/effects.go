package fresh

import (
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Effect is something the engine wants done.
type Effect interface{ effect() }

// Announce sends the block's announcement to each peer named.
type Announce struct {
	To       []wire.PeerID
	Block    block.ID
	Hop      int
	Complete bool     // this peer holds the whole body
	Pulled   bool     // it answers a Pull
	Body     bool     // the whole body follows, unasked; the header is enough of an announcement
	Digest   bool     // the header is enough: who lacks the block asks for all of it
	Prefill  []uint32 // places whose transactions go along, ascending
}

// Fetch asks a peer for transactions of a block, or, without places, for the list
// of its transactions' full IDs.
type Fetch struct {
	To     wire.PeerID
	Block  block.ID
	Number uint32
	At     []uint32
	Wait   time.Duration // how long this peer waits for progress
}

// Serve answers a peer's Fetch; without places, with the list of full IDs.
type Serve struct {
	To     wire.PeerID
	Block  block.ID
	Number uint32
	At     []uint32
}

// Refuse answers a peer's Fetch: this peer has not got it.
type Refuse struct {
	To     wire.PeerID
	Block  block.ID
	Number uint32
}

// Pull asks a peer for announcements of blocks above the tip that are not in Have:
// those that it knows, and somebody is being asked for.
type Pull struct {
	To   wire.PeerID
	Tip  uint64
	Upto uint64
	Have []block.ID
}

// Tip tells a peer how far this peer's chain goes: it pulled, and there is nothing.
type Tip struct {
	To     wire.PeerID
	Height uint64
}

// Complete says that no transaction of the block is missing any more. The driver
// puts the body together and answers with Checked, Mismatched or Rejected.
type Complete struct{ Block block.ID }

// Forget says that the engine has no more use for the block's bytes.
type Forget struct{ Block block.ID }

func (Announce) effect() {}
func (Fetch) effect()    {}
func (Serve) effect()    {}
func (Refuse) effect()   {}
func (Pull) effect()     {}
func (Tip) effect()      {}
func (Complete) effect() {}
func (Forget) effect()   {}

// Stats counts what the engine has seen and done since it was made.
type Stats struct {
	Announced     uint64 // announcements that arrived
	Duplicates    uint64 // of these, for blocks already known
	Ignored       uint64 // of these, outside the window or against another at its height
	Relayed       uint64 // announcements sent on
	Bodies        uint64 // of these, with the whole body behind them
	Fetches       uint64 // requests sent
	FetchTimeouts uint64 // of these, without an answer in time
	FetchRefusals uint64 // of these, answered with no
	Mismatches    uint64 // bodies that short IDs rebuilt wrongly
	Served        uint64 // requests answered with transactions
	Refused       uint64 // requests answered with no
	Pulls         uint64 // pulls sent
	PullsAnswered uint64 // pulls answered with announcements
	PullsIgnored  uint64 // pulls over a peer's rate
}
