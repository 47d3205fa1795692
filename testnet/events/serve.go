package events

import (
	"time"

	"grapevine/block"
	"grapevine/dissemination/catchup"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
	"grapevine/testnet/outcome"
)

// The messages, and what a driver does with them and with the cores' effects.

type announced struct {
	b                *blk
	hop              int
	complete, pulled bool
	body, digest     bool
	prefill          []uint32
}

type fetched struct {
	b      *blk
	number uint32
	at     []uint32
	wait   time.Duration
}

type part struct {
	b      *blk
	number uint32
	at     []uint32
}

type refused struct {
	b      *blk
	number uint32
}

type pulled struct {
	tip, upto uint64
	have      []block.ID
}

type tipTold struct{ height uint64 }

type rangeAsked struct {
	number     uint32
	from, upto uint64
	most       int
}

type chunk struct {
	number uint32
	b      *blk // nil: the answer ends
	bytes  int
	whole  bool // the block is, with this piece
	tip    uint64
}

// apply carries out what the fresh-block core wants.
func (p *peer) apply(w *world, x fresh.Effect) {
	switch x := x.(type) {
	case fresh.Announce:
		p.announce(w, x)
	case fresh.Fetch:
		b := w.block(x.Block)
		if !p.send(w, w.peerOf(x.To), wire.Bodies, fetchSize(x.At, x.Wait), &fetched{b, x.Number, x.At, x.Wait}) {
			p.fresh.Refused(w.time(), x.To, x.Number, x.Block)
		}
	case fresh.Serve:
		p.sendParts(w, w.peerOf(x.To), x.Number, w.block(x.Block), x.At)
	case fresh.Refuse:
		p.send(w, w.peerOf(x.To), wire.Bodies, refuseSize(), &refused{w.block(x.Block), x.Number})
	case fresh.Pull:
		p.send(w, w.peerOf(x.To), wire.Blocks, pullSize(x.Tip, x.Upto, len(x.Have)), &pulled{x.Tip, x.Upto, x.Have})
	case fresh.Tip:
		p.send(w, w.peerOf(x.To), wire.Blocks, tipSize(x.Height), &tipTold{x.Height})
	case fresh.Complete:
		b := w.block(x.Block)
		p.fresh.Checked(w.time(), x.Block)
		p.offer(w, arrival{b: b, from: -1})
	}
}

func (p *peer) announce(w *world, x fresh.Announce) {
	b := w.block(x.Block)
	h := p.holds(w, b)
	a := announced{b: b, hop: min(x.Hop, 255), complete: x.Complete, pulled: x.Pulled, body: x.Body, digest: x.Digest}
	for _, at := range x.Prefill {
		if h.have(at) && (len(a.prefill)+1)*b.txSize <= message.PrefillBytes {
			a.prefill = append(a.prefill, at)
		}
	}
	lane := wire.Blocks
	if x.Body {
		lane = wire.Bodies
	}
	size := announceSize(b, !x.Digest && !x.Body, a, a.prefill, x.Body)
	for _, id := range x.To {
		to := w.peerOf(id)
		if p.send(w, to, lane, size, &a) && x.Body {
			p.sendParts(w, to, 0, b, b.every)
		}
	}
}

// sendParts sends the transactions at the places, as many to a message as fit.
func (p *peer) sendParts(w *world, to *peer, number uint32, b *blk, at []uint32) {
	each := max(1, message.PartBytes/b.txSize)
	for len(at) > 0 {
		n := min(each, len(at))
		if !p.send(w, to, wire.Bodies, partSize(number != 0, at[:n], b.txSize), &part{b, number, at[:n]}) {
			if number != 0 {
				p.send(w, to, wire.Bodies, refuseSize(), &refused{b, number})
			}
			return
		}
		at = at[n:]
	}
}

func (m *announced) arrive(w *world, from, to *peer) {
	now, b := w.time(), m.b
	if to.catchup != nil {
		tip := b.height - 1
		if m.complete {
			tip++
		}
		to.catchup.PeerTip(now, from.id, tip)
	}
	a := fresh.Announcement{
		Block: b.id, Height: b.height, Parent: b.parent, Txs: b.txs,
		Hop: m.hop, Complete: m.complete, Pulled: m.pulled, Body: m.body, Digest: m.digest,
	}
	_, known := to.fresh.Facts(b.id)
	if known || b.height <= to.tip.Height {
		to.fresh.Announced(now, from.id, a)
		if len(m.prefill) > 0 {
			filled := to.take(w, b, m.prefill)
			to.fresh.Arrived(now, from.id, 0, b.id, filled)
		}
		return
	}
	a.New = to.take(w, b, m.prefill)
	a.Missing = to.missing(w, b)
	to.fresh.Announced(now, from.id, a)
}

