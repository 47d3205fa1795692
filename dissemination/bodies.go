package dissemination

import (
	"errors"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// body is the bytes of a block that the core knows, as far as they are here.
type body struct {
	header block.SignedHeader
	id     block.ID
	key    block.SipKey
	list   []byte      // it begins with the short IDs
	txs    []*block.Tx // per place; nil where lacking, and nil altogether once the ledger has them
	ids    []block.ID  // the full IDs, known to be right; nil: they never were asked for
}

func newBody(h *block.SignedHeader, id block.ID, list []byte) *body {
	return &body{header: *h, id: id, key: h.ShortKey(), list: list, txs: make([]*block.Tx, h.TxCount)}
}

// stored says that the ledger has the transactions.
func (b *body) stored() bool { return b.txs == nil }

// bodies are the blocks that are on their way into the chain. The loop owns them.
type bodies struct {
	byID  map[block.ID]*body
	at    map[uint64]*body        // by height
	whole map[uint64]*block.Block // by height: what is right, until it is durable
}

func newBodies() bodies {
	return bodies{byID: map[block.ID]*body{}, at: map[uint64]*body{}, whole: map[uint64]*block.Block{}}
}

func (s *bodies) add(b *body) { s.byID[b.id], s.at[b.header.Height] = b, b }

func (s *bodies) forget(id block.ID) {
	b := s.byID[id]
	if b == nil {
		return
	}
	delete(s.byID, id)
	if s.at[b.header.Height] == b {
		delete(s.at, b.header.Height)
	}
}

// signedAt returns another header of a height than the block's, if there is one on its
// way into the chain.
func (s *bodies) signedAt(height uint64, not block.ID) *block.SignedHeader {
	if b := s.at[height]; b != nil && b.id != not {
		return &b.header
	}
	if b := s.whole[height]; b != nil && b.ID() != not {
		return &b.SignedHeader
	}
	return nil
}

// attach completes an announcement.
func (s *bodies) attach(m *message.Announce) {
	b := s.byID[m.Block.ID]
	if m.Header = b.header; m.Listed {
		m.List = b.list
	}
	for _, at := range m.At {
		m.Txs = append(m.Txs, b.txs[at])
	}
}

// fits says whether a transaction may stand at a place: by its full ID where all are
// known, else by its short one.
func (b *body) fits(place int, id block.ID) bool {
	if b.ids != nil {
		return b.ids[place] == id
	}
	return b.fitsShort(place, id)
}

func (b *body) fitsShort(place int, id block.ID) bool {
	return b.key.Short(id) == block.ShortAt(b.list, place)
}

// place puts transactions where they belong, and says whether all of them belong where
// they are said to. The error is of what their sender could have known.
func (b *body) place(at []uint32, list []*block.Tx) (ok bool, err error) {
	for i, t := range list {
		place := int(at[i])
		switch {
		case place < len(b.txs) && b.fits(place, t.ID()):
			if b.txs[place] == nil {
				b.txs[place] = t
			}
		case place < len(b.txs) && b.fitsShort(place, t.ID()): // a collision, or the orderer made it up
			return false, nil
		default:
			return false, fmt.Errorf("transaction %s does not belong at place %d of the block at height %d", t.ID().Short(), place, b.header.Height)
		}
	}
	return true, nil
}

// announced takes in an announcement that was found right: of a header that was not
// known before, and what the pool has at each place; or of one that was.
func (d *Driver) announced(now time.Time, from wire.PeerID, m *message.Announce, first bool, matched []*block.Tx) {
	b := d.bodies.byID[m.Block.ID]
	switch {
	case b != nil && b.list == nil: // it comes as shards
	case b != nil && !b.stored():
		if !d.takePlaces(now, from, 0, b, m.At, m.Txs) {
			m.At, m.Sizes = nil, nil
		}
	case b == nil && first: // whether its height is free the core says: the ledger is ahead of it now and then
		if d.contradicts(&m.Header, m.Block.ID) {
			return
		}
		b = newBody(&m.Header, m.Block.ID, m.List)
		copy(b.txs, matched)
		_, _ = b.place(m.At, m.Txs) // held against the short IDs by the reader
		d.bodies.add(b)
		if h := &m.Header; h.Coding != 0 && !m.Listed {
			d.codes.add(newCoded(h, m.Block.ID))
			d.grantShards(&m.Block)
		}
	case b == nil && !first: // known when it was checked, and forgotten since
		return
	}
	d.core.Receive(now, from, m, func(place uint32) int {
		if matched == nil || matched[place] == nil {
			return 0
		}
		return matched[place].Size()
	})
	if !d.core.Known(m.Block.ID) {
		d.bodies.forget(m.Block.ID)
		d.codes.remove(m.Block.ID)
	} else {
		d.useful(from)
		d.headers.add(m.Block.ID)
		d.signed.Store(max(d.signed.Load(), m.Block.Height))
	}
}

// takePlaces puts transactions where they belong, or ends the request that brought
// them.
func (d *Driver) takePlaces(now time.Time, from wire.PeerID, number uint32, b *body, at []uint32, list []*block.Tx) bool {
	ok, err := b.place(at, list)
	if err != nil {
		d.charge(from, err)
	}
	if !ok {
		d.core.Failed(now, from, number, b.id)
	}
	return ok
}

// brought takes in a piece of an answer to a request, of which the signatures are
// right.
func (d *Driver) brought(now time.Time, from wire.PeerID, m *message.Part) {
	b := d.bodies.byID[m.Block]
	if b == nil {
		return
	}
	if b.stored() {
		d.core.Receive(now, from, m, nil)
		return
	}
	if !d.takePlaces(now, from, m.Number, b, m.At, m.Txs) {
		return
	}
	d.useful(from)
	d.core.Receive(now, from, m, func(place uint32) int { // gossip may have been faster than the answer
		if t := b.txs[place]; d.cfg.Pool.Has(t.ID()) {
			return t.Size()
		}
		return 0
	})
}

// checkList holds a block's full IDs against its header. Those that are right say which
// transactions the short IDs got wrong.
func (d *Driver) checkList(now time.Time, x effect.CheckList) {
	b := d.bodies.byID[x.Block]
	if block.TxRoot(x.IDs) != b.header.TxRoot {
		d.charge(x.From, fmt.Errorf("the ID list of the block at height %d is not the one that its header commits to", b.header.Height))
		d.core.ListForged(now, x)
		return
	}
	b.ids = x.IDs
	for i, id := range b.ids {
		if t := b.txs[i]; t == nil || t.ID() != id {
			b.txs[i], _ = d.cfg.Pool.Get(id)
		}
	}
	d.core.Listed(now, x.Block, func(place uint32) int {
		if t := b.txs[place]; t != nil {
			return t.Size()
		}
		return 0
	})
}

// assemble puts a block together of which nothing is lacking, and checks it against
// its header.
func (d *Driver) assemble(now time.Time, id block.ID) {
	b := d.bodies.byID[id]
	whole := block.New(b.header, slices.Clone(b.txs))
	if err := whole.Check(d.network, d.limits); errors.Is(err, block.ErrRoot) {
		b.ids = nil
		d.core.Mismatched(now, id)
		return
	} else if err != nil {
		d.core.Rejected(now, id)
		d.invalid(whole, err)
		return
	}
	d.bodies.whole[whole.Height] = whole
	d.core.Checked(now, id)
}

// serve answers a peer's Fetch of a block that the core knows.
func (d *Driver) serve(x effect.Serve) {
	ask := &message.Fetch{Number: x.Number, Block: x.Block, At: x.At}
	b := d.bodies.byID[x.Block]
	if !x.Stored {
		d.answer(x.To, ask, b.txs)
	} else if whole := d.cfg.Ledger.Recent(b.header.Height); whole != nil { // the loop does not wait for the disk
		d.answer(x.To, ask, whole.Txs)
	} else {
		d.send(x.To, message.Refusal(x.Number, x.Block))
	}
}

// queuedMost is how many bytes may wait for a peer that asks for transactions of a
// block from the disk: half of what the lane's queue holds.
const queuedMost = 4 << 20

// serveStored answers a Fetch from the ledger, in the goroutine of the asker's lane.
func (d *Driver) serveStored(to wire.PeerID, m *message.Fetch, height uint64) {
	if b := d.cfg.Ledger.Recent(height); b != nil {
		d.answer(to, m, b.Txs)
		return
	}
	d.stored.wait(to, storedGap)
	if d.cfg.Host.Queued(to, wire.Bodies) <= queuedMost {
		b, err := d.cfg.Ledger.Block(height)
		if err == nil {
			d.answer(to, m, b.Txs)
			return
		}
		d.log.Error("reading a block to serve it", "height", height, "id", m.Block, "err", err)
	}
	d.send(to, message.Refusal(m.Number, m.Block))
}

// answer sends a peer the transactions that it asked for, or, if it named no places,
// the list of full IDs.
func (d *Driver) answer(to wire.PeerID, m *message.Fetch, list []*block.Tx) {
	if len(m.At) > 0 && int(m.At[len(m.At)-1]) >= len(list) { // no honest peer asks for a place beyond the count
		d.send(to, message.Refusal(m.Number, m.Block))
		return
	}
	var parts iter.Seq[message.Message]
	if len(m.At) == 0 {
		parts = message.Lists(m.Number, m.Block, idsOf(list))
	} else {
		sizes := make([]int, len(m.At)) // of a body of which the rest may be lacking
		for i, at := range m.At {
			sizes[i] = list[at].Size()
		}
		parts = message.Parts(m.Number, m.Block, m.At, sizes)
	}
	message.Answer(parts, m.Number, m.Block, func(x message.Message) bool {
		p := x.(*message.Part)
		for _, at := range p.At {
			p.Txs = append(p.Txs, list[at])
		}
		return d.send(to, p)
	})
}

// headers are the blocks whose headers were found right, for the readers.
type headers struct {
	mu    sync.Mutex
	known map[block.ID]bool // guarded by mu
}

func (h *headers) add(id block.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.known[id] = true
}

func (h *headers) remove(id block.ID) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.known, id)
}

func (h *headers) has(id block.ID) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.known[id]
}

func idsOf(list []*block.Tx) []block.ID {
	ids := make([]block.ID, len(list))
	for i, t := range list {
		ids[i] = t.ID()
	}
	return ids
}
