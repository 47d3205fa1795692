package dissemination

import (
	"errors"
	"fmt"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/message"
	"grapevine/ledger"
	"grapevine/p2p/wire"
)

// onGetRange answers with blocks from the ledger, in pieces. The asker has one
// request at a time, for which the lane's queue has room; who asks for more before he
// has taken that gets nothing, and costs no reading.
func (d *Driver) onGetRange(from wire.PeerID, m *message.GetRange) {
	d.reading.wait(from, rangeGap)
	room := d.cfg.Host.Queued(from, wire.Catchup) <= catchup.MaxBytes
	l := d.cfg.Ledger
	tip := l.Tip().Height
	var raw [][]byte
	var sizes []int
	if upto := min(m.Upto, tip); room && m.From >= l.Base() && m.From <= upto {
		blocks, err := l.Range(m.From, upto, min(m.MaxBytes, catchup.MaxBytes))
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			d.log.Error("reading blocks to serve them", "from", m.From, "upto", upto, "err", err)
		}
		for _, b := range blocks {
			raw = append(raw, b.Bytes())
			sizes = append(sizes, len(raw[len(raw)-1]))
		}
	}
	message.Chunks(m, sizes, catchup.MaxBytes, tip, func(x message.Message) bool {
		c := x.(*message.Chunk)
		if c.Last {
			c.Base = l.Base()
		} else {
			c.Data = raw[c.Height-m.From][c.Offset : c.Offset+c.Length]
		}
		return d.send(from, c)
	})
}

// rangeRead is an answer for a range, as far as it has come. Only the goroutine of its
// peer's catch-up lane uses what is below the line.
type rangeRead struct {
	number  uint32
	upto    uint64
	dropped bool // what comes is thrown away

	next uint64 // the height of the block that comes, or is coming
	size int
	buf  []byte
}

// ranges are the answers that are on their way: at most one per peer, the one that was
// asked for last.
type ranges struct {
	mu    sync.Mutex
	reads map[wire.PeerID]*rangeRead // guarded by mu
}

func (r *ranges) begin(from wire.PeerID, m *message.GetRange) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.reads[from] = &rangeRead{number: m.Number, upto: m.Upto, next: m.From}
}

// of returns the answer that a message belongs to; nil: nobody asked for it.
func (r *ranges) of(from wire.PeerID, number uint32) *rangeRead {
	r.mu.Lock()
	defer r.mu.Unlock()
	if read := r.reads[from]; read != nil && read.number == number {
		return read
	}
	return nil
}

// discard throws away what has come of an answer, and what still comes of it but its
// end.
func (r *ranges) discard(from wire.PeerID, number uint32) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if read := r.reads[from]; read != nil && read.number == number {
		r.reads[from] = &rangeRead{number: number, dropped: true}
	}
}

// end forgets a peer's answer.
func (r *ranges) end(from wire.PeerID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.reads, from)
}

// onChunk joins the pieces of a range's blocks, and checks each block when it is
// whole. What was not asked for is dropped: the request may just have timed out.
func (d *Driver) onChunk(from wire.PeerID, m *message.Chunk) error {
	if !d.credits.spend(from, len(m.Data)) {
		return errUnasked
	}
	read := d.ranges.of(from, m.Number)
	if read == nil {
		return nil
	}
	if m.Last {
		d.ranges.end(from)
	}
	if m.Size == 0 || read.dropped {
		d.toCore(from, m)
		return nil
	}
	b, err := d.joinChunk(read, m)
	if err != nil {
		d.ranges.discard(from, m.Number)
		d.post(func(now time.Time) { d.core.RangeFailed(now, from, m.Number) })
		return err
	}
	piece := *m
	piece.Data, piece.Last = nil, false
	d.toCore(from, &piece)
	if b != nil {
		d.post(func(now time.Time) { d.rangeBlock(now, from, m.Number, b) })
	}
	if m.Last {
		d.toCore(from, &message.Chunk{Number: m.Number, Last: true, Tip: m.Tip, Base: m.Base})
	}
	return nil
}

// joinChunk adds a piece to its block, and returns the block when that is whole and
// right.
func (d *Driver) joinChunk(r *rangeRead, m *message.Chunk) (*block.Block, error) {
	if m.Offset == 0 && len(r.buf) == 0 {
		r.size = m.Size
	}
	switch {
	case m.Height != r.next || m.Size != r.size || m.Offset != len(r.buf) || len(m.Data) == 0:
		return nil, fmt.Errorf("%w: chunk at %d of the block at height %d out of order", wire.ErrMalformed, m.Offset, m.Height)
	case m.Height > r.upto:
		return nil, fmt.Errorf("%w: chunk of the block at height %d, asked were heights up to %d", wire.ErrMalformed, m.Height, r.upto)
	}
	r.buf = append(r.buf, m.Data...) // grows with what has come, not with what is claimed
	if len(r.buf) < r.size {
		return nil, nil
	}
	raw := r.buf
	r.buf = nil
	r.next++
	b, err := block.Decode(raw)
	if err != nil {
		return nil, fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	if b.Height != m.Height {
		return nil, fmt.Errorf("%w: block at height %d sent as height %d", wire.ErrMalformed, b.Height, m.Height)
	}
	if err := d.checkHeader(&b.SignedHeader); err != nil {
		return nil, err
	}
	d.checkAgainstChain(&b.SignedHeader, b.ID())
	err = b.Check(d.network, d.limits)
	if errors.Is(err, block.ErrRoot) {
		return nil, err
	}
	if err = errors.Join(err, d.verifyNew(b.Txs)); err != nil { // the producer's fault, whoever shows it
		d.post(func(time.Time) { d.invalid(b, err) })
		return nil, nil
	}
	return b, nil
}

// rangeBlock takes in a block of a range, which is right in itself.
func (d *Driver) rangeBlock(now time.Time, from wire.PeerID, number uint32, b *block.Block) {
	if d.contradicts(&b.SignedHeader, b.ID()) {
		return
	}
	if d.core.RangeBlock(now, from, number, message.Describe(&b.Header)) && d.bodies.whole[b.Height] == nil {
		d.bodies.whole[b.Height] = b
		d.useful(from)
	}
}