// missing returns the places that nothing fills. Nobody may change it.
func (p *peer) missing(w *world, b *blk) []uint32 {
	h := p.holds(w, b)
	switch h.lacks {
	case 0:
		return nil
	case b.txs:
		return b.every
	}
	out := make([]uint32, 0, h.lacks)
	for i := range uint32(b.txs) {
		if !h.have(i) {
			out = append(out, i)
		}
	}
	return out
}

func (m *fetched) arrive(w *world, from, to *peer) {
	if _, known := to.fresh.Facts(m.b.id); !known && m.b.height <= to.tip.Height { // the ledger has it
		to.sendParts(w, from, m.number, m.b, m.at)
		return
	}
	to.fresh.Wanted(w.time(), from.id, m.number, m.b.id, m.at, m.wait)
}

func (m *part) arrive(w *world, from, to *peer) {
	if _, known := to.fresh.Facts(m.b.id); !known {
		return
	}
	filled := to.take(w, m.b, m.at)
	if to.catchup != nil {
		to.catchup.Came(len(filled) * m.b.txSize)
	}
	to.fresh.Arrived(w.time(), from.id, m.number, m.b.id, filled)
}

func (m *refused) arrive(w *world, from, to *peer) {
	to.fresh.Refused(w.time(), from.id, m.number, m.b.id)
}

func (m *pulled) arrive(w *world, from, to *peer) {
	to.fresh.Pulled(w.time(), from.id, m.tip, m.upto, m.have)
	if to.catchup != nil {
		to.catchup.PeerTip(w.time(), from.id, m.tip)
	}
}

func (m *tipTold) arrive(w *world, from, to *peer) {
	to.fresh.TipTold(w.time(), from.id, m.height)
	if to.catchup != nil {
		to.catchup.PeerTip(w.time(), from.id, m.height)
	}
}

// applyCatchup carries out what the catch-up core wants.
func (p *peer) applyCatchup(w *world, x catchup.Effect) {
	r, ok := x.(catchup.Request)
	if !ok {
		return // Discard: pieces are counted, not kept
	}
	m := &rangeAsked{r.Number, r.From, r.Upto, r.MaxBytes}
	if !p.send(w, w.peerOf(r.To), wire.Catchup, rangeSize(r.From, r.Upto, r.MaxBytes), m) {
		p.catchup.Failed(w.time(), r.To, r.Number)
	}
}

// arrive answers with blocks, in pieces, as many as were asked for and fit.
func (m *rangeAsked) arrive(w *world, from, to *peer) {
	bytes := 0
blocks:
	for h := m.from; h <= min(m.upto, to.tip.Height); h++ {
		b := w.blocks[h-1]
		size := b.bytes + block.SignedHeaderSize
		if bytes += size; bytes > m.most && h > m.from {
			break
		}
		for off := 0; off < size; off += message.PartBytes {
			n := min(message.PartBytes, size-off)
			c := &chunk{number: m.number, b: b, bytes: n, whole: off+n == size}
			if !to.send(w, from, wire.Catchup, chunkSize(b.height, off, n, size), c) {
				break blocks
			}
		}
	}
	to.send(w, from, wire.Catchup, lastChunkSize(to.tip.Height, 1), &chunk{number: m.number, tip: to.tip.Height})
}

func (m *chunk) arrive(w *world, from, to *peer) {
	if to.catchup == nil {
		return
	}
	now := w.time()
	switch {
	case m.b == nil:
		to.catchup.Ended(now, from.id, m.number, m.tip, 1)
		return
	case !m.whole:
		to.catchup.Piece(now, from.id, m.number, m.bytes)
		return
	}
	to.catchup.Piece(now, from.id, m.number, m.bytes)
	if h := to.held[m.b.height-1]; h != nil {
		to.again += int64((m.b.txs - h.lacks) * m.b.txSize)
	}
	if to.catchup.Arrived(now, from.id, m.number, m.b.height, m.b.bytes) {
		to.offer(w, arrival{b: m.b, via: outcome.ViaCatchup, from: from.number})
	}
}
