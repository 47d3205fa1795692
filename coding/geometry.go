package coding

import (
	"fmt"
	"math/bits"
)

// Sizes in bytes.
const (
	leastSymbol = 128
	leastLeaf   = 1 << 10
	// mostSmall is up to what a string has symbols of the least size.
	mostSmall = 2 << 20
	// MaxSize is the largest string that can be coded: what a genesis allows for a body.
	MaxSize = 32 << 20
)

// Geometry says into what a string is cut. Counts are of symbols.
type Geometry struct {
	Symbol int // bytes in one
	Leaf   int // in a leaf
	Data   int // whole leaves
	Parity int // a power of two, and whole leaves
}

// SymbolSize returns the size of the symbols of a string of so many bytes.
func SymbolSize(size int) int {
	symbol := leastSymbol
	for most := mostSmall; size > most; most *= 2 {
		symbol *= 2
	}
	return symbol
}

// Plain returns the geometry of a string of so many bytes, from 1 to MaxSize.
func Plain(size int) (Geometry, error) {
	if size < 1 || size > MaxSize {
		return Geometry{}, fmt.Errorf("a string of %d bytes: want 1 to %d", size, MaxSize)
	}
	symbol := SymbolSize(size)
	return geometry(symbol, (size+symbol-1)/symbol), nil
}

// Laid returns the geometry of a string of items of so many bytes together, from 1 to
// MaxSize, that are laid out in so many symbols.
func Laid(size, symbols int) (Geometry, error) {
	if size < 1 || size > MaxSize {
		return Geometry{}, fmt.Errorf("a string of %d bytes: want 1 to %d", size, MaxSize)
	}
	symbol := SymbolSize(size)
	least := (size + symbol - 1) / symbol
	// Two symbols that follow each other hold more than one symbol's worth together.
	if most := 2*(size/symbol) + 1; symbols < least || symbols > most {
		return Geometry{}, fmt.Errorf("%d symbols of %d bytes for items of %d: want %d to %d", symbols, symbol, size, least, most)
	}
	return geometry(symbol, symbols), nil
}

func geometry(symbol, symbols int) Geometry {
	leaf := max(leastLeaf/symbol, 1)
	k := (symbols + leaf - 1) / leaf * leaf
	n := 1 << bits.Len(uint(k+(k+2)/3-1))
	return Geometry{Symbol: symbol, Leaf: leaf, Data: k, Parity: 1 << (bits.Len(uint(n-k)) - 1)}
}

// Symbols returns how many there are, of data and parity.
func (g Geometry) Symbols() int { return g.Data + g.Parity }

// LeafBytes returns how many bytes a leaf has.
func (g Geometry) LeafBytes() int { return g.Leaf * g.Symbol }

// DataLeaves returns how many leaves of data there are.
func (g Geometry) DataLeaves() int { return g.Data / g.Leaf }

// Leaves returns how many leaves there are, of data and parity.
func (g Geometry) Leaves() int { return g.Symbols() / g.Leaf }

// Layout places the items of a string, one after the other. The zero value with its Symbol
// set is one without items.
type Layout struct {
	Symbol int // bytes in one
	end    int
}

// Place returns where the next item, which has at least one byte, begins.
func (l *Layout) Place(size int) (offset int) {
	if rest := l.Symbol - l.end%l.Symbol; rest < l.Symbol && size > rest {
		l.end += rest
	}
	offset = l.end
	l.end += size
	return offset
}

// Symbols returns how many symbols the items take.
func (l *Layout) Symbols() int { return (l.end + l.Symbol - 1) / l.Symbol }

// Span is leaves that one proof is enough for: all those of one node of a tree.
type Span struct {
	First  int // leaf
	Leaves int
}

// Span returns the span that begins with a leaf, of 2 to the power of level leaves, or of as
// many as are left of the data; false: no node has those.
func (g Geometry) Span(first, level int) (Span, bool) {
	tree, ok := g.treeOf(first)
	if !ok || level < 0 || level > bits.Len(uint(tree.Leaves-1)) || (first-tree.First)%(1<<level) != 0 {
		return Span{}, false
	}
	return Span{First: first, Leaves: min(1<<level, tree.First+tree.Leaves-first)}, true
}

// Check refuses leaves that are not a span.
func (g Geometry) Check(s Span) error {
	if s.Leaves > 0 {
		if whole, ok := g.Span(s.First, s.level()); ok && whole == s {
			return nil
		}
	}
	return fmt.Errorf("%d leaves from %d on are not those of a node, of %d of data and %d in all", s.Leaves, s.First, g.DataLeaves(), g.Leaves())
}

// level is the height of the lowest node that the span is all of.
func (s Span) level() int { return bits.Len(uint(s.Leaves - 1)) }

// treeOf returns the leaves of the tree that a leaf is in.
func (g Geometry) treeOf(leaf int) (Span, bool) {
	data := g.DataLeaves()
	switch {
	case leaf < 0 || leaf >= g.Leaves():
		return Span{}, false
	case leaf < data:
		return Span{First: 0, Leaves: data}, true
	}
	return Span{First: data, Leaves: g.Leaves() - data}, true
}
