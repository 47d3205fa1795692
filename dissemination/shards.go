package dissemination

import (
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/coding"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// coded is the bytes of a coded block, as far as they are here. The loop and the readers use
// it.
type coded struct {
	header block.SignedHeader
	id     block.ID

	mu      sync.Mutex
	strings [2]codedString // guarded by mu; list and body
	filled  bool           // guarded by mu; some of the body came from the pool
}

// codedString is one of a block's two strings. Once its code is known it needs nothing else.
type codedString struct {
	partial  *coding.Partial
	verifier *coding.Verifier
	code     *coding.Code
}

func newCoded(h *block.SignedHeader, id block.ID) *coded {
	c := &coded{header: *h, id: id}
	c.strings[0] = begun(h.ListGeometry(), h.ShortHash)
	c.strings[1] = begun(h.BodyGeometry(), h.ShardRoot)
	return c
}

func begun(g coding.Geometry, root block.ID) codedString {
	return codedString{partial: coding.NewPartial(g), verifier: coding.NewVerifier(g, root)}
}

// wholeCoded is a block of which all is here.
func wholeCoded(b *block.Block) *coded {
	c := &coded{header: b.SignedHeader, id: b.ID()}
	code := b.Code()
	c.strings = [2]codedString{{code: code.List}, {code: code.Body}}
	return c
}

func index(body bool) int {
	if body {
		return 1
	}
	return 0
}

// take checks shards that came, and keeps what of them is new, in what it returns; nil: there is
// nothing to keep it in. Those that are here already are not looked at.
func (c *coded) take(m *message.Shards) (*coding.Partial, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	g := c.header.ListGeometry()
	if m.Body {
		g = c.header.BodyGeometry()
	}
	if err := g.Check(m.Span); err != nil {
		return nil, err
	}
	s := &c.strings[index(m.Body)]
	if s.partial == nil { // it is whole
		return nil, nil
	}
	first, n := m.Span.First*g.Leaf, m.Span.Leaves*g.Leaf
	news := false
	for i := first; i < first+n && !news; i++ {
		news = !s.partial.Proven(i)
	}
	if !news {
		return s.partial, nil
	}
	if err := s.verifier.Verify(m.Span, m.Data, m.Proof); err != nil {
		return nil, err
	}
	s.partial.Put(first, m.Data)
	return s.partial, nil
}

// holds says whether what was kept in p is here: nobody has used it up, in vain, since.
func (c *coded) holds(body bool, p *coding.Partial) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strings[index(body)].partial == p || c.strings[index(body)].code != nil
}

// attach completes shards that are sent, and says whether they are here.
func (c *coded) attach(m *message.Shards) bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	s := &c.strings[index(m.Body)]
	switch {
	case s.code != nil:
		m.Data, m.Proof = s.code.Shards(m.Span)
	case s.verifier == nil:
		return false
	default:
		m.Data, m.Proof = s.partial.Bytes(m.Span), s.verifier.Proof(m.Span)
	}
	m.Proof = m.Proof[:min(m.Hashes, len(m.Proof))]
	return true
}

// rebuild makes the code of a string of which enough is here, and says whether it is the one
// under the header's root. What was here of it is used up if not.
func (c *coded) rebuild(body bool) (code *coding.Code, right, pooled bool, err error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	s, root := &c.strings[index(body)], c.header.ShortHash
	if body {
		root, pooled = c.header.ShardRoot, c.filled
	}
	if s.code != nil {
		return s.code, true, pooled, nil
	}
	if s.partial == nil {
		return nil, false, pooled, errLetGo
	}
	if code, err = s.partial.Rebuild(); err != nil {
		return nil, false, pooled, err
	}
	if right = block.ID(code.Root()) == root; right {
		*s = codedString{code: code}
	} else {
		*s = begun(code.Geometry, root)
		c.filled = false
	}
	return code, right, pooled, nil
}

// errLetGo says that the bytes of a block are not here any more: the ledger has it.
var errLetGo = errors.New("the block's bytes were let go of")

