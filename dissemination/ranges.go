package dissemination

import (
	"errors"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/message"
	"grapevine/ledger"
	"grapevine/p2p/wire"
)

const viaCatchup = "catch-up"

// maxRangeBytes bounds an answer to a range, whatever was asked for, but for its
// first block. The lane's queue holds one such answer and the largest block.
const maxRangeBytes = 2 << 20

// applyCatchup carries out what the catch-up engine wants.
func (d *Driver) applyCatchup(now time.Time, x catchup.Effect) {
	if d.cfg.NoCatchup {
		return
	}
	switch x := x.(type) {
	case catchup.Request:
		d.shared.mu.Lock()
		d.shared.ranges[x.Number] = rangeAsked{x.To, x.From, x.Upto}
		d.shared.mu.Unlock()
		if !d.send(x.To, &message.GetRange{Number: x.Number, From: x.From, Upto: x.Upto, MaxBytes: x.MaxBytes}) {
			d.catchup.Failed(now, x.To, x.Number)
		}
	case catchup.Discard:
		d.shared.mu.Lock()
		delete(d.shared.ranges, x.Number)
		if read := d.shared.pieces[x.Peer]; read != nil && read.number == x.Number {
			delete(d.shared.pieces, x.Peer)
		}
		d.shared.mu.Unlock()
	}
}

// onGetRange answers with blocks from the ledger, in pieces. The asker has one
// request at a time, for which the lane's queue has room; who asks for more finds
// his answers cut short.
func (d *Driver) onGetRange(from wire.PeerID, m *message.GetRange) {
	l := d.cfg.Ledger
	tip := l.Tip().Height
	upto := min(m.Upto, tip)
	if m.From >= l.Base() && m.From <= upto {
		blocks, err := l.Range(m.From, upto, min(m.MaxBytes, maxRangeBytes))
		if err != nil && !errors.Is(err, ledger.ErrNotFound) {
			d.log.Error("reading blocks to serve them", "from", m.From, "upto", upto, "err", err)
		}
		for _, b := range blocks {
			if !d.sendBlock(from, m.Number, b) {
				break // the queue is full: there is still room to say that no more comes
			}
		}
	}
	d.send(from, &message.Chunk{Number: m.Number, Last: true, Tip: tip, Base: l.Base()})
}

func (d *Driver) sendBlock(to wire.PeerID, number uint32, b *block.Block) bool {
	raw := b.Bytes()
	for off := 0; off < len(raw); off += message.PartBytes {
		piece := raw[off:min(off+message.PartBytes, len(raw))]
		if !d.send(to, &message.Chunk{Number: number, Height: b.Height, Offset: off, Size: len(raw), Data: piece}) {
			return false
		}
	}
	return true
}

// rangeRead is a block of a range, as far as it has come. Only the goroutine of
// its peer's catch-up lane uses it.
type rangeRead struct {
	number uint32
	height uint64
	size   int
	buf    []byte
}

// onChunk joins the pieces of a range's blocks, and checks each block when it is
// whole. What was not asked for is dropped: the request may just have timed out.
func (d *Driver) onChunk(from wire.PeerID, m *message.Chunk) error {
	d.shared.mu.Lock()
	asked, ok := d.shared.ranges[m.Number]
	read := d.shared.pieces[from]
	if ok && asked.peer == from && (read == nil || read.number != m.Number) {
		read = &rangeRead{number: m.Number}
		d.shared.pieces[from] = read
	}
	d.shared.mu.Unlock()
	if !ok || asked.peer != from {
		return nil
	}
	if m.Size > 0 {
		d.post(rangePiece{from, m.Number, len(m.Data)})
		if err := d.readChunk(from, asked, read, m); err != nil {
			d.endRange(from, m.Number)
			d.post(rangeFailed{from, m.Number})
			return err
		}
	}
	if m.Last {
		d.endRange(from, m.Number)
		d.post(rangeEnded{from, m})
	}
	return nil
}

func (d *Driver) endRange(from wire.PeerID, number uint32) {
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	delete(d.shared.ranges, number)
	if read := d.shared.pieces[from]; read != nil && read.number == number {
		delete(d.shared.pieces, from)
	}
}

func (d *Driver) readChunk(from wire.PeerID, asked rangeAsked, r *rangeRead, m *message.Chunk) error {
	if m.Offset == 0 && len(r.buf) == 0 {
		r.height, r.size = m.Height, m.Size
	}
	switch {
	case m.Height != r.height || m.Size != r.size || m.Offset != len(r.buf) || len(m.Data) == 0:
		return fmt.Errorf("%w: chunk at %d of the block at height %d out of order", wire.ErrMalformed, m.Offset, m.Height)
	case m.Height < asked.from || m.Height > asked.upto:
		return fmt.Errorf("%w: chunk of the block at height %d, asked were %d to %d", wire.ErrMalformed, m.Height, asked.from, asked.upto)
	}
	r.buf = append(r.buf, m.Data...) // grows with what has come, not with what is claimed
	if len(r.buf) < r.size {
		return nil
	}
	raw := r.buf
	r.buf = nil
	b, err := block.Decode(raw)
	if err != nil {
		return fmt.Errorf("%w: %w", wire.ErrMalformed, err)
	}
	if b.Height != m.Height {
		return fmt.Errorf("%w: block at height %d sent as height %d", wire.ErrMalformed, b.Height, m.Height)
	}
	if err := d.checkHeader(&b.SignedHeader); err != nil {
		return err
	}
	d.checkAgainstChain(&b.SignedHeader, b.ID())
	if err := b.Check(d.network, d.limits); err != nil {
		return err
	}
	if err := d.verifyNew(b.Txs); err != nil {
		return err
	}
	d.post(rangeBlock{from, m.Number, b})
	return nil
}

type rangePiece struct {
	from   wire.PeerID
	number uint32
	size   int
}

func (ev rangePiece) apply(d *Driver, now time.Time) {
	d.catchup.Piece(now, ev.from, ev.number, ev.size)
}

type rangeBlock struct {
	from   wire.PeerID
	number uint32
	block  *block.Block
}

func (ev rangeBlock) apply(d *Driver, now time.Time) {
	b := ev.block
	if d.contradicts(&b.SignedHeader, b.ID()) {
		return
	}
	d.countAgain(b)
	if d.catchup.Arrived(now, ev.from, ev.number, b.Height, int(b.BodySize)) {
		d.chain.offer(candidate{block: b, from: ev.from, via: viaCatchup})
	}
}

// countAgain counts what of a block that catch-up brought was here.
func (d *Driver) countAgain(b *block.Block) {
	body := d.bodies[b.ID()]
	bytes := 0
	switch {
	case b.Height <= d.fresh.Tip().Height || d.chain.at(b.Height) != nil:
		bytes = int(b.BodySize)
	case body != nil:
		for i, t := range body.txs {
			if t != nil {
				bytes += b.Txs[i].Size()
			}
		}
	}
	if bytes > 0 {
		d.cameAgain(body, bytes)
	}
}

type rangeEnded struct {
	from wire.PeerID
	msg  *message.Chunk
}

func (ev rangeEnded) apply(d *Driver, now time.Time) {
	d.catchup.Ended(now, ev.from, ev.msg.Number, ev.msg.Tip, ev.msg.Base)
}

type rangeFailed struct {
	from   wire.PeerID
	number uint32
}

func (ev rangeFailed) apply(d *Driver, now time.Time) { d.catchup.Failed(now, ev.from, ev.number) }
