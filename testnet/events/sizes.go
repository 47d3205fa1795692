package events

import (
	"math/bits"
	"time"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// Sizes of messages, as dissemination/message encodes them in protobuf and p2p/wire
// frames them. A test holds them against the real encoding.

// framed adds the frames' headers to an encoded message's size.
func framed(n int) int64 { return int64(wire.FramedSize(n)) }

func uvarint(v uint64) int { return (bits.Len64(v|1) + 6) / 7 }

// number is the size of a varint field; zero is not written.
func number(v uint64) int {
	if v == 0 {
		return 0
	}
	return 1 + uvarint(v)
}

func truth(b bool) int { return 2 * btoi(b) }

// bytesOf is the size of a bytes field; an empty one is not written.
func bytesOf(n int) int {
	if n == 0 {
		return 0
	}
	return within(n)
}

// within is the size of a message or of bytes in a oneof, which is written even if
// empty.
func within(n int) int { return 1 + uvarint(uint64(n)) + n }

// places is the size of ascending places, packed as differences.
func places(at []uint32) int {
	n, last := 0, uint32(0)
	for _, v := range at {
		n += uvarint(uint64(v - last))
		last = v
	}
	return n
}

func announceSize(b *blk, shorts bool, x announced, prefill []uint32, body bool) int64 {
	n := bytesOf(block.SignedHeaderSize) + number(uint64(x.hop)) + truth(x.complete) + truth(x.pulled) +
		bytesOf(places(prefill)) + bytesOf(len(prefill)*b.txSize) + truth(body)
	if shorts {
		n += bytesOf(b.txs * block.ShortSize)
	}
	return framed(within(n))
}

func pullSize(tip, upto uint64, have int) int64 {
	return framed(within(number(tip) + bytesOf(have*32) + number(upto)))
}

func tipSize(height uint64) int64 { return framed(within(number(height) + number(1))) }

const fixed32 = 5

func fetchSize(at []uint32, wait time.Duration) int64 {
	return framed(within(fixed32 + bytesOf(32) + bytesOf(places(at)) + number(uint64(wait/time.Millisecond))))
}

// partSize is that of transactions at places; zero for the number is not written.
func partSize(numbered bool, at []uint32, txSize int) int64 {
	return framed(within(fixed32*btoi(numbered) + bytesOf(32) + bytesOf(places(at)) + bytesOf(len(at)*txSize)))
}

func refuseSize() int64 { return framed(within(fixed32 + bytesOf(32) + truth(true))) }

func rangeSize(from, upto uint64, most int) int64 {
	return framed(within(fixed32 + number(from) + number(upto) + number(uint64(most))))
}

func chunkSize(height uint64, offset, data, whole int) int64 {
	return framed(within(fixed32 + number(height) + number(uint64(offset)) + bytesOf(data) + number(uint64(whole))))
}

func lastChunkSize(tip, base uint64) int64 {
	return framed(within(fixed32 + truth(true) + number(tip) + number(base)))
}