// fill puts transactions that the pool has into the body, and returns how many it lacks and
// which symbols are here.
func (c *coded) fill(list block.List, matched []*block.Tx) (lacks int, held func(symbol int) bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	p, at := c.strings[1].partial, list.Offsets(&c.header.Header)
	if p == nil { // it came otherwise
		return 0, func(int) bool { return true }
	}
	g := p.Geometry()
	here := make([]bool, g.Data)
	for i := range here {
		here[i] = true
	}
	for i, t := range matched {
		if t != nil && t.Size() == list.Sizes[i] {
			p.Fill(at[i], t.Bytes())
			c.filled = true
			continue
		}
		lacks++
		for s := at[i] / g.Symbol; s*g.Symbol < at[i]+list.Sizes[i]; s++ {
			here[s] = false
		}
	}
	for i, h := range here {
		if h {
			p.Have(i, 1)
		}
	}
	return lacks, func(symbol int) bool { return here[symbol] }
}

// drop lets go of the bytes: the ledger has them. restore makes them of the block again.
func (c *coded) drop() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.strings = [2]codedString{}
}

func (c *coded) restore(l interface{ Recent(uint64) *block.Block }) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.strings[1].code != nil || c.strings[1].partial != nil {
		return
	}
	if b := l.Recent(c.header.Height); b != nil && b.ID() == c.id {
		code := b.Code()
		c.strings = [2]codedString{{code: code.List}, {code: code.Body}}
	}
}

func (c *coded) dropped() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.strings[1].code == nil && c.strings[1].partial == nil
}

// codesKept is how many blocks in the ledger have their codes in memory: those of whom a
// neighbour may be a moment behind, and what was asked for last.
const codesKept = 2

// codes are the coded blocks whose shards may be asked for, or come.
type codes struct {
	mu    sync.Mutex
	known map[uint64]*coded // guarded by mu; by reference
	kept  []*coded          // guarded by mu; of the ledger's, those with bytes, the latest last
}

// keep notes that the ledger has a block whose bytes are here, and lets go of an older one's.
func (s *codes) keep(c *coded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.kept = append(slices.DeleteFunc(s.kept, func(x *coded) bool { return x == c }), c)
	for len(s.kept) > codesKept {
		s.kept[0].drop()
		s.kept = s.kept[1:]
	}
}

func (s *codes) add(c *coded) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.known[message.Ref(c.id)] = c
}

func (s *codes) remove(id block.ID) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if c := s.known[message.Ref(id)]; c != nil && c.id == id {
		delete(s.known, message.Ref(id))
		s.kept = slices.DeleteFunc(s.kept, func(x *coded) bool { return x == c })
	}
}

// size returns how many bytes the shards have of the blocks that may still lack some.
func (s *codes) size() (bytes int) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, c := range s.known {
		if !slices.Contains(s.kept, c) && !c.dropped() {
			g := c.header.BodyGeometry()
			bytes += 2 * g.Symbols() * g.Symbol
		}
	}
	return bytes
}

func (s *codes) get(ref uint64) *coded {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.known[ref]
}

// onShards checks shards, if their block is known.
func (d *Driver) onShards(from wire.PeerID, m *message.Shards) error {
	c := d.codes.get(m.Ref)
	// What a neighbour passes on of a block that was known, or here, before it came is none of
	// its faults, as what is not known yet is none.
	if m.Bytes > 0 && (c == nil || !d.credits.spend(from, m.Bytes)) && !d.credits.early(from, m.Bytes) {
		return errUnasked
	}
	switch {
	case m.Bytes == 0:
		d.toCore(from, m)
		return nil
	case c == nil: // unless it is known by the time the loop hears of it, nothing can be said
		d.post(func(now time.Time) {
			if d.codes.get(m.Ref) != nil {
				d.recheck(now, effect.Recheck{From: from, Msg: m})
				return
			}
			d.core.Receive(now, from, m, nil)
		})
		return nil
	}
	kept, err := c.take(m)
	switch {
	case errors.Is(err, coding.ErrShort): // what it follows did not come: nobody's fault
		return nil
	case err != nil:
		return fmt.Errorf("shards of the block at height %d: %w", c.header.Height, err)
	}
	d.post(func(now time.Time) {
		if d.codes.get(m.Ref) == c && c.holds(m.Body, kept) {
			d.core.Receive(now, from, m, nil)
			return
		}
		d.recheck(now, effect.Recheck{From: from, Msg: m}) // the block was forgotten, or begun anew
	})
	return nil
}

// postOf posts what concerns a coded block, for as long as it is the one that is known.
func (d *Driver) postOf(c *coded, f event) {
	d.post(func(now time.Time) {
		if d.codes.get(message.Ref(c.id)) == c {
			f(now)
		}
	})
}

