package ledger

import (
	"encoding/binary"
	"fmt"

	"grapevine/block"
)

// formatVersion is that of the directory: it changes with anything in the table of
// the package comment.
const formatVersion = 1

// partSize is the most bytes of a body that one value holds. In memory Badger
// panics at values of 1 MiB; parts of a quarter of that also let one transaction be
// read without the rest of a large block.
const partSize = 256 << 10

const (
	keyMeta = "meta"
	keyTip  = "tip"

	prefixHeader  = 'h'
	prefixBody    = 'b'
	prefixBlockID = 'i'
	prefixTx      = 'x'
)

const (
	headerKeySize = 1 + 8
	bodyKeySize   = 1 + 8 + 2
	idKeySize     = 1 + 32
	metaSize      = 4 + 32
	tipSize       = 8 + 32
	entrySize     = 8 + 4 + 4 + 4
)

func headerKey(height uint64) []byte {
	return binary.BigEndian.AppendUint64([]byte{prefixHeader}, height)
}

func bodyKey(height uint64, part int) []byte {
	k := binary.BigEndian.AppendUint64([]byte{prefixBody}, height)
	return binary.BigEndian.AppendUint16(k, uint16(part))
}

func idKey(prefix byte, id block.ID) []byte {
	return append(append(make([]byte, 0, idKeySize), prefix), id[:]...)
}

// parts returns how many values a body of that size takes.
func parts(bodySize int) int { return (bodySize + partSize - 1) / partSize }

func metaValue(genesis block.ID) []byte {
	return append(binary.BigEndian.AppendUint32(nil, formatVersion), genesis[:]...)
}

// decodeMeta returns the format version and the genesis ID, which means nothing
// when the version is another than formatVersion.
func decodeMeta(v []byte) (version uint32, genesis block.ID, err error) {
	if len(v) < metaSize {
		return 0, block.ID{}, fmt.Errorf("metadata has %d bytes, want %d", len(v), metaSize)
	}
	return binary.BigEndian.Uint32(v), block.ID(v[4:metaSize]), nil
}

func tipValue(height uint64, id block.ID) []byte {
	return append(binary.BigEndian.AppendUint64(make([]byte, 0, tipSize), height), id[:]...)
}

func decodeTip(v []byte) (uint64, block.ID, error) {
	if len(v) != tipSize {
		return 0, block.ID{}, fmt.Errorf("tip record has %d bytes, want %d", len(v), tipSize)
	}
	return binary.BigEndian.Uint64(v), block.ID(v[8:]), nil
}

func decodeHeight(v []byte) (uint64, error) {
	if len(v) != 8 {
		return 0, fmt.Errorf("height record has %d bytes, want 8", len(v))
	}
	return binary.BigEndian.Uint64(v), nil
}

// entry is what the index says of a transaction.
type entry struct {
	Place
	offset int // of its first byte in the body
	size   int
}

func (e entry) String() string {
	return fmt.Sprintf("height %d, index %d, bytes %d to %d", e.Height, e.Index, e.offset, e.offset+e.size)
}

func (e entry) appendTo(b []byte) []byte {
	b = binary.BigEndian.AppendUint64(b, e.Height)
	b = binary.BigEndian.AppendUint32(b, uint32(e.Index))
	b = binary.BigEndian.AppendUint32(b, uint32(e.offset))
	return binary.BigEndian.AppendUint32(b, uint32(e.size))
}

func decodeEntry(v []byte) (entry, error) {
	if len(v) != entrySize {
		return entry{}, fmt.Errorf("index entry has %d bytes, want %d", len(v), entrySize)
	}
	return entry{
		Place:  Place{Height: binary.BigEndian.Uint64(v), Index: int(binary.BigEndian.Uint32(v[8:]))},
		offset: int(binary.BigEndian.Uint32(v[12:])),
		size:   int(binary.BigEndian.Uint32(v[16:])),
	}, nil
}
