package message

import (
	"iter"

	"grapevine/block"
)

// Parts answers a Fetch with transactions at places, of the sizes that are told, in
// messages of about PartBytes.
func Parts(number uint32, id block.ID, at []uint32, sizes []int) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		for len(at) > 0 {
			n, bytes := 0, 0
			for n < len(at) && (n == 0 || bytes+sizes[n] <= PartBytes) {
				bytes += sizes[n]
				n++
			}
			if !yield(&Part{Number: number, Block: id, At: at[:n], Sizes: sizes[:n]}) {
				return
			}
			at, sizes = at[n:], sizes[n:]
		}
	}
}

// Lists answers a Fetch without places with a block's full IDs, in messages of about
// PartBytes.
func Lists(number uint32, id block.ID, ids []block.ID) iter.Seq[Message] {
	return func(yield func(Message) bool) {
		const each = PartBytes / 32
		for from := 0; from < len(ids); from += each {
			if !yield(&Part{Number: number, Block: id, From: from, IDs: ids[from:min(from+each, len(ids))]}) {
				return
			}
		}
	}
}

// Refusal answers a Fetch: its receiver has not got what was asked for.
func Refusal(number uint32, id block.ID) *Part {
	return &Part{Number: number, Block: id, Refused: true}
}

// Answer sends the parts of an answer to a Fetch, as long as there is room for them.
// When there is none there still is for a refusal, so that the asker does not wait.
func Answer(parts iter.Seq[Message], number uint32, id block.ID, send func(Message) bool) {
	for m := range parts {
		if !send(m) {
			send(Refusal(number, id))
			return
		}
	}
}

// Chunks answers a GetRange with blocks from its first height on, of the sizes that
// are told: at least one, and then as many as fit into the bytes that were asked for
// and into most, in pieces of PartBytes, as long as there is room for them. It ends
// with a message that says how far the sender's chain goes.
func Chunks(ask *GetRange, sizes []int, most int, tip uint64, send func(Message) bool) {
	bytes := 0
blocks:
	for i, size := range sizes {
		if bytes += size; bytes > min(ask.MaxBytes, most) && i > 0 {
			break
		}
		for off := 0; off < size; off += PartBytes {
			m := &Chunk{Number: ask.Number, Height: ask.From + uint64(i), Offset: off, Length: min(PartBytes, size-off), Size: size}
			if !send(m) {
				break blocks
			}
		}
	}
	send(&Chunk{Number: ask.Number, Last: true, Tip: tip})
}
