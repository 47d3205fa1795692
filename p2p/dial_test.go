package p2p

import (
	"slices"
	"testing"
	"time"

	"github.com/libp2p/go-libp2p/core/peer"
)

func dialsOf(targets ...peer.AddrInfo) *dials {
	d := newDials(1)
	for _, info := range targets {
		d.want(info, false)
	}
	return d
}

func TestDialsGoOnForEver(t *testing.T) {
	start := time.Unix(1e9, 0)
	now := start
	d := dialsOf(peer.AddrInfo{ID: "p"})
	var last time.Duration
	for range 200 {
		if next := d.deadline(); next.After(now) {
			last = next.Sub(now)
			now = next
		}
		if due := d.due(now); len(due) != 1 {
			t.Fatalf("after %v nobody is due", now.Sub(start))
		}
		if len(d.due(now)) != 0 {
			t.Fatal("dialled twice at once")
		}
		d.ended(now, "p")
		limit := earlyDelay
		if now.Sub(start) >= youngFor {
			limit = lateDelay
		}
		if wait := d.deadline().Sub(now); wait > limit || wait < firstDelay/2 {
			t.Errorf("after %v the next dial is %v away, want at most %v", now.Sub(start), wait, limit)
		}
	}
	if last < lateDelay/2 {
		t.Errorf("in the end dials are %v apart", last)
	}
}

func TestDialsRestWhileConnected(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := dialsOf(peer.AddrInfo{ID: "p"})
	d.due(now)
	d.connected("p")
	d.ended(now, "p")
	if next := d.deadline(); !next.IsZero() || len(d.due(now.Add(time.Hour))) != 0 {
		t.Errorf("connected, and the next dial is at %v", next)
	}
	now = now.Add(time.Minute)
	d.disconnected(now, "p", time.Minute)
	if wait := d.deadline().Sub(now); wait > firstDelay {
		t.Errorf("after a good while the first dial is %v away, want at most %v", wait, firstDelay)
	}
	// A peer that lets go at once every time is dialled ever more slowly.
	for range 20 {
		now = d.deadline()
		d.due(now)
		d.connected("p")
		d.ended(now, "p")
		d.disconnected(now, "p", time.Millisecond)
	}
	if wait := d.deadline().Sub(now); wait < earlyDelay/2 {
		t.Errorf("a peer that flaps is dialled again after %v", wait)
	}
}

func TestDialsAreBounded(t *testing.T) {
	var targets []peer.AddrInfo
	for i := range 3 * maxDials {
		targets = append(targets, peer.AddrInfo{ID: peer.ID(rune('a' + i))})
	}
	now := time.Unix(1e9, 0)
	d := dialsOf(targets...)
	first := d.due(now)
	if len(first) != maxDials || len(d.due(now)) != 0 {
		t.Fatalf("%d at once, want %d", len(first), maxDials)
	}
	if !d.deadline().IsZero() {
		t.Error("due while there is no room")
	}
	d.ended(now, first[0].ID)
	if len(d.due(now)) != 1 {
		t.Error("no dial in the room that was made")
	}
}

func TestLoudAboutFewFailures(t *testing.T) {
	now := time.Unix(1e9, 0)
	d := dialsOf(peer.AddrInfo{ID: "p"})
	loud := 0
	for range 1000 {
		now = now.Add(time.Minute)
		d.due(now)
		d.ended(now, "p")
		if d.loud("p") {
			loud++
		}
	}
	if loud != 10 {
		t.Errorf("1000 failures gave %d lines", loud)
	}
}

// A connection that is closed at once may count as two failures: they are told of all
// the same.
func TestFailuresThatCountTwiceAreLoud(t *testing.T) {
	d := dialsOf(peer.AddrInfo{ID: "p"})
	target, lines := d.find("p"), 0
	for target.failures = 3; target.failures < 1000; target.failures += 2 {
		if d.loud("p") {
			lines++
		}
	}
	if lines < 8 || lines > 10 {
		t.Errorf("500 failures that count twice gave %d lines, want one each time that they have doubled", lines)
	}
}

// Of a peer that is neither connected nor to be dialled the peerstore keeps nothing.
func TestPeerstoreForgetsWhoIsGone(t *testing.T) {
	for name, dialled := range map[string]bool{"a peer that dialled": false, "a peer that was dialled": true} {
		t.Run(name, func(t *testing.T) {
			inBubble(t, func(t *testing.T, p *packets) {
				a, b := listen(t, 1, p.at(1)), listen(t, 2, p.at(2))
				if dialled {
					a.addrs.bootstrap = mustParse(t, a, b.Addrs())
				} else {
					b.addrs.bootstrap = mustParse(t, b, a.Addrs())
				}
				t.Cleanup(func() { a.stop(t) })
				a.start()
				b.start()
				a.awaitSeen(t, seen{"up", b.ID(), ""})
				time.Sleep(time.Minute)
				b.stop(t)
				a.awaitSeen(t, seen{"down", b.ID(), ""})
				time.Sleep(time.Minute)
				has := len(a.libp2p.Peerstore().Addrs(b.self)) > 0
				if has != dialled { // a bootstrap peer is dialled for ever
					t.Errorf("the peerstore has addresses: %v, want %v", has, dialled)
				}
				if !dialled && slices.Contains(a.libp2p.Peerstore().Peers(), b.self) {
					t.Error("the peerstore remembers the peer")
				}
			})
		})
	}
}
