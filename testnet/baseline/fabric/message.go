package fabric

import (
	"time"

	"grapevine/p2p/wire"
)

// Message is what peers say to each other. It is sealed: a kind is one type, with one
// method of Peer that takes it (arrive), its bytes (codec.go), and a row in the table of
// kinds there.
type Message interface {
	// Lane says in which stream, and so in which queue, it goes.
	Lane() wire.Lane
	// Size is that of its encoding, bodies included.
	Size() int
	// Bodies are the blocks whose bodies go with it, in this order.
	Bodies() []Block
	// AppendTo appends the encoding to b, without the bodies, which follow it.
	AppendTo(b []byte) []byte

	arrive(p *Peer, now time.Time, from *neighbour)
}

type (
	// Push brings a block unasked.
	Push struct {
		Block Block
		Hop   int // the producer's own has 0
	}
	// Hello begins a pull.
	Hello struct{ Nonce uint64 }
	// Digest answers a Hello with the heights that gossip remembers, ascending.
	Digest struct {
		Nonce   uint64
		Heights []uint64
	}
	// Request asks for blocks of a Digest, ascending.
	Request struct {
		Nonce   uint64
		Heights []uint64
	}
	// Response answers a Request.
	Response struct {
		Nonce  uint64
		Blocks []Block
	}
	// Advert says that a block is made, and that its sender has it or has asked for it.
	Advert struct {
		Height uint64
		Hop    int
	}
	// Want answers an Advert: the block is not here.
	Want struct {
		Height uint64
		Hop    int // of the Advert
	}
	// Answer answers a Want.
	Answer struct {
		Block Block
		Hop   int // of the Want
	}
	// StateInfo tells the sender's height.
	StateInfo struct{ Height uint64 }
	// StateRequest asks for a range of the chain, both ends included.
	StateRequest struct{ Nonce, From, Upto uint64 }
	// StateResponse answers a StateRequest, with the range's first blocks or with none.
	StateResponse struct {
		Nonce  uint64
		Blocks []Block
	}
)

func (m Push) arrive(p *Peer, now time.Time, from *neighbour)          { p.pushed(now, from, m) }
func (m Hello) arrive(p *Peer, now time.Time, from *neighbour)         { p.greeted(now, from, m) }
func (m Digest) arrive(p *Peer, _ time.Time, from *neighbour)          { p.digested(from, m) }
func (m Request) arrive(p *Peer, now time.Time, from *neighbour)       { p.requested(now, from, m) }
func (m Response) arrive(p *Peer, now time.Time, from *neighbour)      { p.responded(now, from, m) }
func (m Advert) arrive(p *Peer, _ time.Time, from *neighbour)          { p.advertised(from, m) }
func (m Want) arrive(p *Peer, _ time.Time, from *neighbour)            { p.wanted(from, m) }
func (m Answer) arrive(p *Peer, now time.Time, from *neighbour)        { p.answered(now, from, m) }
func (m StateInfo) arrive(p *Peer, _ time.Time, from *neighbour)       { p.told(from, m) }
func (m StateRequest) arrive(p *Peer, _ time.Time, from *neighbour)    { p.asksState(from, m) }
func (m StateResponse) arrive(p *Peer, now time.Time, from *neighbour) { p.answersState(now, from, m) }

// Lane implements Message: bodies that are fresh.
func (Push) Lane() wire.Lane { return wire.Bodies }

// Lane implements Message.
func (Answer) Lane() wire.Lane { return wire.Bodies }

// Lane implements Message.
func (Response) Lane() wire.Lane { return wire.Bodies }

// Lane implements Message: what is small.
func (Hello) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message.
func (Digest) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message.
func (Request) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message.
func (Advert) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message.
func (Want) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message.
func (StateInfo) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message.
func (StateRequest) Lane() wire.Lane { return wire.Blocks }

// Lane implements Message: blocks of the chain.
func (StateResponse) Lane() wire.Lane { return wire.Catchup }

// Bodies implements Message.
func (m Push) Bodies() []Block { return []Block{m.Block} }

// Bodies implements Message.
func (m Answer) Bodies() []Block { return []Block{m.Block} }

// Bodies implements Message.
func (m Response) Bodies() []Block { return m.Blocks }

// Bodies implements Message.
func (m StateResponse) Bodies() []Block { return m.Blocks }

// Bodies implements Message.
func (Hello) Bodies() []Block { return nil }

// Bodies implements Message.
func (Digest) Bodies() []Block { return nil }

// Bodies implements Message.
func (Request) Bodies() []Block { return nil }

// Bodies implements Message.
func (Advert) Bodies() []Block { return nil }

// Bodies implements Message.
func (Want) Bodies() []Block { return nil }

// Bodies implements Message.
func (StateInfo) Bodies() []Block { return nil }

// Bodies implements Message.
func (StateRequest) Bodies() []Block { return nil }
