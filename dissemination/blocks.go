package dissemination

import (
	"fmt"
	"maps"
	"slices"
	"time"

	"grapevine/block"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// assembly is a block that the fresh-block engine knows, as far as it is here.
// Owned by the loop.
type assembly struct {
	header  block.SignedHeader
	id      block.ID
	key     block.SipKey
	shorts  []byte      // none while nobody has named the transactions
	txs     []*block.Tx // per place; nil where lacking, and nil altogether once durable
	ids     []block.ID  // the full IDs, as far as they have come; asked for after a collision
	listing uint32      // the request whose answer ids is
	again   int         // bytes of transactions that came though they were here

	// While the transactions are not named: the bytes of those that are here, and who
	// gave each.
	size   int
	givers []wire.PeerID
}

// announced is an announcement that was found right.
type announced struct {
	from    wire.PeerID
	msg     *message.Announce
	id      block.ID
	matched []*block.Tx // what the pool has at each place, where the announcement is the first that names them; else nil
	first   bool        // the header was not known before
	old     bool        // at or below the tip
}

func (ev announced) apply(d *Driver, now time.Time) {
	m := ev.msg
	tip := m.Header.Height - 1
	if m.Complete {
		tip++
	}
	d.catchup.PeerTip(now, ev.from, tip)
	a := fresh.Announcement{
		Block: ev.id, Height: m.Header.Height, Parent: m.Header.Parent, Txs: int(m.Header.TxCount),
		Hop: m.Hop, Complete: m.Complete, Pulled: m.Pulled, Body: m.Body, Digest: len(m.Shorts) == 0 && !m.Body,
	}
	body := d.bodies[ev.id]
	switch {
	case body != nil && body.txs != nil && body.unnamed() && ev.matched != nil:
		a.Missing, a.New = d.name(body, ev)
		d.know(body, named)
		d.fresh.Announced(now, ev.from, a)
		return
	case body != nil:
		d.fresh.Announced(now, ev.from, a)
		d.place(now, ev.from, 0, body, m.PrefillAt, m.Prefill)
		return
	case ev.old:
		d.fresh.Announced(now, ev.from, a)
		return
	case !ev.first: // known when it was checked, and forgotten since
		return
	}
	if d.contradicts(&m.Header, ev.id) {
		return
	}
	body = &assembly{header: m.Header, id: ev.id, key: m.Header.ShortKey(), txs: make([]*block.Tx, m.Header.TxCount)}
	a.Missing, a.New = d.name(body, ev)
	d.fresh.Announced(now, ev.from, a)
	if _, ok := d.fresh.Facts(ev.id); ok {
		d.remember(body)
	}
}

func (d *Driver) remember(body *assembly) {
	d.bodies[body.id], d.heights[body.header.Height] = body, body
	if body.unnamed() {
		d.know(body, unnamed)
	} else {
		d.know(body, named)
	}
}

func (d *Driver) forget(id block.ID) {
	body := d.bodies[id]
	if body == nil {
		return
	}
	delete(d.bodies, id)
	if d.heights[body.header.Height] == body {
		delete(d.heights, body.header.Height)
	}
	d.shared.mu.Lock()
	delete(d.shared.known, id)
	d.shared.mu.Unlock()
	d.endFetches(id)
}

// endFetches forgets the requests for a block: what still comes is not wanted.
func (d *Driver) endFetches(id block.ID) {
	d.shared.mu.Lock()
	defer d.shared.mu.Unlock()
	maps.DeleteFunc(d.shared.fetches, func(_ uint32, f fetchAsked) bool { return f.block == id })
}

const (
	// youngAge is for how long after its arrival the orderer takes a transaction to
	// be unknown to others: a batch's wait and a few hops of gossip (a guess).
	youngAge = 100 * time.Millisecond
	// youngBytes bounds what the orderer prefills of them: it goes out to a dozen
	// neighbours, each of which passes on what was new to it.
	youngBytes = 16 << 10
)

// proposed is a block of this peer's own making.
type proposed struct {
	block *block.Block
	done  chan<- error
}

func (ev proposed) apply(d *Driver, now time.Time) {
	b := ev.block
	if d.contradicts(&b.SignedHeader, b.ID()) { // another node has our key
		ev.done <- d.halted
		return
	}
	body := &assembly{header: b.SignedHeader, id: b.ID(), key: b.ShortKey(), txs: slices.Clone(b.Txs)}
	body.shorts = body.key.List(b.TxIDs())
	var young []uint32
	size := 0
	for i, t := range b.Txs {
		at, _, ok := d.cfg.Pool.Arrived(t.ID())
		if ok && now.Sub(at) < youngAge && size+t.Size() <= youngBytes {
			size += t.Size()
			young = append(young, uint32(i))
		}
	}
	d.fresh.Proposed(now, fresh.Announcement{Block: b.ID(), Height: b.Height, Parent: b.Parent, Txs: len(b.Txs)}, young)
	if _, ok := d.fresh.Facts(b.ID()); ok {
		d.remember(body)
		d.know(body, whole)
	}
	d.chain.offer(candidate{block: b, via: viaName(fresh.ViaOwn), done: ev.done})
}

// applyFresh carries out what the fresh-block engine wants.
func (d *Driver) applyFresh(now time.Time, x fresh.Effect) {
	switch x := x.(type) {
	case fresh.Announce:
		d.announce(x)
	case fresh.Fetch:
		d.shared.mu.Lock()
		d.shared.fetches[x.Number] = fetchAsked{x.To, x.Block}
		d.shared.mu.Unlock()
		if !d.send(x.To, &message.Fetch{Number: x.Number, Block: x.Block, At: x.At, Wait: x.Wait}) {
			d.fresh.Refused(now, x.To, x.Number, x.Block)
		}
	case fresh.Serve:
		if body := d.bodies[x.Block]; body != nil && body.txs != nil {
			d.sendParts(x.To, x.Number, x.Block, x.At, body.txs)
		} else { // durable meanwhile
			d.serveStored(x.To, &message.Fetch{Number: x.Number, Block: x.Block, At: x.At})
		}
	case fresh.Refuse:
		d.send(x.To, &message.Part{Number: x.Number, Block: x.Block, Missing: true})
	case fresh.Pull:
		d.send(x.To, &message.Pull{Tip: x.Tip, Upto: x.Upto, Have: x.Have})
	case fresh.Tip:
		d.send(x.To, &message.Tip{Height: x.Height, Base: d.cfg.Ledger.Base()})
	case fresh.Complete:
		d.assemble(now, x.Block)
	case fresh.Forget:
		d.forget(x.Block)
	}
}

func (d *Driver) announce(x fresh.Announce) {
	body := d.bodies[x.Block]
	if body == nil {
		return
	}
	if x.Body {
		d.push(x, body)
		return
	}
	m := &message.Announce{Header: body.header, Hop: min(x.Hop, 255), Complete: x.Complete, Pulled: x.Pulled}
	if !x.Digest {
		m.Shorts = body.shorts
	}
	size := 0
	for _, at := range x.Prefill {
		if t := body.txs[at]; t != nil && size+t.Size() <= message.PrefillBytes {
			size += t.Size()
			m.PrefillAt, m.Prefill = append(m.PrefillAt, at), append(m.Prefill, t)
		}
	}
	msg := message.Encode(m)
	for _, p := range x.To {
		d.sendBytes(p, m, msg)
	}
}

// sendParts answers a request with the transactions at the places, or without
// places with the full IDs, in messages of about message.PartBytes.
func (d *Driver) sendParts(to wire.PeerID, number uint32, id block.ID, at []uint32, list []*block.Tx) {
	if len(at) == 0 {
		const each = message.PartBytes / 32
		for from := 0; from < len(list); from += each {
			m := &message.Part{Number: number, Block: id, IDsFrom: from}
			for _, t := range list[from:min(from+each, len(list))] {
				m.IDs = append(m.IDs, t.ID())
			}
			if !d.send(to, m) {
				return
			}
		}
		return
	}
	txs := make([]*block.Tx, len(at))
	for i, place := range at {
		if int(place) < len(list) {
			txs[i] = list[place]
		}
		if txs[i] == nil { // no honest peer asks for a place beyond the count
			d.send(to, &message.Part{Number: number, Block: id, Missing: true})
			return
		}
	}
	for m := range pieces(number, id, at, txs) {
		if !d.send(to, m) { // the queue is full: there is still room to say so
			d.send(to, &message.Part{Number: number, Block: id, Missing: true})
			return
		}
	}
}

// part is a piece of an answer, of which the signatures are right.
type part struct {
	from wire.PeerID
	msg  *message.Part
}

func (ev part) apply(d *Driver, now time.Time) {
	m := ev.msg
	body := d.bodies[m.Block]
	switch {
	case body == nil:
	case body.txs == nil: // durable meanwhile
		d.cameAgain(body, sizeOf(m.Txs))
	case m.Missing:
		d.fresh.Refused(now, ev.from, m.Number, m.Block)
	case len(m.IDs) > 0:
		d.list(now, ev, body)
	default:
		d.place(now, ev.from, m.Number, body, m.At, m.Txs)
	}
}

// place puts transactions where they belong, if they do.
func (d *Driver) place(now time.Time, from wire.PeerID, number uint32, body *assembly, at []uint32, list []*block.Tx) {
	if body.txs == nil || len(at) == 0 {
		return
	}
	var filled []uint32
	came := 0
	for i, t := range list {
		place := int(at[i])
		if place < len(body.txs) && body.collides(place, t.ID()) { // its sender cannot know
			d.fresh.Refused(now, from, number, body.id)
			return
		}
		if place >= len(body.txs) || !body.fits(place, t.ID()) {
			d.charge(from, fmt.Errorf("transaction %s does not belong at place %d of the block at height %d", t.ID().Short(), place, body.header.Height))
			d.fresh.Refused(now, from, number, body.id)
			return
		}
		if body.txs[place] != nil || d.cfg.Pool.Has(t.ID()) { // gossip may have been faster than the answer
			d.cameAgain(body, t.Size())
		}
		if body.txs[place] != nil {
			continue
		}
		if body.overfull() {
			return
		}
		body.txs[place] = t
		body.given(place, from)
		filled, came = append(filled, at[i]), came+t.Size()
	}
	if body.overfull() {
		d.mistaken(now, body)
		return
	}
	d.catchup.Came(came)
	d.fresh.Arrived(now, from, number, body.id, filled)
}

// cameAgain counts bytes of a block's transactions that came though they were here.
func (d *Driver) cameAgain(body *assembly, bytes int) {
	d.metrics.again.Add(float64(bytes))
	if body != nil {
		body.again += bytes
	}
}

// late is an answer, or a piece of one, that nobody waits for any more.
type late struct {
	block block.ID
	bytes int
}

func (ev late) apply(d *Driver, _ time.Time) {
	if body := d.bodies[ev.block]; body != nil { // else it may never have been asked for
		d.cameAgain(body, ev.bytes)
	}
}

// fits says whether a transaction may stand at a place: by its full ID where all are
// known, which says that they are right, else by its short one.
func (a *assembly) fits(place int, id block.ID) bool {
	if len(a.ids) == len(a.txs) {
		return a.ids[place] == id
	}
	return a.fitsShort(place, id)
}

func (a *assembly) fitsShort(place int, id block.ID) bool {
	return a.unnamed() || a.key.Short(id) == block.ShortAt(a.shorts, place)
}

// collides says that a transaction has the short ID of the one that belongs at a
// place, and is another.
func (a *assembly) collides(place int, id block.ID) bool {
	return a.fitsShort(place, id) && !a.fits(place, id)
}

// list takes a piece of a block's ID list. Once it is whole, and is the one that
// the header commits to, it says which transactions the short IDs got wrong.
func (d *Driver) list(now time.Time, ev part, body *assembly) {
	m := ev.msg
	if m.IDsFrom == 0 && m.Number > body.listing && len(body.ids) < len(body.txs) {
		body.ids, body.listing = nil, m.Number // it begins, again perhaps, with another peer
	}
	if m.Number != body.listing || m.IDsFrom != len(body.ids) || len(body.ids)+len(m.IDs) > len(body.txs) {
		return
	}
	body.ids = append(body.ids, m.IDs...)
	if len(body.ids) < len(body.txs) {
		return
	}
	if block.TxRoot(body.ids) != body.header.TxRoot {
		body.ids = nil
		d.charge(ev.from, fmt.Errorf("the ID list of the block at height %d is not the one that its header commits to", body.header.Height))
		d.fresh.Refused(now, ev.from, m.Number, m.Block)
		return
	}
	if body.unnamed() {
		body.shorts = body.key.List(body.ids)
		d.blame(body)
		d.know(body, named)
	}
	var missing []uint32
	for i, id := range body.ids {
		if t := body.txs[i]; t != nil && t.ID() == id {
			continue
		}
		if body.txs[i], _ = d.cfg.Pool.Get(id); body.txs[i] == nil {
			missing = append(missing, uint32(i))
		}
	}
	d.fresh.Listed(now, m.Block, missing)
}

// complete takes the whole body, which is right.
func (d *Driver) complete(body *assembly, b *block.Block) {
	body.txs = b.Txs
	if body.unnamed() {
		body.shorts = body.key.List(b.TxIDs())
	}
	d.know(body, whole)
}

// assemble puts a block together of which nothing is lacking, and checks it
// against its header.
func (d *Driver) assemble(now time.Time, id block.ID) {
	body := d.bodies[id]
	if body == nil || body.txs == nil {
		return
	}
	b := block.New(body.header, slices.Clone(body.txs))
	if block.TxRoot(b.TxIDs()) != body.header.TxRoot {
		d.mistaken(now, body)
		return
	}
	if err := b.Check(d.network, d.limits); err != nil {
		d.fresh.Rejected(now, id)
		d.invalid(b, err)
		return
	}
	d.complete(body, b)
	d.fresh.Checked(now, id)
	f, _ := d.fresh.Facts(id)
	d.chain.offer(candidate{block: b, from: f.From, via: viaName(f.Via)})
}
