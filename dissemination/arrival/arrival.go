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
	Own     Via = iota // it was made here
	Push               // announced unasked
	Pull               // announced in answer to a pull
	CatchUp            // fetched whole, in a range
)

var names = [...]string{Own: "own", Push: "push", Pull: "pull", CatchUp: "catch-up"}

// String returns the way as logs and reports spell it.
func (v Via) String() string { return names[v] }

// MarshalText implements encoding.TextMarshaler, for logs in JSON.
func (v Via) MarshalText() ([]byte, error) { return []byte(v.String()), nil }

// ParseVia reads what String wrote.
func ParseVia(s string) (Via, error) {
	if i := slices.Index(names[:], s); i >= 0 {
		return Via(i), nil
	}
	return 0, fmt.Errorf("a way of blocks is %q: want one of %q", s, names)
}

// Facts are what a peer knows of a block's coming.
type Facts struct {
	Via       Via
	From      wire.PeerID // who announced it first, or sent it; empty for its own
	Hop       int         // peers that it passed through before it arrived here
	FirstSeen time.Time   // when it was announced first; zero if it never was
	Missing   int         // transactions that the pool lacked
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

// Duplicates returns how many bodies' worth of the block came again, to two digits.
func (a Accepted) Duplicates() float64 {
	return math.Round(100*float64(a.Again)/float64(max(a.Bytes, 1))) / 100
}
