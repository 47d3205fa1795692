package baseline

import (
	"encoding/binary"
	"fmt"
	"sync"

	"grapevine/block"
)

// chunkBytes is a chunk's payload in the chunked way.
const chunkBytes = 16 << 10

// headBytes is what stands before a message's payload: height (8), the message's number
// among the block's (4), how many there are (4); big-endian.
const headBytes = 16

// cut returns a block's messages, each with up to size bytes of its body.
func cut(height uint64, body []byte, size int) [][]byte {
	count := max(1, (len(body)+size-1)/size)
	out := make([][]byte, count)
	for i := range out {
		part := body[i*size : min((i+1)*size, len(body))]
		m := make([]byte, 0, headBytes+len(part))
		m = binary.BigEndian.AppendUint64(m, height)
		m = binary.BigEndian.AppendUint32(m, uint32(i))
		m = binary.BigEndian.AppendUint32(m, uint32(count))
		out[i] = append(m, part...)
	}
	return out
}

// maxChunks bounds what a message may claim; the largest block has 2,048 of them.
const maxChunks = 1 << 16

// assembly is a block of which not all is here.
type assembly struct {
	parts [][]byte
	left  int
	from  string // who sent the first part
}

// add puts a message into the assemblies, and returns its block's body when that is now
// whole, and who sent its first part.
func add(all map[uint64]*assembly, m []byte, from string) (height uint64, body []byte, first string, err error) {
	if len(m) < headBytes {
		return 0, nil, "", fmt.Errorf("message of %d bytes, want at least %d", len(m), headBytes)
	}
	height = binary.BigEndian.Uint64(m)
	i, count := binary.BigEndian.Uint32(m[8:]), binary.BigEndian.Uint32(m[12:])
	a := all[height]
	if a == nil && count <= maxChunks {
		a = &assembly{parts: make([][]byte, count), left: int(count), from: from}
		all[height] = a
	}
	if a == nil || int(count) != len(a.parts) || i >= count || a.parts[i] != nil {
		return 0, nil, "", fmt.Errorf("message %d of %d at height %d does not fit the block's others", i, count, height)
	}
	a.parts[i] = m[headBytes:]
	if a.left--; a.left > 0 {
		return height, nil, "", nil
	}
	delete(all, height)
	for _, p := range a.parts {
		body = append(body, p...)
	}
	return height, body, a.from, nil
}

// Chain is what a peer has. It outlives the peer, as a ledger does. The zero value is
// empty.
type Chain struct {
	mu     sync.Mutex
	ids    map[uint64]block.ID // guarded by mu
	height uint64              // guarded by mu; all blocks up to it are here
}

// add says whether the block is new.
func (c *Chain) add(height uint64, id block.ID) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if _, has := c.ids[height]; has {
		return false
	}
	if c.ids == nil {
		c.ids = map[uint64]block.ID{}
	}
	c.ids[height] = id
	for {
		if _, has := c.ids[c.height+1]; !has {
			return true
		}
		c.height++
	}
}

// Tip returns the greatest height up to which no block is missing, and the block's ID;
// zero when the first one is.
func (c *Chain) Tip() (uint64, block.ID) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.height, c.ids[c.height]
}
