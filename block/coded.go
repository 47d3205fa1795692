package block

import (
	"encoding/binary"
	"fmt"
	"math"

	"grapevine/coding"
)

// CodedAbove is up to how many bytes a body is not coded, where others are: it is sent
// whole, with the header, as cheaply as in pieces.
const CodedAbove = 8 << 10

// mostListed is how many bytes the list of a coded block takes a transaction at most: its
// short ID, a count of one, and a size of up to 1 MiB.
const mostListed = ShortSize + 1 + 3

// ListBytes returns how many bytes the list of transactions of some sizes has, with coding.
func ListBytes(sizes []int) int { return len(sizes)*ShortSize + len(appendRuns(nil, sizes)) }

// MaxListBytes returns how many bytes the list of a block of so many transactions has at
// most.
func MaxListBytes(txs int) uint64 { return uint64(txs) * mostListed }

// Coded is a block in the form in which it travels in pieces: list and body, each under its
// root in the header.
type Coded struct {
	List, Body *coding.Code
}

// codes are a block's, with what the header says of them.
type codes struct {
	list, body        *coding.Code
	listSize, symbols uint32
}

// Code codes a block that Check has found right, and whose header says so.
func (b *Block) Code() Coded {
	c := b.code()
	return Coded{c.list, c.body}
}

func (b *Block) code() codes {
	list := b.List()
	layout := coding.Layout{Symbol: coding.SymbolSize(int(b.BodySize))}
	laid := make([]byte, 0, int(b.BodySize)+int(b.BodySize)/8)
	for _, t := range b.Txs {
		at := layout.Place(t.Size())
		for len(laid) < at {
			laid = append(laid, make([]byte, at-len(laid))...)
		}
		laid = append(laid, t.Bytes()...)
	}
	body, err := coding.Laid(int(b.BodySize), layout.Symbols())
	if err != nil {
		panic(fmt.Sprintf("block: %v", err)) // Layout keeps within the bounds
	}
	plain, err := coding.Plain(len(list))
	if err != nil {
		panic(fmt.Sprintf("block: the list of %d transactions: %v", len(b.Txs), err)) // a genesis allows for no such
	}
	code := b.body
	if code == nil || code.Geometry != body || !code.Holds(laid) {
		code = coding.New(body, laid)
	}
	return codes{coding.New(plain, list), code, uint32(len(list)), uint32(layout.Symbols())}
}

// measure returns how many symbols the body takes, and how many bytes the list.
func (b *Block) measure() (symbols, listSize uint32) {
	layout := coding.Layout{Symbol: coding.SymbolSize(int(b.BodySize))}
	sizes := make([]int, len(b.Txs))
	for i, t := range b.Txs {
		sizes[i] = t.Size()
		layout.Place(sizes[i])
	}
	return uint32(layout.Symbols()), uint32(ListBytes(sizes))
}

// List returns the bytes of the list that the header commits to: the short IDs, and with
// coding the transactions' sizes, in runs of equal ones.
func (b *Block) List() []byte {
	if b.Coding == 0 {
		return b.ShortKey().List(b.TxIDs())
	}
	sizes := make([]int, len(b.Txs))
	for i, t := range b.Txs {
		sizes[i] = t.Size()
	}
	return appendRuns(b.ShortKey().List(b.TxIDs()), sizes)
}

func appendRuns(out []byte, sizes []int) []byte {
	for len(sizes) > 0 {
		n := 1
		for n < len(sizes) && sizes[n] == sizes[0] {
			n++
		}
		out = binary.AppendUvarint(out, uint64(n))
		out = binary.AppendUvarint(out, uint64(sizes[0]))
		sizes = sizes[n:]
	}
	return out
}

// List is what a coded block's list says of its transactions.
type List struct {
	Shorts []byte // packed short IDs
	Sizes  []int  // in bytes
}

