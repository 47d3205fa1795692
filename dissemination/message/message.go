// Package message holds what peers say to each other about blocks and
// transactions, as plain values, and their encoding in protobuf. A decoder bounds
// before it allocates: each message is scanned first, lists travel packed in bytes,
// and every count is held against the network's limits.
//
// The cores deal in a message's IDs, places, counts and sizes. Fields marked as
// attached are bytes, which whoever carries a message adds to it on the way out, and
// which a core never looks at; the simulator has none, and Size tells what they weigh.
//
// A new message is declared in message.proto, as the next of its lane, and here, with its
// lane and its kind; it gets an encoding, a decoding and a size (codec.go, decode.go,
// size.go), and a sample among those of the tests, which name what lacks one. It is
// checked in the driver's Receive and taken in protocol.Peer.Receive; every switch over all
// messages wants a case for it, as scripts/test.sh lint says. What neighbours make up at
// random (hostile_test.go of the driver and of protocol) does not know of it by itself.
// A peer of before takes it for malformed, and charges its sender.
//
// What the values carry is decoded and in the network's limits, and nothing more:
// no signature, hash or root is checked here.
package message

import (
	"encoding/binary"
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/coding"
	"grapevine/p2p/wire"
)

// Message is any of this package's message values.
//
//sumtype:decl
type Message interface {
	// Lane says on which lane the message travels.
	Lane() wire.Lane
	// Kind is the message's name, as metrics spell it.
	Kind() string
	envelope() proto.Message // the message as protobuf, with what is attached
	size() int               // of the message within its envelope, whether or not it is attached
}

// Block is what the cores know of a block: what its header says.
type Block struct {
	ID     block.ID
	Height uint64
	Parent block.ID
	Txs    int
	Bytes  int // of the body
	List   int // bytes of the list
	Header int // bytes of the header, signed

	// With coding; zero without.
	ListCode, BodyCode coding.Geometry
}

// Coded says whether the block's body is coded.
func (b *Block) Coded() bool { return b.BodyCode.Data > 0 }

// Ref is what messages that are many call a block: the first 8 bytes of its ID.
func (b *Block) Ref() uint64 { return Ref(b.ID) }

// Ref returns what messages that are many call a block of an ID.
func Ref(id block.ID) uint64 { return binary.LittleEndian.Uint64(id[:]) }

// Describe returns what a header says.
func Describe(h *block.Header) Block {
	d := Block{
		ID: h.ID(), Height: h.Height, Parent: h.Parent, Txs: int(h.TxCount), Bytes: int(h.BodySize), List: h.ListBytes(),
		Header: h.Size() + len(block.Signature{}),
	}
	if h.Coding != 0 { // of a header that nobody has checked they may be impossible: zero, then
		list, err := coding.Plain(int(h.ListSize))
		body, wrong := coding.Laid(int(h.BodySize), int(h.Symbols))
		if err == nil && wrong == nil {
			d.ListCode, d.BodyCode = list, body
		}
	}
	return d
}

// Announce is the compact block, with the transactions that its sender thinks others
// lack.
type Announce struct {
	Block    Block
	Hop      int // how many peers the block passed through before its receiver
	Complete bool
	Pulled   bool     // it answers a Pull
	At       []uint32 // the places of the transactions that go along, ascending
	Sizes    []int    // their sizes in bytes
	Listed   bool     // the list goes along
	Coming   int      // leaves of the coded body that the producer sends; 0: it does not, or not now

	Header block.SignedHeader // attached
	List   []byte             // attached if Listed: the bytes that the header commits to
	Txs    []*block.Tx        // attached: the transactions at At
}

// Pull asks for announcements of blocks above Tip and up to Upto that are not in Have.
type Pull struct {
	Tip     uint64
	Upto    uint64
	Have    []block.ID
	Headers bool // also of blocks of which the receiver has only heard
}

// Tip tells how far the sender's chain goes.
type Tip struct{ Height uint64 }

// Evidence is a proof against a producer, in its canonical bytes.
type Evidence struct{ Proof []byte }

// Ordering is what those say to each other who make the blocks, where they are several.
// Only they know what it means.
type Ordering struct{ Data []byte }

// Fetch asks for the transactions of a block at some places, or with none for the
// list of its transactions' IDs.
type Fetch struct {
	Number uint32
	Block  block.ID
	At     []uint32
	Wait   time.Duration // in whole milliseconds
}

