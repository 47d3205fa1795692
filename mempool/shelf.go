package mempool

import (
	"container/heap"
	"container/list"
	"fmt"
	"iter"
	"time"

	"grapevine/block"
)

// shelf is the pool's state, without the lock, the journal and the ledger around
// it: which transactions there are, which of them are on offer, and in what order.
type shelf struct {
	cfg    Config // complete
	height uint64 // of the last block that the pool was told of

	entries map[block.ID]*entry // all, those whose journal write is under way too
	bytes   int                 // of all entries, canonical bytes

	offers  []offer   // those on offer, densely and in no order, for hashing every ID
	offered int       // bytes on offer
	arrival list.List // of *entry on offer, in order of arrival

	senders  map[block.PublicKey]*sender // those with an entry
	sources  map[string]*source          // those with an entry, or with a sender on offer
	ring     list.List                   // of *source with something on offer, next in turn first
	expiries expiryHeap                  // those on offer, the lowest expiry on top
}

// offer repeats the ID beside the entry, so that hashing all IDs reads memory in
// one run: 100,000 entries behind pointers cost a cache miss each.
type offer struct {
	id block.ID
	*entry
}

// entry is one transaction of the pool.
type entry struct {
	tx     *block.Tx
	at     time.Time // when it came to this node
	sender *sender
	source *source // who brought it

	local   bool     // acknowledged to a submitter, journalled if there is a journal
	segment *segment // where it is journalled; nil: nowhere
	batch   *batch   // the journal write under way; nil: none
	left    Verdict  // why it left the pool, when it did during that write

	offer   int           // index in shelf.offers; -1: not on offer
	expiry  int           // index in shelf.expiries
	arrival *list.Element // in shelf.arrival
	own     *list.Element // in sender.own
}

// sender is a key with entries in the pool.
type sender struct {
	key     block.PublicKey
	entries int           // all of them; never 0
	own     list.List     // of *entry on offer, in order of arrival
	source  *source       // who brought the first of those on offer
	ring    *list.Element // in source.ring; nil: nothing on offer
}

// source is who brings transactions: a neighbour, or "" for clients of this node. Its
// senders are fair among themselves, and the sources among each other, so that a crowd of
// keys gets no more of a block than the one neighbour it comes by.
type source struct {
	name    string
	entries int           // brought by it, and still here
	bytes   int           // of these
	ring    list.List     // of *sender with something on offer, next in turn first
	el      *list.Element // in shelf.ring; nil: nothing on offer
}

func newShelf(cfg Config) *shelf {
	return &shelf{
		cfg:     cfg,
		height:  cfg.Height,
		entries: make(map[block.ID]*entry),
		senders: make(map[block.PublicKey]*sender),
		sources: make(map[string]*source),
	}
}

// all are the entries on offer, in order of arrival.
func (s *shelf) all() iter.Seq[*entry] {
	return func(yield func(*entry) bool) {
		for el := s.arrival.Front(); el != nil && yield(el.Value.(*entry)); el = el.Next() {
		}
	}
}

// admit refuses a transaction that there is no room for, or that could not stand
// in the next block.
func (s *shelf) admit(t *block.Tx, from string) error {
	switch next := s.height + 1; {
	case t.Expiry < next:
		return expired(t, next)
	case t.Expiry-next > s.cfg.Limits.MaxLifetime:
		return fmt.Errorf("transaction %s: %w: expiry height %d is %d ahead of %d, the network's limit is %d",
			t.ID().Short(), ErrEarly, t.Expiry, t.Expiry-next, next, s.cfg.Limits.MaxLifetime)
	case len(s.entries) >= s.cfg.MaxTxs:
		return fmt.Errorf("transaction %s: %w: %d transactions wait, the limit is %d; try again after the next blocks",
			t.ID().Short(), ErrFull, len(s.entries), s.cfg.MaxTxs)
	case s.bytes+t.Size() > s.cfg.MaxBytes:
		return fmt.Errorf("transaction %s: %w: %d bytes wait, with its %d the limit of %d is passed; try again after the next blocks",
			t.ID().Short(), ErrFull, s.bytes, t.Size(), s.cfg.MaxBytes)
	}
	if s.sated(from, t.Size()) {
		of := s.sources[from]
		return fmt.Errorf("transaction %s: %w for the neighbour that brings it: %d transactions of %d bytes that it brought wait, with %d others who bring some",
			t.ID().Short(), ErrFull, of.entries, of.bytes, len(s.sources)-1)
	}
	if of := s.senders[t.Sender]; of != nil && of.entries >= s.cfg.MaxPerSender {
		return fmt.Errorf("transaction %s: %w: %d transactions of %s wait, the limit is %d; try again after the next blocks",
			t.ID().Short(), ErrSenderFull, of.entries, t.Sender, s.cfg.MaxPerSender)
	}
	return nil
}