// onAsk hands a question to the core, and first gets the code of a block from the ledger again
// if need be.
func (d *Driver) onAsk(from wire.PeerID, m *message.Ask) {
	if c := d.codes.get(m.Ref); c != nil && c.dropped() {
		d.stored.wait(from, storedGap)
		c.restore(d.cfg.Ledger)
		d.codes.keep(c)
	}
	d.toCore(from, m)
}

// recheck looks at shards that came before their block was known.
func (d *Driver) recheck(now time.Time, x effect.Recheck) {
	c := d.codes.get(x.Msg.Ref)
	if c == nil {
		return
	}
	switch _, err := c.take(x.Msg); {
	case errors.Is(err, coding.ErrShort):
	case err != nil:
		d.charge(x.From, fmt.Errorf("shards of the block at height %d: %w", c.header.Height, err))
	default:
		d.core.Receive(now, x.From, x.Msg, nil)
	}
}

// attachShards completes shards that are sent, and says whether they are here.
func (d *Driver) attachShards(m *message.Shards) bool {
	if m.Bytes == 0 || m.Data != nil { // a refusal, or passed on as they came
		return true
	}
	c := d.codes.get(m.Ref)
	return c != nil && c.attach(m)
}

// rebuild rebuilds a list or a body, in a goroutine of its own: it takes some milliseconds
// for each MiB, and the signatures ten times that.
func (d *Driver) rebuild(x effect.Rebuild) {
	c := d.codes.get(message.Ref(x.Block))
	if c == nil || c.id != x.Block {
		return
	}
	d.building.Add(1)
	go func() {
		defer d.building.Done()
		if x.Body {
			d.rebuildBody(c)
		} else {
			d.rebuildList(c)
		}
	}()
}

func (d *Driver) rebuildList(c *coded) {
	code, right, _, err := c.rebuild(false)
	switch {
	case errors.Is(err, errLetGo):
		return
	case err != nil:
		panic(fmt.Sprintf("dissemination: the core has counted wrongly: the list at height %d: %v", c.header.Height, err))
	}
	if !right {
		d.post(func(now time.Time) { d.noCode(now, c) })
		return
	}
	list, err := c.header.ReadList(code.Bytes())
	if err != nil {
		d.post(func(now time.Time) {
			d.core.Rejected(now, c.id)
			d.malformed(&c.header, code.Bytes(), false, err)
		})
		return
	}
	matched := d.cfg.Pool.Match(c.header.ShortKey(), list.Shorts)
	lacks, held := c.fill(list, matched)
	d.postOf(c, func(now time.Time) { d.core.Read(now, c.id, lacks, held) })
}

func (d *Driver) rebuildBody(c *coded) {
	code, right, pooled, err := c.rebuild(true)
	switch {
	case errors.Is(err, errLetGo):
		return
	case err != nil:
		panic(fmt.Sprintf("dissemination: the core has counted wrongly: the body at height %d: %v", c.header.Height, err))
	case !right && pooled: // short IDs took something for what it is not
		d.postOf(c, func(now time.Time) { d.core.Mismatched(now, c.id) })
		return
	case !right:
		d.post(func(now time.Time) { d.noCode(now, c) })
		return
	}
	txs, err := c.header.ReadLaid(code.Bytes())
	var b *block.Block
	if err == nil {
		b = block.NewFrom(c.header, txs, code)
		err = b.Check(d.network, d.limits)
	}
	if err != nil {
		d.post(func(now time.Time) {
			d.core.Rejected(now, c.id)
			d.malformed(&c.header, code.Bytes(), true, err)
		})
		return
	}
	if err := d.verifyNew(txs); err != nil {
		d.post(func(now time.Time) {
			d.core.Rejected(now, c.id)
			d.invalid(b, err)
		})
		return
	}
	b = b.Clone() // a code has more bytes than a body
	d.postOf(c, func(now time.Time) {
		own := d.bodies.byID[c.id]
		if own == nil || own.stored() {
			return
		}
		own.txs = b.Txs
		d.bodies.whole[b.Height] = b
		d.core.Checked(now, c.id)
	})
}

// noCode is told of shards that are right under their root, and of no code.
func (d *Driver) noCode(now time.Time, c *coded) {
	d.core.Rejected(now, c.id)
	d.halt(c.header.Height, fmt.Errorf("the orderer signed block %s, whose shards are of no code", c.id))
}
