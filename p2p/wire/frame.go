package wire

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

// MaxFrame is the size of the largest frame, header included: what one message of
// a lane can put ahead of everything else on the connection.
const MaxFrame = 64 << 10

// MaxContent is how much the protocols put into a message besides what their lists of
// limits say, before one last transaction or piece.
const MaxContent = 64 << 10

// A frame is a header of four bytes, big endian, and a payload. The header's top
// bit says that the message goes on in the next frame; the other bits are the
// payload's length. Only the last frame of a message may be less than full, and no
// frame is empty, so that there is one way to write a message.
const (
	headerSize   = 4
	framePayload = MaxFrame - headerSize
	moreBit      = 1 << 31
)

// ErrOversize is matched when a message is larger than its lane allows.
var ErrOversize = errors.New("message too large")

// Writer splits messages into frames. It is not safe for concurrent use.
type Writer struct {
	w   io.Writer
	buf []byte // one frame
}

// NewWriter returns a Writer on w.
func NewWriter(w io.Writer) *Writer { return &Writer{w: w} }

// Write writes one message, which must not be empty, one call to the underlying
// writer per frame.
func (w *Writer) Write(msg []byte) error {
	if len(msg) == 0 {
		panic("wire: empty message")
	}
	for len(msg) > 0 {
		n := min(len(msg), framePayload)
		header := uint32(n)
		if n < len(msg) {
			header |= moreBit
		}
		w.buf = binary.BigEndian.AppendUint32(w.buf[:0], header)
		w.buf = append(w.buf, msg[:n]...)
		if _, err := w.w.Write(w.buf); err != nil {
			return fmt.Errorf("writing frame: %w", err)
		}
		msg = msg[n:]
	}
	return nil
}

// FramedSize returns how many bytes a message of n bytes takes on its stream.
func FramedSize(n int) int { return n + headerSize*((n+framePayload-1)/framePayload) }

// Reader joins frames into messages. It never reads beyond the message it was
// asked for, and its memory grows with the bytes that have arrived, whatever a
// header claims. It is not safe for concurrent use.
type Reader struct {
	r      io.Reader
	limit  int
	header [headerSize]byte
	have   int // bytes of the next header that have been read
}

// NewReader returns a Reader of messages of at most limit bytes.
func NewReader(r io.Reader, limit int) *Reader { return &Reader{r: r, limit: limit} }

// Await blocks until a message begins, so that its reader can set a deadline for
// the rest of it. It returns io.EOF when the stream ends between two messages.
func (r *Reader) Await() error {
	if r.have > 0 {
		return nil
	}
	n, err := io.ReadAtLeast(r.r, r.header[:], 1)
	r.have = n
	return err
}

// Next reads one message. The caller owns it. It returns io.EOF when the stream
// ends between two messages, and io.ErrUnexpectedEOF when it ends inside one.
func (r *Reader) Next() ([]byte, error) {
	if err := r.Await(); err != nil {
		return nil, err
	}
	var msg []byte
	for {
		n, more, err := r.readHeader()
		if err != nil {
			return nil, noEOF(err)
		}
		if n > r.limit-len(msg) || more && n == r.limit-len(msg) {
			return nil, fmt.Errorf("%w: more than %d bytes", ErrOversize, r.limit)
		}
		if msg, err = readPayload(r.r, msg, n); err != nil {
			return nil, noEOF(err)
		}
		if !more {
			return msg, nil
		}
	}
}

func (r *Reader) readHeader() (size int, more bool, err error) {
	if _, err := io.ReadFull(r.r, r.header[r.have:]); err != nil {
		return 0, false, err
	}
	r.have = 0
	h := binary.BigEndian.Uint32(r.header[:])
	size, more = int(h&^moreBit), h&moreBit != 0
	switch {
	case size == 0:
		return 0, false, fmt.Errorf("%w: empty frame", ErrMalformed)
	case size > framePayload:
		return 0, false, fmt.Errorf("%w: frame of %d bytes, want at most %d", ErrMalformed, size, framePayload)
	case more && size < framePayload:
		return 0, false, fmt.Errorf("%w: frame of %d bytes is neither full nor the last", ErrMalformed, size)
	}
	return size, more, nil
}

// firstRead is how much room a message gets before any of it has arrived.
const firstRead = 4 << 10

// readPayload appends n bytes from r to msg, whose room doubles as it fills.
func readPayload(r io.Reader, msg []byte, n int) ([]byte, error) {
	end := len(msg) + n
	for len(msg) < end {
		if len(msg) == cap(msg) {
			grown := make([]byte, len(msg), min(end, max(2*len(msg), firstRead)))
			copy(grown, msg)
			msg = grown
		}
		got, err := io.ReadFull(r, msg[len(msg):min(end, cap(msg))])
		msg = msg[:len(msg)+got]
		if err != nil {
			return nil, err
		}
	}
	return msg, nil
}

// noEOF says that a stream which ended inside a message ended too early.
func noEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
