package membership

import (
	"crypto/sha256"
	"encoding/binary"
	"math/bits"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
)

// Config sets a core up. Self, Sign and Incarnation are required.
type Config struct {
	// Self is the own key.
	Self block.PublicKey
	// Sign signs a record's content with it.
	Sign func(content []byte) block.Signature
	// Incarnation is this start's: above that of any start before.
	Incarnation uint64
	// Info is what the own record says at first.
	Info Info
	// Bootstrap are peers that are known without having been heard of.
	Bootstrap []Contact
	// MaxMembers bounds the table; zero means the default, 16,384.
	MaxMembers int
	// Full is up to how many members, oneself included, all are neighbours. Above it
	// Active neighbours are drawn. Zero means the defaults.
	Full, Active int
}

// Contact is a peer and where to find it.
type Contact struct {
	Key   block.PublicKey
	Addrs []string
}

// The defaults of Config's fields of these names.
const (
	DefaultMaxMembers = 16 << 10
	DefaultFull       = 128
	DefaultActive     = 64
)

func (c Config) withDefaults() Config {
	if c.MaxMembers == 0 {
		c.MaxMembers = DefaultMaxMembers
	}
	if c.Full == 0 {
		c.Full = DefaultFull
	}
	if c.Active == 0 {
		c.Active = DefaultActive
	}
	return c
}

// The protocol's rhythm. What has no reason beside it is a guess.
const (
	roundEvery  = time.Second      // an exchange with a random neighbour, ± a tenth
	minBeat     = time.Second      // between one's own heartbeats, and more in
	beatsPerSec = 250              // large networks: so many a second in all of it
	minUpdate   = 5 * time.Second  // between two versions of the own record, so that
	updatesPer  = 50               // in all of the network there are so many a second
	rotateEvery = time.Minute      // one drawn neighbour is exchanged
	retryEvery  = 30 * time.Second // a dead member is tried: so partitions heal
	fullDigest  = 16               // one in so many exchanges goes on though the sums agree

	maxTentative   = 1024             // hearsay that is kept
	maxPerGroup    = 64               // of it per address group: a flood from one leaves room
	tentativeDials = 8                // of it that is dialled at a time
	tentativeTries = 3                // in vain, then it is forgotten,
	tentativeFor   = 10 * time.Minute // or after so long with no address to dial
	forgetFor      = 10 * time.Minute // and not taken up again for so long
	deadGrace      = 2 * time.Hour    // how long the dead and the gone are remembered,
	shareDead      = 10 * time.Minute // and how long others are told of them
	maxForgotten   = 4096             // owners in forgotten
)

// Effects, drained from a core by Effects and carried out in order.
type (
	// Send sends a message to a neighbour.
	Send struct {
		To      block.PublicKey
		Message Message
	}
	// Connect wants a connection to a peer, until Release. It may come again, with
	// other addresses.
	Connect struct{ Contact }
	// Release wants it no longer.
	Release struct{ Key block.PublicKey }
	// Persist stores an incarnation before anything after it is done.
	Persist struct{ Incarnation uint64 }
	// Blame charges a peer with a forgery, which no honest one passes on.
	Blame struct {
		Key    block.PublicKey
		Reason string
	}
)

// Effect is one of them.
//
//sumtype:decl
type Effect interface{ effect() }

func (Send) effect()    {}
func (Connect) effect() {}
func (Release) effect() {}
func (Persist) effect() {}
func (Blame) effect()   {}

// Stats counts what a core did.
type Stats struct {
	Rounds, Agreed, Digests, Deltas uint64 // exchanges begun and their messages
	RecordsIn, RecordsNew           uint64
	BeatsIn, BeatsNew               uint64
	Deaths, Returns                 uint64
	TableFull                       uint64 // records refused for want of room
}

// Core is the membership view of one peer. It is not safe for concurrent use,
// starts no goroutine, and learns the time only from its arguments.
type Core struct {
	cfg    Config
	secret [32]byte
	rng    *rand.Rand
	stats  Stats
	out    []Effect

	view  view
	self  *member
	chain []link // of the own record's version
	info  Info   // to be said in the next version
	dirty bool   // info differs from what the own record says
	left  bool   // Leave was called

	links      map[block.PublicKey]*exchange // peers with a connection
	wanted     map[block.PublicKey]bool      // Connect is in force
	bootstraps map[block.PublicKey]bool      // keys of Config.Bootstrap
	trial      block.PublicKey               // a member that was dead, and is tried; zero: none
	forgotten  map[block.PublicKey]grave     // owners that are not taken up for a while

	nextRound, nextBeat, nextUpdate, nextRotate, nextRetry time.Time
}