// ReadList reads the bytes of a coded block's list, which are those that the header commits
// to. An error is the producer's fault: no block of this header can be right.
func (h *Header) ReadList(raw []byte) (List, error) {
	shorts, rest := raw[:int(h.TxCount)*ShortSize], raw[int(h.TxCount)*ShortSize:h.ListSize]
	l := List{Shorts: shorts, Sizes: make([]int, 0, h.TxCount)}
	total := uint64(0)
	for last := uint64(0); len(rest) > 0; {
		n, size, left, ok := nextRun(rest)
		if !ok || n == 0 || n > uint64(int(h.TxCount)-len(l.Sizes)) || size < TxOverhead || size == last {
			return List{}, fmt.Errorf("%w list: bad sizes after transaction %d", ErrMalformed, len(l.Sizes))
		}
		for range n {
			l.Sizes = append(l.Sizes, int(size))
		}
		total += n * size
		last, rest = size, left
	}
	if len(l.Sizes) != int(h.TxCount) || total != uint64(h.BodySize) {
		return List{}, fmt.Errorf("%w list: %d transactions of %d bytes, the header says %d of %d", ErrMalformed, len(l.Sizes), total, h.TxCount, h.BodySize)
	}
	if l.symbols(int(h.BodySize)) != int(h.Symbols) {
		return List{}, fmt.Errorf("%w list: its transactions take %d symbols, the header says %d", ErrMalformed, l.symbols(int(h.BodySize)), h.Symbols)
	}
	return l, nil
}

func nextRun(b []byte) (n, size uint64, rest []byte, ok bool) {
	for _, v := range []*uint64{&n, &size} {
		x, used := binary.Uvarint(b)
		if used <= 0 || used > 1 && b[used-1] == 0 || x > math.MaxUint32 {
			return 0, 0, nil, false
		}
		*v, b = x, b[used:]
	}
	return n, size, b, true
}

func (l List) symbols(bodySize int) int {
	layout := coding.Layout{Symbol: coding.SymbolSize(bodySize)}
	for _, size := range l.Sizes {
		layout.Place(size)
	}
	return layout.Symbols()
}

// Offsets returns where the transactions stand in the laid-out body.
func (l List) Offsets(h *Header) []int {
	layout := coding.Layout{Symbol: coding.SymbolSize(int(h.BodySize))}
	at := make([]int, len(l.Sizes))
	for i, size := range l.Sizes {
		at[i] = layout.Place(size)
	}
	return at
}

// BodyGeometry returns that of a coded block's body. Check has found the header right.
func (h *Header) BodyGeometry() coding.Geometry {
	g, err := coding.Laid(int(h.BodySize), int(h.Symbols))
	if err != nil {
		panic(fmt.Sprintf("block: the header at height %d was not checked: %v", h.Height, err))
	}
	return g
}

// ListGeometry returns that of a coded block's list. Check has found the header right.
func (h *Header) ListGeometry() coding.Geometry {
	g, err := coding.Plain(int(h.ListSize))
	if err != nil {
		panic(fmt.Sprintf("block: the header at height %d was not checked: %v", h.Height, err))
	}
	return g
}

// ReadLaid reads the transactions of a laid-out body, which are as many as the header says.
// They keep raw, which must not change afterwards. That nothing but zeros stands between
// them is left to Check, which lays them out again.
func (h *Header) ReadLaid(raw []byte) ([]*Tx, error) {
	symbol := coding.SymbolSize(int(h.BodySize))
	txs, at := make([]*Tx, 0, h.TxCount), 0
	for len(txs) < int(h.TxCount) {
		if at < len(raw) && raw[at] == 0 && at%symbol != 0 { // no transaction begins with a zero
			at += symbol - at%symbol
		}
		t, rest, err := DecodeTxPrefix(raw[min(at, len(raw)):])
		if err != nil {
			return nil, fmt.Errorf("laid-out body, transaction %d: %w", len(txs), err)
		}
		txs, at = append(txs, t), len(raw)-len(rest)
	}
	return txs, nil
}