// sated says whether a neighbour has brought its share: as much as there is room left (a
// dynamic threshold: Choudhury and Hahne, "Dynamic Queue Length Thresholds for
// Shared-Memory Packet Switches", 1998). So n of them that bring all they can come to share
// the room with one more, who may come, and with this node's clients, who have no share.
func (s *shelf) sated(from string, size int) bool {
	of := s.sources[from]
	return of != nil && from != "" && (of.entries >= s.cfg.MaxTxs-len(s.entries) || of.bytes+size > s.cfg.MaxBytes-s.bytes)
}

func expired(t *block.Tx, next uint64) error {
	return fmt.Errorf("transaction %s: %w: expiry height %d is below %d", t.ID().Short(), block.ErrExpired, t.Expiry, next)
}

// hold takes up room for a transaction that is not in the pool, without offering it. Its
// bytes are its own: one of many that came in one message is cloned first.
func (s *shelf) hold(t *block.Tx, at time.Time, from string) *entry {
	of := s.senders[t.Sender]
	if of == nil {
		of = &sender{key: t.Sender}
		s.senders[t.Sender] = of
	}
	of.entries++
	by := s.sources[from]
	if by == nil {
		by = &source{name: from}
		s.sources[from] = by
	}
	by.entries++
	by.bytes += t.Size()
	e := &entry{tx: t, at: at, sender: of, source: by, offer: -1}
	s.entries[t.ID()] = e
	s.bytes += t.Size()
	return e
}

// show puts a held entry on offer.
func (s *shelf) show(e *entry) {
	e.offer = len(s.offers)
	s.offers = append(s.offers, offer{e.tx.ID(), e})
	s.offered += e.tx.Size()
	e.arrival = s.arrival.PushBack(e)
	e.own = e.sender.own.PushBack(e)
	if e.sender.ring == nil {
		of := e.source
		e.sender.source, e.sender.ring = of, of.ring.PushBack(e.sender)
		if of.el == nil {
			of.el = s.ring.PushBack(of)
		}
	}
	heap.Push(&s.expiries, e)
}

// drop removes an entry, on offer or not.
func (s *shelf) drop(e *entry) {
	delete(s.entries, e.tx.ID())
	s.bytes -= e.tx.Size()
	if e.sender.entries--; e.sender.entries == 0 {
		delete(s.senders, e.sender.key)
	}
	e.source.entries--
	e.source.bytes -= e.tx.Size()
	defer s.forget(e.source)
	if e.offer < 0 {
		return
	}
	last := len(s.offers) - 1
	s.offers[e.offer] = s.offers[last]
	s.offers[e.offer].offer = e.offer
	s.offers[last] = offer{}
	s.offers = s.offers[:last]
	e.offer = -1
	s.offered -= e.tx.Size()
	s.arrival.Remove(e.arrival)
	e.sender.own.Remove(e.own)
	heap.Remove(&s.expiries, e.expiry)
	if e.sender.own.Len() > 0 {
		return
	}
	of := e.sender.source
	of.ring.Remove(e.sender.ring)
	e.sender.source, e.sender.ring = nil, nil
	if of.ring.Len() == 0 {
		s.ring.Remove(of.el)
		of.el = nil
	}
	s.forget(of)
}

// forget forgets a source that has nothing here any more.
func (s *shelf) forget(of *source) {
	if of.entries == 0 && of.ring.Len() == 0 {
		delete(s.sources, of.name)
	}
}

// yield sends a sender to the end of its source's ring, and that to the end of its.
func (s *shelf) yield(of *sender) {
	if of.ring != nil {
		of.source.ring.MoveToBack(of.ring)
		s.ring.MoveToBack(of.source.el)
	}
}

// get returns a transaction's entry if it is on offer.
func (s *shelf) get(id block.ID) (*entry, bool) {
	e := s.entries[id]
	return e, e != nil && e.offer >= 0
}

// expire removes one entry that may stand in no block above the shelf's height,
// and returns it; nil when there is none left.
func (s *shelf) expire() *entry {
	if len(s.expiries) == 0 || s.expiries[0].tx.Expiry > s.height {
		return nil
	}
	e := s.expiries[0]
	s.drop(e)
	return e
}

// expiryHeap is a container/heap of entries by expiry.
type expiryHeap []*entry

func (h expiryHeap) Len() int           { return len(h) }
func (h expiryHeap) Less(i, j int) bool { return h[i].tx.Expiry < h[j].tx.Expiry }
func (h expiryHeap) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].expiry, h[j].expiry = i, j
}

// Push is container/heap's.
func (h *expiryHeap) Push(x any) {
	e := x.(*entry)
	e.expiry = len(*h)
	*h = append(*h, e)
}

// Pop is container/heap's.
func (h *expiryHeap) Pop() any {
	last := len(*h) - 1
	e := (*h)[last]
	(*h)[last] = nil
	*h = (*h)[:last]
	return e
}