// Part is a piece of the answer to a Fetch: transactions at places, or IDs from a
// place on, or that the sender has not got what was asked for.
type Part struct {
	Number  uint32
	Block   block.ID
	At      []uint32
	Sizes   []int // in bytes, of the transactions at At
	From    int   // the place of the first of IDs
	IDs     []block.ID
	Refused bool

	Txs []*block.Tx // attached: the transactions at At
}

// Shards is leaves of a coded string of a block, or, without Bytes, word that its sender has
// not got them.
type Shards struct {
	Ref     uint64
	Body    bool // else of the list
	Span    coding.Span
	Pass    bool // the producer wants them to be passed on to everybody
	Striped bool // they go along their stripe; with Pass: they are passed on though they were here
	Bytes   int  // of the leaves
	Hashes  int  // of the proof

	Data  []byte        // attached
	Proof []coding.Hash // attached
}

// Ask asks for leaves of a coded string of a block.
type Ask struct {
	Ref    uint64
	Body   bool // else of the list
	Leaves []Run
	Wait   time.Duration // in whole milliseconds
}

// Run is things that are numbered one after the other.
type Run struct{ First, Count int }

// Got says that shards came that are to be passed on, and are: those that begin with a leaf.
type Got struct {
	Ref   uint64
	Body  bool // else of the list
	First int
}

// Enough says that its sender has a whole block.
type Enough struct {
	Ref    uint64
	Lacked int   // symbols of the body that its pool did not have
	Absent []Run // leaves of those announced that had not come by then
}

// NumStripes is into how many stripes the leaves of a block are divided, where peers are not
// neighbours of all.
const NumStripes = 64

// Ages is how long a leaf is on its way to a peer along each stripe, in units of AgeUnit.
type Ages [NumStripes]uint8

const (
	// AgeUnit is the unit of Ages.
	AgeUnit = 4 * time.Millisecond
	// NoAge is the age of a stripe of which nothing comes.
	NoAge = 255
)

// Stripes tells how the stripes come to the sender.
type Stripes struct {
	Ages Ages
	Load int // how many receivers it has, of all stripes
}

// Graft makes its sender a receiver of stripes, or ends that. Stripe s is bit s.
type Graft struct {
	Stripes uint64 // that it wants to get from here on
	Prune   uint64 // of which it gets, or gives, no more
	Urgent  bool   // it has lost several senders of one
}

// Need tells neighbours which leaves of a coded string of a block its sender lacks.
type Need struct {
	Ref    uint64
	Body   bool // else of the list
	Leaves []Run
}

// Have tells who needs leaves of a coded string which of them its sender has.
type Have struct {
	Ref    uint64
	Body   bool // else of the list
	Leaves []Run
}

// GetRange asks for the blocks from From to Upto, at least one and then at most
// MaxBytes of them.
type GetRange struct {
	Number   uint32
	From     uint64
	Upto     uint64
	MaxBytes int
}

// Chunk is a piece of one block of the answer to a GetRange; the last one may be
// without a block.
type Chunk struct {
	Number uint32
	Height uint64
	Offset int
	Length int // of Data
	Size   int // of the whole block's bytes
	Last   bool
	Tip    uint64 // with Last: the sender's height
	Base   uint64 // with Last: the lowest height it can serve

	Data []byte // attached
}

// Inventory names the transactions of the sender's pool whose salted hashes lie
// from Low to High.
type Inventory struct {
	Salt      block.SipKey
	Low, High uint64
	Hashes    []uint64 // ascending
	Reply     bool     // it names what the receiver lacks, and is not answered by another
}

// Want asks for transactions by their salted hashes.
type Want struct {
	Salt   block.SipKey
	Hashes []uint64
}

// Txs carries transactions.
type Txs struct{ Txs []*block.Tx }

// Bounds on lists, with which no message outgrows its lane.
const (
	// MaxHave bounds the blocks that a Pull names: the fresh-block window.
	MaxHave = 64
	// MaxHashes bounds an Inventory and a Want: 8,192 hashes are two frames.
	MaxHashes = 8192
	// PartBytes is how much a Part, a Chunk or a Txs carries, but for a single
	// transaction that is larger: with the rest of the message it fits a frame.
	PartBytes = 60 << 10
	// ShardBytes bounds the leaves of a Shards: a few of the largest that there are.
	ShardBytes = 32 << 10
	// maxShardProof bounds the proof of a Shards: trees of up to 65,536 leaves, and the other's root.
	maxShardProof = 17
	// MaxRuns bounds the runs of an Ask or an Enough: what is not named is asked for later.
	MaxRuns = 1024
	// PrefillBytes bounds what an announcement prefills.
	PrefillBytes = 32 << 10
	// MaxOrdering bounds what orderers say to each other at once: what travels besides a
	// block is votes and IDs, and with the rest of the message it fits a frame.
	MaxOrdering = 32 << 10
	_           = uint(wire.MaxContent - max(PartBytes, PrefillBytes, MaxOrdering)) // or it does not compile
	// MaxProof bounds an Evidence: two headers always fit, and an invalid block that does
	// not is seen by everybody who gets it.
	MaxProof = 16 << 10
	// MaxHop bounds the hop count, which no honest path of infect-and-die reaches.
	MaxHop = 255
	// MaxWait bounds how long a Fetch may say that its sender waits.
	MaxWait = time.Minute
)

