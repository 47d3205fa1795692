// Package arrival says how a block came to a peer: the words that cores, logs, the API
// and reports have in common.
package arrival

import (
	"fmt"
	"math"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Via is the way by which a block came.
type Via uint8

// The ways.
const (
	Unknown Via = iota // it was not said
	Own                // it was made here
	Push               // announced unasked, and rebuilt from the pool, most of it
	Shards             // rebuilt from shards, most of it
	Pull               // announced in answer to a pull
	CatchUp            // fetched whole, in a range
)

var names = [...]string{Unknown: "", Own: "own", Push: "push", Shards: "shards", Pull: "pull", CatchUp: "catch-up"}

// String returns the way as logs and reports spell it.
func (v Via) String() string { return names[v] }

// MarshalText implements encoding.TextMarshaler, for logs in JSON.
func (v Via) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// UnmarshalText implements encoding.TextUnmarshaler.
func (v *Via) UnmarshalText(text []byte) error {
	i := slices.Index(names[:], string(text))
	if i < 0 {
		return fmt.Errorf("a way of blocks is %q: want one of %q", text, names)
	}
	*v = Via(i)
	return nil
}

// Facts are what a peer knows of a block's coming.
type Facts struct {
	Via       Via
	From      wire.PeerID // who announced it first, or sent it; empty for its own
	Hop       int         // peers that it passed through before it arrived here
	FirstSeen time.Time   // when it was announced first; zero if it never was
	Missing   int         // transactions that had to be fetched
	Again     int         // bytes of its transactions that came though they were here
	Repeats   int         // announcements after the first
}

// Accepted is a block that a peer accepted, and how it came.
type Accepted struct {
	Height  uint64
	ID      block.ID
	Txs     int
	Bytes   int           // of the body
	Latency time.Duration // from the header's time until it was accepted
	At      time.Time
	Facts
}

// Attrs returns the keys and values, in turn, of the log line that every accepted block
// gets, logline.BlockAccepted. testnet/report reads them again.
func (a Accepted) Attrs() []any {
	return []any{
		"height", a.Height, "id", a.ID, "txs", a.Txs, "bytes", a.Bytes, "via", a.Via, "from", a.From, "hop", a.Hop,
		"latency", a.Latency, "missing", a.Missing, "duplicates", a.Duplicates(),
	}
}

// Duplicates returns how many bodies' worth of the block came again, to two digits.
func (a Accepted) Duplicates() float64 {
	return math.Round(100*float64(a.Again)/float64(max(a.Bytes, 1))) / 100
}
