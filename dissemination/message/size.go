package message

import (
	"math/bits"
	"time"

	"grapevine/p2p/wire"
)

// Size returns how many bytes a message takes, encoded and framed, from its counts and
// sizes alone: nothing need be attached.
func Size(m Message) int { return wire.FramedSize(sizeWithin(m.size())) }

func (m *Announce) size() int {
	return sizeOfBytes(m.Block.Header) + sizeOfBytes(m.list()) + sizeOfNumber(uint64(m.Hop)) +
		sizeOfTruth(m.Complete) + sizeOfTruth(m.Pulled) + sizeOfBytes(sizeOfPlaces(m.At)) + sizeOfBytes(sum(m.Sizes)) + sizeOfNumber(uint64(m.Coming))
}

// list returns how many bytes of a list go along.
func (m *Announce) list() int {
	if m.Listed {
		return m.Block.List
	}
	return 0
}

func (m *Pull) size() int {
	return sizeOfNumber(m.Tip) + sizeOfBytes(32*len(m.Have)) + sizeOfNumber(m.Upto) + sizeOfTruth(m.Headers)
}

func (m *Tip) size() int { return sizeOfNumber(m.Height) }

func (m *Evidence) size() int { return len(m.Proof) }

func (m *Ordering) size() int { return len(m.Data) }

func (m *Fetch) size() int {
	return sizeOfFixed32(m.Number) + sizeOfBytes(32) + sizeOfBytes(sizeOfPlaces(m.At)) + sizeOfNumber(uint64(m.Wait/time.Millisecond))
}

func (m *Part) size() int {
	return sizeOfFixed32(m.Number) + sizeOfBytes(32) + sizeOfBytes(sizeOfPlaces(m.At)) + sizeOfBytes(sum(m.Sizes)) +
		sizeOfBytes(32*len(m.IDs)) + sizeOfNumber(uint64(m.From)) + sizeOfTruth(m.Refused)
}

func (m *Shards) size() int {
	return sizeOfFixed64(m.Ref) + sizeOfTruth(m.Body) + sizeOfNumber(uint64(m.Span.First)) + sizeOfNumber(uint64(m.Span.Leaves)) +
		sizeOfBytes(m.Bytes) + sizeOfBytes(32*m.Hashes) + sizeOfTruth(m.Pass) + sizeOfTruth(m.Striped)
}

func (m *Ask) size() int {
	return sizeOfFixed64(m.Ref) + sizeOfTruth(m.Body) + sizeOfBytes(len(packRuns(m.Leaves))) + sizeOfNumber(uint64(m.Wait/time.Millisecond))
}

func (m *Got) size() int {
	return sizeOfFixed64(m.Ref) + sizeOfTruth(m.Body) + sizeOfNumber(uint64(m.First))
}

func (m *Stripes) size() int { return sizeOfBytes(len(m.Ages)) + sizeOfNumber(uint64(m.Load)) }

func (m *Graft) size() int {
	return sizeOfFixed64(m.Stripes) + sizeOfFixed64(m.Prune) + sizeOfTruth(m.Urgent)
}

func (m *Need) size() int {
	return sizeOfFixed64(m.Ref) + sizeOfTruth(m.Body) + sizeOfBytes(len(packRuns(m.Leaves)))
}

func (m *Have) size() int {
	return sizeOfFixed64(m.Ref) + sizeOfTruth(m.Body) + sizeOfBytes(len(packRuns(m.Leaves)))
}

func (m *Enough) size() int {
	return sizeOfFixed64(m.Ref) + sizeOfNumber(uint64(m.Lacked)) + sizeOfBytes(len(packRuns(m.Absent)))
}

func (m *GetRange) size() int {
	return sizeOfFixed32(m.Number) + sizeOfNumber(m.From) + sizeOfNumber(m.Upto) + sizeOfNumber(uint64(m.MaxBytes))
}

func (m *Chunk) size() int {
	return sizeOfFixed32(m.Number) + sizeOfNumber(m.Height) + sizeOfNumber(uint64(m.Offset)) + sizeOfBytes(m.Length) +
		sizeOfNumber(uint64(m.Size)) + sizeOfTruth(m.Last) + sizeOfNumber(m.Tip) + sizeOfNumber(m.Base)
}

func (m *Inventory) size() int {
	return sizeOfFixed64(m.Salt.K0) + sizeOfFixed64(m.Salt.K1) + sizeOfFixed64(m.Low) + sizeOfFixed64(m.High) +
		sizeOfBytes(8*len(m.Hashes)) + sizeOfTruth(m.Reply)
}

func (m *Want) size() int {
	return sizeOfFixed64(m.Salt.K0) + sizeOfFixed64(m.Salt.K1) + sizeOfBytes(8*len(m.Hashes))
}

func (m *Txs) size() int {
	n := 0
	for _, t := range m.Txs {
		n += t.Size()
	}
	return sizeOfBytes(n)
}

// What fields take in protobuf; those with their zero value are not written.

func sizeOfUvarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

func sizeOfNumber(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + sizeOfUvarint(v)
}

func sizeOfTruth(b bool) int {
	if b {
		return 2
	}
	return 0
}

func sizeOfFixed32(v uint32) int {
	if v == 0 {
		return 0
	}
	return 5
}

func sizeOfFixed64(v uint64) int {
	if v == 0 {
		return 0
	}
	return 9
}

func sizeOfBytes(n int) int {
	if n == 0 {
		return 0
	}
	return sizeWithin(n)
}

// sizeWithin is that of a message in a oneof, which is written even if it is empty.
func sizeWithin(n int) int { return 1 + sizeOfUvarint(uint64(n)) + n }

// sizeOfPlaces is that of ascending places, packed as differences.
func sizeOfPlaces(at []uint32) int {
	n, last := 0, uint32(0)
	for _, v := range at {
		n += sizeOfUvarint(uint64(v - last))
		last = v
	}
	return n
}

func sum(sizes []int) int {
	n := 0
	for _, s := range sizes {
		n += s
	}
	return n
}