// exchange is what is going on with one neighbour.
type exchange struct {
	asked bool      // a Check of ours is unanswered
	wrong float64   // heartbeats it has passed on that fit no record, of late
	heard time.Time // when wrong was right
}

// grave keeps an owner's old records out.
type grave struct {
	incarnation uint64 // records of this one and earlier are refused
	until       time.Time
}

// New returns a core that knows itself and its bootstrap peers. All of its choices
// follow from the seed, which also makes the secrets of its heartbeats: it must be
// unpredictable where that matters.
func New(now time.Time, cfg Config, seed [32]byte) *Core {
	c := &Core{
		cfg:        cfg.withDefaults(),
		secret:     sha256.Sum256(append([]byte("secret"), seed[:]...)),
		rng:        rand.New(rand.NewChaCha8(seed)),
		info:       cfg.Info,
		view:       view{byKey: make(map[block.PublicKey]*member)},
		links:      make(map[block.PublicKey]*exchange),
		wanted:     make(map[block.PublicKey]bool),
		bootstraps: make(map[block.PublicKey]bool),
		forgotten:  make(map[block.PublicKey]grave),
	}
	c.self = &member{state: Alive, met: true, linked: true, heard: now, since: now}
	for _, b := range cfg.Bootstrap {
		c.bootstraps[b.Key] = true
	}
	c.writeOwn(now, cfg.Incarnation, 1)
	c.view.add(c.self)
	c.nextRound = now.Add(c.jitter(roundEvery))
	c.nextRotate = now.Add(rotateEvery)
	c.nextRetry = now.Add(retryEvery)
	c.choose(now)
	return c
}

// writeOwn makes and signs the own record.
func (c *Core) writeOwn(now time.Time, incarnation, version uint64) {
	var secret [48]byte
	copy(secret[:], c.secret[:])
	binary.BigEndian.PutUint64(secret[32:], incarnation)
	binary.BigEndian.PutUint64(secret[40:], version)
	c.chain = newChain(sha256.Sum256(secret[:]))
	r := &Record{
		Owner: c.cfg.Self, Incarnation: incarnation, Version: version, Left: c.left,
		Anchor: c.chain[0], Info: c.info,
	}
	r.Signature = c.cfg.Sign(r.Content())
	c.self.replace(r)
	c.dirty = false
	c.nextBeat = now.Add(c.beatInterval())
	c.nextUpdate = now.Add(max(minUpdate, time.Duration(c.size())*time.Second/updatesPer))
}

// Own returns the own record.
func (c *Core) Own() *Record { return c.self.Record }

// Restore takes in the records of members that are known from before, as if a
// connection had shown each to exist, so that the core need not get to know them. Those
// that it knows are left out, and those that there is no room for. At the next Tick,
// which is due at once, it chooses its neighbours among them.
func (c *Core) Restore(now time.Time, records []*Record) {
	for _, r := range records[:min(len(records), c.cfg.MaxMembers)] {
		if c.view.get(r.Owner) == nil && len(c.view.order) < c.cfg.MaxMembers {
			_, linked := c.links[r.Owner]
			m := &member{state: Alive, met: true, linked: linked, heard: now, word: now, since: now}
			m.replace(r)
			c.view.order = append(c.view.order, m)
			c.view.byKey[r.Owner] = m
		}
	}
	slices.SortFunc(c.view.order, func(a, b *member) int { return compareKeys(a.Owner, b.Owner) })
	c.nextRound = now
}

// Update tells what the own record is to say. It is said soon, not at once: a
// record for every block would be more traffic than the blocks. The info must pass
// Record.Check.
func (c *Core) Update(now time.Time, info Info) {
	if !info.equal(c.info) {
		c.info, c.dirty = info, true
		c.updateOwn(now)
	}
}

