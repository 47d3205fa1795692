package fabric

import (
	"encoding/binary"
	"errors"
	"fmt"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// The encoding, big-endian. A message is its kind (1 byte), its fields, and the bodies of
// its blocks, in their order and without anything between them.
//
//	push, answer                     hop (1), block
//	hello                            nonce (8)
//	digest, request                  nonce (8), count (1), heights (8 each, ascending)
//	response, state response         nonce (8), count (1), blocks
//	advert, want                     height (8), hop (1)
//	state info                       height (8)
//	state request                    nonce (8), from (8), upto (8)
//	block                            ID (32), parent (32), height (8), size (4)
//
// There is one way to write a message, and a decoder takes no other.
const (
	kindPush byte = iota
	kindHello
	kindDigest
	kindRequest
	kindResponse
	kindAdvert
	kindWant
	kindAnswer
	kindStateInfo
	kindStateRequest
	kindStateResponse
	numKinds
)

// Sizes and bounds of the encoding.
const (
	blockSize = 76
	// maxItems is how many blocks one message names: what gossip remembers, and what a
	// range has.
	maxItems = 11
	maxHop   = 255
)

// ErrMalformed is matched when bytes are no message.
var ErrMalformed = errors.New("malformed message")

// MaxMessage returns the size of the largest message of a lane when no body is larger
// than maxBody.
func MaxMessage(lane wire.Lane, maxBody int) int {
	const list = 1 + 8 + 1 + maxItems*blockSize
	switch lane {
	case wire.Bodies:
		return list + maxItems*maxBody
	case wire.Catchup:
		return list + max(maxBody, answerBytes)
	default:
		return list
	}
}

func sizes(list []Block) (n int) {
	for _, b := range list {
		n += blockSize + b.Size
	}
	return n
}

// Size implements Message.
func (m Push) Size() int { return 1 + 1 + blockSize + m.Block.Size }

// Size implements Message.
func (m Answer) Size() int { return 1 + 1 + blockSize + m.Block.Size }

// Size implements Message.
func (Hello) Size() int { return 1 + 8 }

// Size implements Message.
func (m Digest) Size() int { return 1 + 8 + 1 + 8*len(m.Heights) }

// Size implements Message.
func (m Request) Size() int { return 1 + 8 + 1 + 8*len(m.Heights) }

// Size implements Message.
func (m Response) Size() int { return 1 + 8 + 1 + sizes(m.Blocks) }

// Size implements Message.
func (m StateResponse) Size() int { return 1 + 8 + 1 + sizes(m.Blocks) }

// Size implements Message.
func (Advert) Size() int { return 1 + 8 + 1 }

// Size implements Message.
func (Want) Size() int { return 1 + 8 + 1 }

// Size implements Message.
func (StateInfo) Size() int { return 1 + 8 }

// Size implements Message.
func (StateRequest) Size() int { return 1 + 8 + 8 + 8 }

// AppendTo implements Message.
func (m Push) AppendTo(b []byte) []byte {
	return appendBlock(append(b, kindPush, byte(m.Hop)), m.Block)
}

// AppendTo implements Message.
func (m Answer) AppendTo(b []byte) []byte {
	return appendBlock(append(b, kindAnswer, byte(m.Hop)), m.Block)
}

// AppendTo implements Message.
func (m Hello) AppendTo(b []byte) []byte { return appendNumbers(append(b, kindHello), m.Nonce) }

// AppendTo implements Message.
func (m Digest) AppendTo(b []byte) []byte {
	return appendHeights(append(b, kindDigest), m.Nonce, m.Heights)
}

// AppendTo implements Message.
func (m Request) AppendTo(b []byte) []byte {
	return appendHeights(append(b, kindRequest), m.Nonce, m.Heights)
}

// AppendTo implements Message.
func (m Response) AppendTo(b []byte) []byte {
	return appendBlocks(append(b, kindResponse), m.Nonce, m.Blocks)
}

// AppendTo implements Message.
func (m StateResponse) AppendTo(b []byte) []byte {
	return appendBlocks(append(b, kindStateResponse), m.Nonce, m.Blocks)
}

// AppendTo implements Message.
func (m Advert) AppendTo(b []byte) []byte {
	return append(appendNumbers(append(b, kindAdvert), m.Height), byte(m.Hop))
}

// AppendTo implements Message.
func (m Want) AppendTo(b []byte) []byte {
	return append(appendNumbers(append(b, kindWant), m.Height), byte(m.Hop))
}

// AppendTo implements Message.
func (m StateInfo) AppendTo(b []byte) []byte {
	return appendNumbers(append(b, kindStateInfo), m.Height)
}

// AppendTo implements Message.
func (m StateRequest) AppendTo(b []byte) []byte {
	return appendNumbers(append(b, kindStateRequest), m.Nonce, m.From, m.Upto)
}

func appendNumbers(b []byte, list ...uint64) []byte {
	for _, n := range list {
		b = binary.BigEndian.AppendUint64(b, n)
	}
	return b
}

func appendHeights(b []byte, nonce uint64, heights []uint64) []byte {
	b = append(appendNumbers(b, nonce), byte(len(heights)))
	return appendNumbers(b, heights...)
}

func appendBlocks(b []byte, nonce uint64, blocks []Block) []byte {
	b = append(appendNumbers(b, nonce), byte(len(blocks)))
	for _, x := range blocks {
		b = appendBlock(b, x)
	}
	return b
}

func appendBlock(b []byte, x Block) []byte {
	b = append(append(b, x.ID[:]...), x.Parent[:]...)
	b = appendNumbers(b, x.Height)
	return binary.BigEndian.AppendUint32(b, uint32(x.Size))
}

// Decode reads a message, and returns its bodies, which are parts of b. A body larger than
// maxBody is malformed. What the bodies are of is not checked.
func Decode(b []byte, maxBody int) (Message, [][]byte, error) {
	d := decoder{left: b, maxBody: maxBody}
	m := d.message()
	if d.err != nil {
		return nil, nil, d.err
	}
	var bodies [][]byte
	for _, x := range m.Bodies() {
		bodies = append(bodies, d.take(x.Size))
	}
	if d.err == nil && len(d.left) > 0 {
		d.fail("%d bytes too many", len(d.left))
	}
	if d.err != nil {
		return nil, nil, d.err
	}
	return m, bodies, nil
}

// decoder reads fields until one is wrong, and zeros from there on.
type decoder struct {
	left    []byte
	maxBody int
	err     error
}

func (d *decoder) message() Message {
	switch kind := d.byte(); kind {
	case kindPush:
		return Push{Hop: d.byteInt(), Block: d.block()}
	case kindHello:
		return Hello{d.number()}
	case kindDigest:
		return Digest{d.number(), d.heights()}
	case kindRequest:
		return Request{d.number(), d.heights()}
	case kindResponse:
		return Response{d.number(), d.blocks()}
	case kindAdvert:
		return Advert{Height: d.height(), Hop: d.byteInt()}
	case kindWant:
		return Want{Height: d.height(), Hop: d.byteInt()}
	case kindAnswer:
		return Answer{Hop: d.byteInt(), Block: d.block()}
	case kindStateInfo:
		return StateInfo{d.height()}
	case kindStateRequest:
		return StateRequest{d.number(), d.height(), d.height()}
	case kindStateResponse:
		return StateResponse{d.number(), d.blocks()}
	default:
		d.fail("kind %d", kind)
		return nil
	}
}

func (d *decoder) fail(format string, args ...any) {
	if d.err == nil {
		d.err = fmt.Errorf("%w: %s", ErrMalformed, fmt.Sprintf(format, args...))
	}
}

// take returns the next n bytes; nil when there are not as many.
func (d *decoder) take(n int) []byte {
	if d.err != nil || n > len(d.left) {
		d.fail("it ends %d bytes early", n-len(d.left))
		return nil
	}
	out := d.left[:n:n]
	d.left = d.left[n:]
	return out
}

func (d *decoder) byte() byte {
	if b := d.take(1); b != nil {
		return b[0]
	}
	return 0
}

func (d *decoder) byteInt() int { return int(d.byte()) }

func (d *decoder) number() uint64 {
	if b := d.take(8); b != nil {
		return binary.BigEndian.Uint64(b)
	}
	return 0
}

// height reads that of a block.
func (d *decoder) height() uint64 {
	h := d.number()
	if h < 1 || h > block.MaxHeight {
		d.fail("height %d", h)
	}
	return h
}

func (d *decoder) count() int {
	n := d.byteInt()
	if n > maxItems {
		d.fail("%d items, want at most %d", n, maxItems)
		return 0
	}
	return n
}

func (d *decoder) heights() []uint64 {
	out := make([]uint64, d.count())
	for i := range out {
		out[i] = d.height()
		if i > 0 && out[i] <= out[i-1] {
			d.fail("height %d after %d", out[i], out[i-1])
		}
	}
	return out
}

func (d *decoder) blocks() []Block {
	out := make([]Block, d.count())
	for i := range out {
		out[i] = d.block()
	}
	return out
}

func (d *decoder) block() Block {
	var x Block
	copy(x.ID[:], d.take(32))
	copy(x.Parent[:], d.take(32))
	x.Height = d.height()
	if b := d.take(4); b != nil {
		size := binary.BigEndian.Uint32(b)
		if uint64(size) > uint64(d.maxBody) {
			d.fail("a body of %d bytes, want at most %d", size, d.maxBody)
			return x
		}
		x.Size = int(size)
	}
	return x
}
