package p2p

import (
	"cmp"
	"context"
	"math/rand/v2"
	"slices"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/peerstore"
)

const (
	firstDelay  = 500 * time.Millisecond // before the second attempt; doubled each time,
	earlyDelay  = 5 * time.Second        // to this at most while the trouble is young,
	lateDelay   = 30 * time.Second       // and to this afterwards
	youngFor    = time.Minute
	steadyFor   = 10 * time.Second // a neighbour for so long was no failure
	maxDials    = 16               // at a time
	dialTimeout = 15 * time.Second // of one attempt
)

// dials says when to dial whom, of those that membership wants. It is a core: the
// loop owns it and tells it the time. Its back-off is the only one, libp2p's is
// stepped over.
type dials struct {
	rng     *rand.Rand
	targets []*target // in order of their IDs
	active  int
}

// target is a peer to be connected to. Invariant: at most one of dialling and
// linked holds, and then next has no meaning.
type target struct {
	info     peer.AddrInfo
	dialling bool
	linked   bool
	next     time.Time // when to dial
	failures int       // in a row
	loudAt   int       // how many of them are worth the next line in the log
	since    time.Time // of the first of them
}

func newDials(seed uint64) *dials {
	return &dials{rng: rand.New(rand.NewPCG(seed, 1))}
}

// want adds a peer to be connected to, which may be so already, or changes its
// addresses.
func (d *dials) want(info peer.AddrInfo, linked bool) {
	i, ok := d.place(info.ID)
	if ok {
		d.targets[i].info = info
		return
	}
	d.targets = slices.Insert(d.targets, i, &target{info: info, linked: linked})
}

// drop takes a peer out again.
func (d *dials) drop(p peer.ID) {
	if i, ok := d.place(p); ok {
		if d.targets[i].dialling {
			d.active--
		}
		d.targets = slices.Delete(d.targets, i, i+1)
	}
}

// due returns whom to dial now, and counts on being told how it went.
func (d *dials) due(now time.Time) []peer.AddrInfo {
	var out []peer.AddrInfo
	for _, t := range d.targets {
		if !t.dialling && !t.linked && !now.Before(t.next) && d.active < maxDials {
			t.dialling = true
			d.active++
			out = append(out, t.info)
		}
	}
	return out
}

// deadline says when somebody is next due; zero means that nobody is.
func (d *dials) deadline() time.Time {
	var next time.Time
	if d.active >= maxDials {
		return next
	}
	for _, t := range d.targets {
		if !t.dialling && !t.linked && (next.IsZero() || t.next.Before(next)) {
			next = t.next
		}
	}
	return next
}

// connected tells of a link to a peer, from whichever side.
func (d *dials) connected(p peer.ID) {
	if t := d.find(p); t != nil {
		t.linked = true
	}
}

// disconnected tells that the last link to a peer is gone, which was a neighbour
// for so long.
func (d *dials) disconnected(now time.Time, p peer.ID, lived time.Duration) {
	t := d.find(p)
	if t == nil {
		return
	}
	t.linked = false
	if lived >= steadyFor {
		t.failures, t.loudAt = 0, 0
	}
	d.failed(now, t)
}

// ended tells how a dial went. A link that came of it is told of separately; that
// none came may mean that the old connection was not closed yet.
func (d *dials) ended(now time.Time, p peer.ID) {
	t := d.find(p)
	if t == nil || !t.dialling {
		return
	}
	t.dialling = false
	d.active--
	if !t.linked {
		d.failed(now, t)
	}
}

func (d *dials) failed(now time.Time, t *target) {
	if t.failures == 0 {
		t.since = now
	}
	limit := earlyDelay
	if now.Sub(t.since) >= youngFor {
		limit = lateDelay
	}
	delay := min(firstDelay<<min(t.failures, 10), limit)
	t.failures++
	t.next = now.Add(delay/2 + time.Duration(d.rng.Int64N(int64(delay/2))))
}

// loud says whether a failure is worth a line in the log, which it then gets: when they
// are twice as many as at the last one. Some connections that end at once count as two,
// so that it is no matter of powers of two.
func (d *dials) loud(p peer.ID) bool {
	t := d.find(p)
	switch {
	case t == nil:
		return true
	case t.failures < t.loudAt:
		return false
	}
	t.loudAt = max(1, 2*t.failures)
	return true
}

func (d *dials) find(p peer.ID) *target {
	i, ok := d.place(p)
	if !ok {
		return nil
	}
	return d.targets[i]
}

func (d *dials) place(p peer.ID) (int, bool) {
	return slices.BinarySearchFunc(d.targets, p, func(t *target, p peer.ID) int { return cmp.Compare(t.info.ID, p) })
}

// dial tries once, past libp2p's own back-off. It does not ask for a forced direct
// dial, which would do the same: a dial that is under way so when the host closes
// makes libp2p v0.51.0 panic.
func (h *Host) dial(ctx context.Context, info peer.AddrInfo) {
	ctx, cancel := context.WithTimeout(ctx, dialTimeout)
	defer cancel()
	h.libp2p.Peerstore().ClearAddrs(info.ID) // of earlier records
	h.libp2p.Peerstore().AddAddrs(info.ID, info.Addrs, peerstore.PermanentAddrTTL)
	h.swarm.Backoff().Clear(info.ID)
	_, err := h.swarm.DialPeer(ctx, info.ID)
	h.post(dialled{info.ID, err})
}

func (h *Host) dialEnded(now time.Time, p peer.ID, err error) {
	h.dials.ended(now, p)
	err = h.judgeCertificate(now, err)
	if err == nil {
		h.metrics.dials.WithLabelValues("connected").Inc()
		return
	}
	h.metrics.dials.WithLabelValues("failed").Inc()
	h.unreachable(now, p)
	if h.isBootstrap(p) && h.dials.loud(p) {
		h.log.Warn("cannot connect", "peer", p.String(), "err", err, "again", "goes on trying; is the peer running, its address right, and our identity admitted?")
	}
}