func (i Info) equal(o Info) bool {
	return slices.Equal(i.Addrs, o.Addrs) && i.Orderer == o.Orderer && i.Base == o.Base && i.Height == o.Height &&
		i.Tip == o.Tip && i.Pool == o.Pool && i.Software == o.Software && i.API == o.API
}

func (c *Core) updateOwn(now time.Time) {
	if c.dirty && !c.left && !now.Before(c.nextUpdate) {
		c.writeOwn(now, c.self.Incarnation, c.self.Version+1)
	}
}

// Leave says to all neighbours that this peer leaves. It says nothing afterwards.
func (c *Core) Leave(now time.Time) {
	if c.left {
		return
	}
	c.left = true
	c.writeOwn(now, c.self.Incarnation, c.self.Version+1)
	for _, k := range c.linked() {
		c.send(k, &Delta{Records: []*Record{c.self.Record}})
	}
}

// Tick does what is due.
func (c *Core) Tick(now time.Time) {
	if c.left {
		return
	}
	c.updateOwn(now)
	if !now.Before(c.nextBeat) {
		c.beatOwn(now)
	}
	if !now.Before(c.nextRound) {
		c.nextRound = now.Add(c.jitter(roundEvery))
		c.judge(now)
		c.choose(now)
		c.beginRound(now)
	}
}

// Deadline says when Tick is next due; zero means never.
func (c *Core) Deadline() time.Time {
	if c.left {
		return time.Time{}
	}
	next := c.nextRound
	if c.nextBeat.Before(next) {
		next = c.nextBeat
	}
	return next
}

// Effects returns what is to be done, once.
func (c *Core) Effects() []Effect {
	out := c.out
	c.out = nil
	return out
}

// Stats returns the counters.
func (c *Core) Stats() Stats { return c.stats }

// Member is what a core knows of one owner.
type Member struct {
	Record
	State  State
	Linked bool      // there is a connection
	Heard  time.Time // the last sign of life
	Word   time.Time // when its own word last came; zero: never
	Due    time.Time // when the next is overdue; zero: none is expected
}

// Members returns all that is known, oneself included, in order of the keys.
func (c *Core) Members() []Member {
	out := make([]Member, 0, len(c.view.order))
	for _, m := range c.view.order {
		out = append(out, c.member(m))
	}
	return out
}

// Member returns what is known of one owner, if anything is.
func (c *Core) Member(k block.PublicKey) (Member, bool) {
	m := c.view.get(k)
	if m == nil {
		return Member{}, false
	}
	return c.member(m), true
}

func (c *Core) member(m *member) Member {
	out := Member{*m.Record, m.judged(), m.linked, m.heard, m.word, time.Time{}}
	if m != c.self && !m.buried() && !m.word.IsZero() {
		out.Due = m.word.Add(c.patience())
	}
	return out
}

// State says how a member is judged, if it is known.
func (c *Core) State(k block.PublicKey) (State, bool) {
	m := c.view.get(k)
	if m == nil {
		return 0, false
	}
	return m.judged(), true
}

// judged is the state that others see: who was never met is tentative.
func (m *member) judged() State {
	if !m.met && !m.buried() {
		return Tentative
	}
	return m.state
}

// Size returns how many members live, oneself included. Hearsay does not count.
func (c *Core) Size() int { return c.size() }

func (c *Core) size() int {
	n := 0
	for _, m := range c.view.order {
		if m.met && !m.buried() {
			n++
		}
	}
	return n
}

// rounds is how many exchanges news needs to reach everybody, about.
func (c *Core) rounds() int { return bits.Len(uint(c.size())) + 2 }

func (c *Core) do(e Effect) { c.out = append(c.out, e) }

func (c *Core) send(to block.PublicKey, m Message) { c.do(Send{to, m}) }

// jitter returns about d: up to a tenth more or less.
func (c *Core) jitter(d time.Duration) time.Duration {
	return d - d/10 + time.Duration(c.rng.Int64N(int64(d/5)))
}

// linked returns the peers with a connection, in order.
func (c *Core) linked() []block.PublicKey {
	out := make([]block.PublicKey, 0, len(c.links))
	for k := range c.links {
		out = append(out, k)
	}
	slices.SortFunc(out, compareKeys)
	return out
}
