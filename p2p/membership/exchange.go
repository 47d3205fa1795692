package membership

import (
	"bytes"
	"math"
	"slices"
	"time"

	"grapevine/block"
)

func compareKeys(a, b block.PublicKey) int { return bytes.Compare(a[:], b[:]) }

// PeerUp tells of a connection to a peer, from whichever side: it exists.
func (c *Core) PeerUp(now time.Time, k block.PublicKey) {
	if c.left || k == c.cfg.Self {
		return
	}
	c.links[k] = &exchange{}
	m := c.view.get(k)
	news := m == nil || !m.met || m.state != Alive
	if m != nil {
		c.meet(now, m)
	}
	if compareKeys(c.cfg.Self, k) < 0 { // one of the two begins
		c.check(now, k)
	}
	if news { // else there is one neighbour more, which has time until the next round
		c.choose(now)
	}
}

// PeerDown tells that the last connection to a peer is gone.
func (c *Core) PeerDown(now time.Time, k block.PublicKey) {
	delete(c.links, k)
	if m := c.view.get(k); m != nil {
		m.linked = false
		m.heard = now
	}
	if !c.left {
		c.choose(now)
	}
}

// beginRound checks with a random neighbour.
func (c *Core) beginRound(now time.Time) {
	if linked := c.linked(); len(linked) > 0 {
		c.check(now, linked[c.rng.IntN(len(linked))])
	}
}

func (c *Core) check(now time.Time, k block.PublicKey) {
	c.stats.Rounds++
	c.links[k].asked = true
	sum, count := c.view.sum(now)
	c.send(k, &Check{Sum: sum, Count: count, Beats: c.tellBeats(k)})
}

// Receive tells of a message. The records' signatures are right.
func (c *Core) Receive(now time.Time, from block.PublicKey, m Message) {
	x := c.links[from]
	if x == nil || c.left {
		return // it came before the connection, or after its end
	}
	switch m := m.(type) {
	case *Check:
		c.hearBeats(now, from, x, m.Beats)
		c.answer(now, from, x, m)
	case *Digest:
		c.hearBeats(now, from, x, m.Beats)
		if x.asked {
			x.asked = false
			c.compare(now, from, m)
		}
	case *Delta:
		c.apply(now, from, m)
	}
}

// answer ends an exchange in which the sums agree, or goes on with a digest. Now and
// then it goes on anyway: sums can be made to agree by somebody with many keys.
func (c *Core) answer(now time.Time, from block.PublicKey, x *exchange, m *Check) {
	if m.Reply {
		x.asked = false
		return
	}
	sum, count := c.view.sum(now)
	if sum == m.Sum && count == m.Count && c.rng.IntN(fullDigest) > 0 {
		c.stats.Agreed++
		c.send(from, &Check{Sum: sum, Count: count, Beats: c.tellBeats(from), Reply: true})
		return
	}
	c.stats.Digests++
	d := c.digest(now)
	d.Beats = c.tellBeats(from)
	c.send(from, d)
}

// digest lists what is known, from a random place on if it does not all fit.
func (c *Core) digest(now time.Time) *Digest {
	d := &Digest{}
	var all []Entry
	size := 0
	for _, m := range c.view.order {
		if m.shared(now) {
			all = append(all, m.entry)
			size += m.entry.size()
		}
	}
	if size <= maxEntries {
		d.High = highest
		d.Entries = all
		return d
	}
	first := c.rng.IntN(len(all))
	size = 0
	for i := range all {
		e := all[(first+i)%len(all)]
		if size += e.size(); size > maxEntries {
			break
		}
		d.Entries = append(d.Entries, e)
	}
	d.Low, d.High = d.Entries[0].Owner, d.Entries[len(d.Entries)-1].Owner
	return d
}

var highest = func() (k block.PublicKey) {
	for i := range k {
		k[i] = 0xff
	}
	return k
}()

// missing is a record that one side lacks, and how far behind it is.
type missing struct {
	owner  block.PublicKey
	record *Record // when it is the other side that lacks it
	gap    uint64
}

// compare answers a digest with what its sender lacks, and asks for what we lack.
func (c *Core) compare(now time.Time, from block.PublicKey, d *Digest) {
	theirs := make(map[block.PublicKey]Entry, len(d.Entries))
	for _, e := range d.Entries {
		theirs[e.Owner] = e
	}
	var give, want []missing
	for _, m := range c.view.order {
		e, known := theirs[m.Owner]
		if within(m.Owner, d.Low, d.High) && m.shared(now) && m.entry.newer(e) {
			give = append(give, missing{m.Owner, m.Record, gap(m.entry, e, known)})
		}
	}
	for _, e := range d.Entries {
		var ours Entry
		m := c.view.get(e.Owner)
		if m != nil {
			ours = m.entry
		}
		if e.newer(ours) && c.takes(now, from, e) {
			want = append(want, missing{e.Owner, nil, gap(e, ours, m != nil)})
		}
	}
	delta := &Delta{Records: c.within(give, maxRecords)}
	c.deepestFirst(want)
	for _, w := range want[:min(len(want), maxWant/32)] {
		delta.Want = append(delta.Want, w.owner)
	}
	if len(delta.Records)+len(delta.Want) > 0 {
		c.stats.Deltas++
		c.send(from, delta)
	}
}

