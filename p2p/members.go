package p2p

import (
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	ma "github.com/multiformats/go-multiaddr"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/durable"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// Member is what a host knows of a peer of its network.
type Member struct {
	Peer      wire.PeerID
	State     string // tentative, alive, suspect, dead or left
	Neighbour bool
	Addrs     []string // without /p2p/<id>
	Height    uint64
	Base      uint64
	Pool      uint64
	Orderer   bool
	Software  string
	API       string
	Heard     time.Time // the last sign of life, an open connection among them
	Word      time.Time // when its own word last came, directly or passed on; zero: never
	Due       time.Time // when the next is overdue; zero: none is expected
	// Ahead is how far a neighbour's clock is ahead of this machine's, by its own account;
	// less than nothing: it is behind.
	Ahead time.Duration
	Named bool // a neighbour that this side has chosen, or its operator or genesis has
}

// Silent returns how long a member that should live has not been heard of, or zero if that
// is no longer than it may take.
func (m Member) Silent(now time.Time) time.Duration {
	if m.Due.IsZero() || now.Before(m.Due) {
		return 0
	}
	return now.Sub(m.Word)
}

// Members returns all peers that the host knows of, itself included, in order of
// their keys. A host that does not run knows none.
func (h *Host) Members() []Member {
	return ask(h, func(answer chan<- []Member) any { return membersAsked{answer} })
}

// Member returns what the host knows of one peer; of one that it does not know, or while it
// does not run, the zero value.
func (h *Host) Member(p wire.PeerID) Member {
	return ask(h, func(answer chan<- Member) any { return memberAsked{p, answer} })
}

// Census is what the size of a network's views does not make dear to ask.
type Census struct {
	Alive   int                    // members that live, this host included
	Heights map[wire.PeerID]uint64 // of the neighbours' chains
}

// Census counts the members. A host that does not run knows none.
func (h *Host) Census() Census {
	return ask(h, func(answer chan<- Census) any { return censusAsked{answer} })
}

// ask puts a question to the loop and waits for its answer. A host that does not run has
// none.
func ask[T any](h *Host, question func(chan<- T) any) (none T) {
	h.mu.RLock()
	runs := h.handler != nil
	h.mu.RUnlock()
	if !runs {
		return none
	}
	answer := make(chan T, 1)
	h.post(question(answer))
	select {
	case a := <-answer:
		return a
	case <-h.done:
		return none
	}
}

func (h *Host) member(now time.Time, p wire.PeerID) Member {
	id, err := peer.Decode(string(p))
	if err != nil {
		return Member{}
	}
	key, err := keyOf(id)
	if err != nil {
		return Member{}
	}
	m, ok := h.peers.Member(key)
	if !ok {
		return Member{}
	}
	h.mu.RLock()
	defer h.mu.RUnlock()
	return h.described(now, m)
}

func (h *Host) members(now time.Time) []Member {
	var out []Member
	h.mu.RLock()
	defer h.mu.RUnlock()
	for _, m := range h.peers.Members() {
		out = append(out, h.described(now, m))
	}
	return out
}

func (h *Host) census() Census {
	c := Census{Alive: h.peers.Size(), Heights: map[wire.PeerID]uint64{}}
	h.mu.RLock()
	defer h.mu.RUnlock()
	for p, l := range h.neighbours {
		height := l.greeting().Tip
		if m, ok := h.peers.Member(l.key()); ok {
			height = max(height, m.Height)
		}
		c.Heights[p] = height
	}
	return c
}

// described puts what links tell to what membership knows; mu is held.
func (h *Host) described(now time.Time, m membership.Member) Member {
	out := Member{
		Peer: PeerIDFromKey(m.Owner), State: m.State.String(), Neighbour: m.Linked && m.Owner != h.cfg.Key.Public(),
		Addrs: m.Addrs, Height: m.Height, Base: m.Base, Pool: m.Pool, Orderer: m.Orderer,
		Software: m.Software, API: m.API, Heard: m.Heard, Word: m.Word, Due: m.Due,
	}
	if l := h.neighbours[out.Peer]; l != nil {
		out.Height = max(out.Height, l.greeting().Tip) // a record may be some seconds old
		out.Ahead, out.Named = l.clockAhead(now), l.named
	}
	return out
}

// startMembership makes the core. From here on it alone says whom to dial.
func (h *Host) startMembership(now time.Time) error {
	incarnation, err := nextIncarnation(h.cfg.Dir, now, nil)
	if err != nil {
		return err
	}
	cfg := membership.Config{
		Self:        h.cfg.Key.Public(),
		Sign:        func(b []byte) block.Signature { return h.cfg.Key.Sign(block.DomainRecord, h.cfg.Genesis.ID(), b) },
		Incarnation: incarnation,
		Info:        h.info(),
		MaxMembers:  h.cfg.MaxMembers,
	}
	for _, info := range h.addrs.bootstrap {
		key, err := keyOf(info.ID)
		if err != nil {
			return fmt.Errorf("bootstrap: %w", err)
		}
		cfg.Bootstrap = append(cfg.Bootstrap, membership.Contact{Key: key, Addrs: addrTexts(info.Addrs)})
	}
	var seed [32]byte
	rand.Read(seed[:]) // never fails, says crypto/rand
	h.peers = membership.New(now, cfg, seed)
	return nil
}

// info is what the own record says.
func (h *Host) info() membership.Info {
	i := membership.Info{
		Addrs:    addrTexts(h.libp2p.Addrs()),
		Orderer:  h.cfg.Genesis.Produces(h.cfg.Key.Public()),
		Software: h.cfg.Software,
	}
	i.Height, i.Base = h.cfg.Status()
	h.cfg.Describe(&i)
	// What others would refuse is left out, rather than the whole record.
	i.Addrs = slices.DeleteFunc(i.Addrs, func(a string) bool { return len(a) > membership.MaxAddr })
	i.Addrs = i.Addrs[:min(len(i.Addrs), membership.MaxAddrs)]
	r := membership.Record{Version: 1, Info: i}
	for r.Check() != nil && len(r.Addrs) > 1 {
		r.Addrs = r.Addrs[:len(r.Addrs)-1]
	}
	if r.Check() != nil {
		r.API = ""
	}
	return r.Info
}

func addrTexts(addrs []ma.Multiaddr) []string {
	var out []string
	for _, a := range addrs {
		out = append(out, a.String())
	}
	return out
}

// describeEvery is how often the own record is compared with what is so. The core
// says what changed more rarely than that.
const describeEvery = 5 * time.Second

func (h *Host) tickMembership(now time.Time) error {
	if !now.Before(h.describe) {
		h.describe = now.Add(describeEvery)
		h.peers.Update(now, h.info())
	}
	if d := h.peers.Deadline(); !d.IsZero() && !now.Before(d) {
		h.peers.Tick(now)
	}
	return h.applyMembership(now)
}

// applyMembership carries out what the core wants.
func (h *Host) applyMembership(now time.Time) error {
	for _, e := range h.peers.Effects() {
		switch e := e.(type) {
		case membership.Send:
			h.mu.RLock()
			l := h.neighbours[PeerIDFromKey(e.To)]
			h.mu.RUnlock()
			if l != nil {
				l.sendControl(wire.Membership(membership.Encode(e.Message)))
			}
		case membership.Connect:
			h.connect(e.Contact)
		case membership.Release:
			h.release(e.Key)
		case membership.Persist:
			// Rare, and nothing after it may be said before it is kept.
			if err := keepIncarnation(h.cfg.Dir, e.Incarnation, nil); err != nil {
				return err
			}
			h.log.Warn("a member record of ours came back that is newer than this start: incarnation raised", "incarnation", e.Incarnation)
		case membership.Blame:
			h.blame(e)
		default:
			panic(fmt.Sprintf("p2p: membership effect of type %T", e))
		}
	}
	return nil
}

func (h *Host) blame(b membership.Blame) {
	p := PeerIDFromKey(b.Key)
	if g := h.charge(p, Forged, b.Reason); g != nil {
		h.partAll(p, *g)
	}
}

func (h *Host) connect(c membership.Contact) {
	id, err := peer.Decode(string(PeerIDFromKey(c.Key)))
	if err != nil {
		return // not the ID of a key: nobody has it
	}
	info := peer.AddrInfo{ID: id}
	for _, a := range c.Addrs {
		if m, err := ma.NewMultiaddr(a); err == nil {
			info.Addrs = append(info.Addrs, m)
		}
	}
	h.dials.want(info, h.pairs[wire.PeerID(id.String())] != nil)
}

// release lets go of a connection that was dialled for its own sake. One that the
// other side dialled is its affair.
func (h *Host) release(k block.PublicKey) {
	p := PeerIDFromKey(k)
	id, err := peer.Decode(string(p))
	if err == nil {
		h.dials.drop(id)
	}
	for _, l := range h.links {
		if l.peer == p && l.outbound() {
			l.dismiss(wire.Goodbye{Code: wire.Surplus, Text: "drawn no longer"})
		}
	}
	if err == nil {
		h.forgetAddrs(id)
	}
}

// forgetAddrs clears what libp2p remembers of a peer that is neither connected nor to be
// dialled: it would be remembered for ever.
func (h *Host) forgetAddrs(id peer.ID) {
	if h.pairs[wire.PeerID(id.String())] == nil && h.dials.find(id) == nil {
		h.libp2p.Peerstore().ClearAddrs(id)
		h.libp2p.Peerstore().RemovePeer(id)
	}
}

// unreachable tells membership of a peer that did not answer, or not as a peer.
func (h *Host) unreachable(now time.Time, id peer.ID) {
	if key, err := keyOf(id); err == nil {
		h.peers.DialFailed(now, key)
	}
}

func (h *Host) isBootstrap(id peer.ID) bool {
	return slices.ContainsFunc(h.addrs.bootstrap, func(i peer.AddrInfo) bool { return i.ID == id })
}

// heardMembership checks a message, in its link's goroutine, and hands it on.
func (h *Host) heardMembership(l *link, raw []byte) {
	m, err := membership.Decode(raw)
	if err != nil {
		h.Charge(l.peer, Malformed, err.Error())
		return
	}
	if d, ok := m.(*membership.Delta); ok {
		for _, r := range d.Records {
			if err := h.checkRecord(r); err != nil {
				h.Charge(l.peer, Forged, err.Error())
				return
			}
		}
	}
	h.post(heard{l, m})
}

func (h *Host) checkRecord(r *membership.Record) error {
	id := PeerIDFromKey(r.Owner)
	if !sig.Verify(r.Owner, block.DomainRecord, h.cfg.Genesis.ID(), r.Content(), r.Signature) {
		return fmt.Errorf("member record of %s: wrong signature", id)
	}
	if p, err := peer.Decode(string(id)); err != nil || !h.gate.admits(p) {
		return fmt.Errorf("member record of %s, which is not admitted", id)
	}
	return nil
}

// IncarnationFile is what a host keeps in its directory.
const IncarnationFile = "incarnation"

// KeptIncarnation reads the incarnation of the last start in a data directory: nanoseconds
// since 1970, 0 if there was none.
func KeptIncarnation(dir string) (uint64, error) {
	path := filepath.Join(dir, IncarnationFile)
	text, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, nil
	}
	if err != nil {
		return 0, fmt.Errorf("reading incarnation: %w", err)
	}
	last, err := strconv.ParseUint(strings.TrimSpace(string(text)), 10, 64)
	if err != nil {
		return 0, fmt.Errorf("incarnation %s: want a number; remove the file, and the clock is taken instead: %w", path, err)
	}
	return last, nil
}

// nextIncarnation returns, and keeps, the incarnation of this start: the time, or one
// more than the last if that is later.
func nextIncarnation(dir string, now time.Time, steps durable.Steps) (uint64, error) {
	next := uint64(now.UnixNano())
	if dir == "" {
		return next, nil
	}
	last, err := KeptIncarnation(dir)
	if err != nil {
		return 0, err
	}
	next = max(next, last+1)
	return next, keepIncarnation(dir, next, steps)
}

// keepIncarnation puts the incarnation on the disk. Until it is there nobody may hear of it.
func keepIncarnation(dir string, n uint64, steps durable.Steps) error {
	if dir == "" {
		return nil
	}
	if err := steps.Replace(filepath.Join(dir, IncarnationFile), fmt.Appendln(nil, n), 0o600); err != nil {
		return fmt.Errorf("keeping incarnation: %w", err)
	}
	return nil
}
