package dissemination

import (
	"fmt"
	"iter"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Bodies that are pushed: what announces them names the block alone, and their
// transactions are known to be right only when all are here.

// knowledge is what the readers' goroutines are told of a block that the loop knows.
type knowledge uint8

const (
	unknown knowledge = iota
	unnamed           // the header is right
	named             // the short IDs are known too
	whole             // and the body
)

// know tells the readers how much of a block is here.
func (d *Driver) know(body *assembly, k knowledge) {
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	if d.bodies[body.id] == body {
		d.shared.known[body.id] = k
	}
}

// pushed is a body that a peer announced to follow, as far as its pieces may still
// come: each place once, in order, and no more bytes than the header says.
type pushed struct {
	block     block.ID
	next, end int // places
	left      int // bytes
}

// allow lets a peer send the body that it announced, in place of one before, unless
// the block is one that this peer takes from catch-up.
func (d *Driver) allow(from wire.PeerID, h *block.SignedHeader, id block.ID) {
	if tip := d.cfg.Ledger.Tip().Height; h.Height <= tip || h.Height > tip+fresh.Window {
		return
	}
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	d.shared.pushes[from] = pushed{block: id, end: int(h.TxCount), left: int(h.BodySize)}
}

// allowed says whether a piece of a body was announced to come, and how much of the
// block is here.
func (d *Driver) allowed(from wire.PeerID, m *message.Part) (knowledge, bool) {
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	p, ok := d.shared.pushes[from]
	if !ok || p.block != m.Block || len(m.At) == 0 || int(m.At[0]) < p.next {
		return unknown, false
	}
	p.next = int(m.At[len(m.At)-1]) + 1
	p.left -= sizeOf(m.Txs)
	if p.next > p.end || p.left < 0 {
		return unknown, false
	}
	d.shared.pushes[from] = p
	return d.shared.known[m.Block], true
}

// onPushed takes a piece of a body that comes unasked. What nobody announced is
// dropped, and so is what is here already.
func (d *Driver) onPushed(from wire.PeerID, m *message.Part) error {
	have, ok := d.allowed(from, m)
	if !ok || have == whole {
		d.post(late{m.Block, sizeOf(m.Txs)})
		return nil
	}
	if err := d.verifyNew(m.Txs); err != nil {
		d.post(fetchFailed{from, m})
		return err
	}
	d.post(part{from, m})
	return nil
}

// push sends a whole body to peers, each piece behind the announcement and on its
// lane. What finds no room in a queue ends the push to that peer: it asks for the
// rest.
func (d *Driver) push(x fresh.Announce, body *assembly) {
	txs := body.txs
	if txs == nil { // durable meanwhile
		b, err := d.cfg.Ledger.Block(body.header.Height)
		if err != nil {
			d.log.Error("reading a block to push it", "height", body.header.Height, "err", err)
			return
		}
		txs = b.Txs
	}
	open := x.To
	send := func(m message.Message) {
		msg := message.Encode(m)
		var still []wire.PeerID
		for _, p := range open {
			if d.sendBytes(p, m, msg) {
				still = append(still, p)
			}
		}
		open = still
	}
	send(&message.Announce{Header: body.header, Hop: min(x.Hop, 255), Complete: true, Body: true})
	at := make([]uint32, len(txs))
	for i := range at {
		at[i] = uint32(i)
	}
	for m := range pieces(0, body.id, at, txs) {
		send(m)
	}
}

// pieces cuts transactions and their places into messages of about
// message.PartBytes.
func pieces(number uint32, id block.ID, at []uint32, txs []*block.Tx) iter.Seq[*message.Part] {
	return func(yield func(*message.Part) bool) {
		for len(at) > 0 {
			n, size := 0, 0
			for n < len(at) && (n == 0 || size+txs[n].Size() <= message.PartBytes) {
				size += txs[n].Size()
				n++
			}
			if !yield(&message.Part{Number: number, Block: id, At: at[:n], Txs: txs[:n]}) {
				return
			}
			at, txs = at[n:], txs[n:]
		}
	}
}

// unnamed says that nobody has said which transactions the block is made of.
func (a *assembly) unnamed() bool { return len(a.shorts) == 0 }

// name takes the short IDs of an announcement, if it has any, and fills places from
// the pool and the prefill. It returns the places that nothing fills, and those that
// only the prefill did.
func (d *Driver) name(body *assembly, ev announced) (missing, brought []uint32) {
	m := ev.msg
	body.shorts = m.Shorts
	d.blame(body)
	for i, t := range body.txs {
		if t != nil && !body.fits(i, t.ID()) { // nobody could tell
			body.txs[i] = nil
		}
		if body.txs[i] == nil && ev.matched != nil {
			body.txs[i] = ev.matched[i]
		}
	}
	for i, t := range m.Prefill {
		if at := m.PrefillAt[i]; body.txs[at] == nil {
			body.txs[at] = t
			brought = append(brought, at)
		} else {
			d.cameAgain(body, t.Size())
		}
	}
	for i, t := range body.txs {
		if t == nil {
			missing = append(missing, uint32(i))
		}
	}
	return missing, brought
}

// overfull says that an unnamed body has more bytes than its header says, so that some
// of its transactions do not belong there.
func (a *assembly) overfull() bool { return a.unnamed() && a.size > int(a.header.BodySize) }

// given notes who gave the transaction at a place of an unnamed body.
func (a *assembly) given(place int, from wire.PeerID) {
	if !a.unnamed() {
		return
	}
	if a.givers == nil {
		a.givers = make([]wire.PeerID, len(a.txs))
	}
	a.givers[place] = from
	a.size += a.txs[place].Size()
}

// blame charges those who gave what does not fit an unnamed body, now that its short
// IDs are known. What fits them and is wrong all the same its giver could not tell.
func (d *Driver) blame(body *assembly) {
	var charged []wire.PeerID
	for i, t := range body.txs {
		if t == nil || body.givers == nil || body.fitsShort(i, t.ID()) || slices.Contains(charged, body.givers[i]) {
			continue
		}
		charged = append(charged, body.givers[i])
		d.charge(body.givers[i], fmt.Errorf("transaction %s does not belong at place %d of the block at height %d", t.ID().Short(), i, body.header.Height))
	}
	body.givers = nil
}

// mistaken tells that a body is not the one that its header commits to.
func (d *Driver) mistaken(now time.Time, body *assembly) {
	body.ids = nil
	d.fresh.Mismatched(now, body.id)
}