// gap says by how many versions b is behind a; who does not know the owner, or
// knows an earlier incarnation, is behind by more than any version.
func gap(a, b Entry, known bool) uint64 {
	if !known || a.Incarnation != b.Incarnation {
		return math.MaxUint64
	}
	return a.Version - b.Version
}

// deepestFirst is the order of scuttle-depth: those furthest behind come first, so
// that what does not fit is what matters least. Equals are in random order, so that
// nobody starves.
func (c *Core) deepestFirst(list []missing) {
	c.rng.Shuffle(len(list), func(i, j int) { list[i], list[j] = list[j], list[i] })
	slices.SortStableFunc(list, func(a, b missing) int {
		switch {
		case a.gap > b.gap:
			return -1
		case a.gap < b.gap:
			return 1
		}
		return 0
	})
}

// within returns the records that fit into so many bytes, deepest first.
func (c *Core) within(list []missing, budget int) []*Record {
	c.deepestFirst(list)
	var out []*Record
	for _, m := range list {
		if budget -= len(appendRecords(nil, []*Record{m.record})); budget < 0 {
			break
		}
		out = append(out, m.record)
	}
	return out
}

// apply takes records in, and answers questions with records alone, so that no
// answer asks again.
func (c *Core) apply(now time.Time, from block.PublicKey, d *Delta) {
	for _, r := range d.Records {
		c.stats.RecordsIn++
		c.take(now, from, r)
	}
	var give []missing
	for _, k := range d.Want {
		if m := c.view.get(k); m != nil && m.shared(now) {
			give = append(give, missing{k, m.Record, 0})
		}
	}
	if len(give) > 0 {
		c.stats.Deltas++
		c.send(from, &Delta{Records: c.within(give, maxRecords)})
	}
	if len(d.Records) > 0 {
		c.choose(now)
	}
}

// takes says whether a record is wanted at all: not by hearsay of an owner that was
// given up.
func (c *Core) takes(now time.Time, from block.PublicKey, e Entry) bool {
	g, given := c.forgotten[e.Owner]
	return !given || from == e.Owner || e.Incarnation > g.incarnation || !now.Before(g.until)
}

// take puts a record into the view if it is news.
func (c *Core) take(now time.Time, from block.PublicKey, r *Record) {
	if r.Owner == c.cfg.Self {
		c.ownCameBack(now, r)
		return
	}
	m := c.view.get(r.Owner)
	moved := false
	switch {
	case m != nil && !r.entry().newer(m.entry):
		return
	case m != nil:
		moved = !slices.Equal(m.Addrs, r.Addrs)
		m.replace(r)
		m.speaks(now)
	default:
		moved = true // from where the operator said
		if !c.takes(now, from, Entry{Owner: r.Owner, Incarnation: r.Incarnation}) {
			return
		}
		if m = c.admit(now, r); m == nil {
			return
		}
	}
	c.stats.RecordsNew++
	m.heard = now
	switch {
	case r.Left:
		c.enter(now, m, Left)
	case m.buried() || m.state == Suspect:
		c.stats.Returns++
		c.enter(now, m, Alive)
	}
	if moved && c.wanted[r.Owner] {
		c.do(Connect{c.contact(m)})
	}
}

// admit makes room for a new owner, or returns nil when there is none.
func (c *Core) admit(now time.Time, r *Record) *member {
	_, linked := c.links[r.Owner]
	if !linked {
		hearsay, group := 0, 0
		for _, m := range c.view.order {
			if !m.met {
				hearsay++
				if m.group == r.group() {
					group++
				}
			}
		}
		if hearsay >= maxTentative || group >= maxPerGroup {
			c.stats.TableFull++
			return nil
		}
	}
	if len(c.view.order) >= c.cfg.MaxMembers && !c.dropOldest() {
		c.stats.TableFull++
		return nil
	}
	m := &member{state: Alive, heard: now, since: now}
	m.replace(r)
	c.view.add(m)
	delete(c.forgotten, r.Owner)
	if linked {
		c.meet(now, m)
	}
	return m
}

// dropOldest removes the member that has been dead or gone for longest.
func (c *Core) dropOldest() bool {
	var oldest *member
	for _, m := range c.view.order {
		if m.buried() && !m.linked && (oldest == nil || m.since.Before(oldest.since)) {
			oldest = m
		}
	}
	if oldest == nil {
		return false
	}
	c.view.remove(oldest.Owner)
	return true
}

// ownCameBack raises the incarnation above a record of one's own that this start
// did not write: the last start's, whose incarnation was lost, or a twin's.
func (c *Core) ownCameBack(now time.Time, r *Record) {
	if it := r.entry(); c.self.entry.after(it) || it == c.self.entry {
		return
	}
	if r.Incarnation == math.MaxUint64 {
		return // there is nothing above it; nobody but a twin can have made it
	}
	c.do(Persist{r.Incarnation + 1})
	c.writeOwn(now, r.Incarnation+1, 1)
}
