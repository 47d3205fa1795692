package coding

import (
	"bytes"
	"fmt"
	"math/bits"

	"github.com/klauspost/reedsolomon"
)

// Code is a string with its parity and its trees.
type Code struct {
	Geometry
	symbols      []byte // data, parity
	data, parity tree
	root         Hash
}

// New codes a string, which is copied. It has at most the bytes of the geometry's data.
func New(g Geometry, data []byte) *Code {
	if len(data) > g.Data*g.Symbol {
		panic(fmt.Sprintf("coding: %d bytes in %d symbols of %d", len(data), g.Data, g.Symbol))
	}
	symbols := make([]byte, g.Symbols()*g.Symbol)
	copy(symbols, data)
	return encode(g, symbols)
}

// encode makes parity and trees of the symbols of data, which are in their place.
func encode(g Geometry, symbols []byte) *Code {
	shards := g.shards(symbols)
	if err := g.encoder().Encode(shards); err != nil {
		panic(fmt.Sprintf("coding: %d and %d symbols of %d: %v", g.Data, g.Parity, g.Symbol, err)) // they are what they should be
	}
	c := &Code{Geometry: g, symbols: symbols}
	end := g.Data * g.Symbol
	c.data = grow(g.leaves(0, symbols[:end]), bits.Len(uint(g.DataLeaves()-1)))
	c.parity = grow(g.leaves(g.DataLeaves(), symbols[end:]), bits.Len(uint(g.Leaves()-g.DataLeaves()-1)))
	c.root = rootHash(c.data.root(), c.parity.root())
	return c
}

func (g Geometry) encoder() reedsolomon.Encoder {
	// One goroutine: who codes has others at work, and the result is the same.
	e, err := reedsolomon.New(g.Data, g.Parity, reedsolomon.WithLeopardGF16(true), reedsolomon.WithMaxGoroutines(1))
	if err != nil {
		panic(fmt.Sprintf("coding: %d and %d symbols: %v", g.Data, g.Parity, err)) // geometry bounds them
	}
	return e
}

func (g Geometry) shards(symbols []byte) [][]byte {
	out := make([][]byte, g.Symbols())
	for i := range out {
		out[i] = symbols[i*g.Symbol : (i+1)*g.Symbol : (i+1)*g.Symbol]
	}
	return out
}

// Root returns what commits to all of the code.
func (c *Code) Root() Hash { return c.root }

// Bytes returns the string's bytes, with the zeros that fill its last leaf up. Nobody may
// change them.
func (c *Code) Bytes() []byte { return c.symbols[:c.Data*c.Symbol] }

// Holds says whether the code is that of a string: data, and zeros to the end of the last leaf.
func (c *Code) Holds(data []byte) bool {
	own := c.Bytes()
	if len(data) > len(own) || !bytes.Equal(own[:len(data)], data) {
		return false
	}
	for _, b := range own[len(data):] {
		if b != 0 {
			return false
		}
	}
	return true
}

// Shards returns the bytes of a span, which nobody may change, and its whole proof.
func (c *Code) Shards(s Span) (raw []byte, proof []Hash) {
	own, _ := c.treeOf(s.First)
	t, other := c.data, c.parity
	if own.First > 0 {
		t, other = other, t
	}
	return c.symbols[s.First*c.LeafBytes() : (s.First+s.Leaves)*c.LeafBytes()], proofIn(t, other.root(), s, c.Geometry)
}

// Partial is a code of which some symbols are here.
type Partial struct {
	geometry Geometry
	symbols  []byte
	have     []uint64 // a bit a symbol
	proven   []uint64 // likewise, of those that Put brought
	count    int
}

// Geometry returns that of the code.
func (p *Partial) Geometry() Geometry { return p.geometry }

// NewPartial returns one of which nothing is here.
func NewPartial(g Geometry) *Partial {
	return &Partial{geometry: g, symbols: make([]byte, g.Symbols()*g.Symbol), have: make([]uint64, (g.Symbols()+63)/64), proven: make([]uint64, (g.Symbols()+63)/64)}
}

// Put takes the bytes of whole symbols from one on. Where some were put before nothing
// changes; what was filled in gives way to them.
func (p *Partial) Put(first int, raw []byte) {
	for size := p.geometry.Symbol; len(raw) > 0; first, raw = first+1, raw[size:] {
		if !p.Proven(first) {
			copy(p.symbols[first*size:], raw[:size])
			p.proven[first/64] |= 1 << (first % 64)
			p.note(first)
		}
	}
}

// Proven says whether a symbol is here that was put.
func (p *Partial) Proven(i int) bool { return p.proven[i/64]>>(i%64)&1 != 0 }

// Fill takes bytes of data from an offset on. They count when Have says that all of what
// their symbols hold has been filled in, but for zeros.
func (p *Partial) Fill(offset int, raw []byte) {
	size := p.geometry.Symbol
	for len(raw) > 0 {
		n := min(size-offset%size, len(raw))
		if !p.Proven(offset / size) {
			copy(p.symbols[offset:], raw[:n])
		}
		offset, raw = offset+n, raw[n:]
	}
}

// Have tells that some symbols from one on are filled in.
func (p *Partial) Have(first, n int) {
	for i := range n {
		p.note(first + i)
	}
}

// Has says whether a symbol is here.
func (p *Partial) Has(i int) bool { return p.have[i/64]>>(i%64)&1 != 0 }

func (p *Partial) note(i int) (news bool) {
	if p.Has(i) {
		return false
	}
	p.have[i/64] |= 1 << (i % 64)
	p.count++
	return true
}

// Bytes returns the bytes of a span of which all symbols are here. Nobody may change them.
func (p *Partial) Bytes(s Span) []byte {
	return p.symbols[s.First*p.geometry.LeafBytes() : (s.First+s.Leaves)*p.geometry.LeafBytes()]
}

// Count returns how many symbols are here.
func (p *Partial) Count() int { return p.count }

// Rebuild makes a code of as many symbols as there is data, or more, which it takes over. It
// is the only one that they can be of, and may be another than the one that they came from,
// if that was none: Root tells.
func (p *Partial) Rebuild() (*Code, error) {
	g := p.geometry
	if p.count < g.Data {
		return nil, fmt.Errorf("%d symbols: want %d to rebuild the others", p.count, g.Data)
	}
	shards := g.shards(p.symbols)
	lacks := false
	for i := range shards {
		if !p.Has(i) {
			shards[i] = shards[i][:0]
			lacks = lacks || i < g.Data
		}
	}
	if lacks {
		if err := g.encoder().ReconstructData(shards); err != nil {
			return nil, fmt.Errorf("rebuilding %d symbols from %d: %w", g.Data, p.count, err)
		}
	}
	return encode(g, p.symbols), nil
}