// packPlaces writes ascending places as differences.
func packPlaces(at []uint32) []byte {
	out := make([]byte, 0, len(at)+4)
	last := uint64(0)
	for i, v := range at {
		d := uint64(v) - last
		if i == 0 {
			d = uint64(v)
		}
		out = binary.AppendUvarint(out, d)
		last = uint64(v)
	}
	return out
}

// unpackPlaces reads what packPlaces wrote: ascending places below limit.
func unpackPlaces(b []byte, limit int) ([]uint32, error) {
	if len(b) == 0 {
		return nil, nil
	}
	out := make([]uint32, 0, min(len(b), limit))
	last := uint64(0)
	for len(b) > 0 {
		d, n := binary.Uvarint(b)
		if n <= 0 || (n > 1 && b[n-1] == 0) || (d == 0 && len(out) > 0) || d >= uint64(limit) {
			return nil, malformed("places out of order")
		}
		if last += d; last >= uint64(limit) {
			return nil, malformed("place %d, want below %d", last, limit)
		}
		out, b = append(out, uint32(last)), b[n:]
	}
	return out, nil
}

// PackTxs joins transactions' bytes.
func PackTxs(txs []*block.Tx) []byte {
	size := 0
	for _, t := range txs {
		size += t.Size()
	}
	out := make([]byte, 0, size)
	for _, t := range txs {
		out = append(out, t.Bytes()...)
	}
	return out
}

// unpackTxs reads transactions that stand one after the other, each within the
// limits of the network. They keep b.
func unpackTxs(b []byte, l block.Limits) ([]*block.Tx, error) {
	txs := make([]*block.Tx, 0, min(len(b)/block.TxOverhead, l.MaxBlockTxs))
	for len(b) > 0 {
		t, rest, err := block.DecodeTxPrefix(b)
		if err != nil {
			return nil, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
		}
		if err := t.Check(l); err != nil {
			return nil, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
		}
		txs, b = append(txs, t), rest
	}
	return txs, nil
}

func packIDs(ids []block.ID) []byte {
	out := make([]byte, 0, len(ids)*32)
	for _, id := range ids {
		out = append(out, id[:]...)
	}
	return out
}

func unpackIDs(b []byte) ([]block.ID, error) {
	if len(b)%32 != 0 {
		return nil, malformed("%d bytes of IDs", len(b))
	}
	ids := make([]block.ID, 0, len(b)/32)
	for ; len(b) > 0; b = b[32:] {
		ids = append(ids, block.ID(b[:32]))
	}
	return ids, nil
}

func packHashes(hashes []uint64) []byte {
	out := make([]byte, 0, len(hashes)*8)
	for _, h := range hashes {
		out = binary.LittleEndian.AppendUint64(out, h)
	}
	return out
}

// unpackHashes reads hashes in strictly ascending order within bounds.
func unpackHashes(b []byte, low, high uint64) ([]uint64, error) {
	if len(b)%8 != 0 || low > high {
		return nil, malformed("%d bytes of hashes from %x to %x", len(b), low, high)
	}
	out := make([]uint64, 0, len(b)/8)
	for ; len(b) > 0; b = b[8:] {
		h := binary.LittleEndian.Uint64(b)
		if h < low || h > high || (len(out) > 0 && h <= out[len(out)-1]) {
			return nil, malformed("hash %x out of order or bounds", h)
		}
		out = append(out, h)
	}
	return out, nil
}

func unpackID(b []byte) (block.ID, error) {
	if len(b) != 32 {
		return block.ID{}, malformed("ID of %d bytes", len(b))
	}
	return block.ID(b), nil
}

func malformed(format string, args ...any) error {
	return fmt.Errorf("%w: %s", wire.ErrMalformed, fmt.Sprintf(format, args...))
}
