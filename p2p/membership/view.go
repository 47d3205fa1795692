package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"slices"
	"time"

	"grapevine/block"
)

// State is how a member is judged.
type State uint8

// The states.
const (
	Tentative State = iota // known by hearsay: nobody answered at its addresses yet
	Alive
	Suspect // silent for too long
	Dead    // silent for far too long
	Left    // it said so
)

// String returns the state's name, as the API shows it.
func (s State) String() string {
	return [...]string{"tentative", "alive", "suspect", "dead", "left"}[s]
}

// member is what is known of one owner. The own record is a member too.
type member struct {
	*Record
	entry    Entry
	entrySum Sum
	group    string // of its addresses
	state    State
	met      bool      // a connection has shown that it exists
	linked   bool      // there is a connection now
	drawn    bool      // chosen as a neighbour
	beat     beat      // the last heartbeat of the record's chain
	told     int       // how often that was passed on
	heard    time.Time // when it last gave a sign of life, an open connection among them
	word     time.Time // when its own word last came: a heartbeat, a newer record, a new connection
	since    time.Time // when it entered its state
	failures int       // dials in vain, while tentative
}

// shared says whether others are told of the member. What is long dead is not: it
// would come back from those who have not forgotten it yet.
func (m *member) shared(now time.Time) bool {
	return !m.buried() || now.Sub(m.since) < shareDead
}

// speaks notes that the member's own word has come.
func (m *member) speaks(now time.Time) { m.heard, m.word = now, now }

func (m *member) buried() bool { return m.state == Dead || m.state == Left }

// Sum is a checksum of a set of entries: the sum of their hashes, so that an entry
// can be put in and taken out, in any order.
type Sum struct{ a, b uint64 }

func (e Entry) sum() Sum {
	h := sha256.Sum256(appendEntry(make([]byte, 0, 80), e))
	return Sum{binary.BigEndian.Uint64(h[:]), binary.BigEndian.Uint64(h[8:])}
}

func (s Sum) plus(t Sum) Sum { return Sum{s.a + t.a, s.b + t.b} }

func (s Sum) bytes() []byte {
	return binary.BigEndian.AppendUint64(binary.BigEndian.AppendUint64(nil, s.a), s.b)
}

func sumOf(b []byte) Sum {
	return Sum{binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:])}
}

// view is the table of members. Its order is the only one that members are ever
// gone through in.
type view struct {
	byKey map[block.PublicKey]*member
	order []*member // by key, ascending
}

func (v *view) get(k block.PublicKey) *member { return v.byKey[k] }

func (v *view) place(k block.PublicKey) (int, bool) {
	return slices.BinarySearchFunc(v.order, k, func(m *member, k block.PublicKey) int {
		return bytes.Compare(m.Owner[:], k[:])
	})
}

func (v *view) add(m *member) {
	i, _ := v.place(m.Owner)
	v.order = slices.Insert(v.order, i, m)
	v.byKey[m.Owner] = m
}

func (v *view) remove(k block.PublicKey) {
	if i, ok := v.place(k); ok {
		v.order = slices.Delete(v.order, i, i+1)
		delete(v.byKey, k)
	}
}

// replace gives a member a newer record, with which its chain begins anew.
func (m *member) replace(r *Record) {
	m.Record = r
	m.entry = r.entry()
	m.entrySum = m.entry.sum()
	m.group = r.group()
	m.beat = beat{0, r.Anchor}
	m.told = 0
}

// sum is the checksum of what others are told of.
func (v *view) sum(now time.Time) (s Sum, count uint32) {
	for _, m := range v.order {
		if m.shared(now) {
			s = s.plus(m.entrySum)
			count++
		}
	}
	return s, count
}
