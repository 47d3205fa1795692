package p2p

import (
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/durable"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// stateOf returns how a host judges a peer; "" is unknown.
func stateOf(n *node, p wire.PeerID) string {
	for _, m := range n.Members() {
		if m.Peer == p {
			return m.State
		}
	}
	return ""
}

// Hosts that know one address find all others, hear what they say of themselves,
// and know who has left and who is dead.
func TestMembershipInVirtualTime(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		const size = 6
		var nodes []*node
		for i := range size {
			nodes = append(nodes, listen(t, i, func(c *Config) {
				p.host(i, c)
				c.Status = func() (uint64, uint64) { return uint64(100 + i), 1 }
				c.Describe = func(info *membership.Info) { info.Pool = 7 }
				if i > 0 {
					c.Bootstrap = nodes[0].Addrs()
				}
			}))
			nodes[i].start()
		}
		time.Sleep(20 * time.Second)
		for i, n := range nodes {
			if got := len(n.Neighbours()); got != size-1 {
				t.Errorf("node %d has %d neighbours\n%s", i, got, n.logs)
			}
			members := n.Members()
			if len(members) != size {
				t.Fatalf("node %d knows %d members", i, len(members))
			}
			for _, m := range members {
				if m.State != "alive" || m.Height < 100 || m.Base != 1 || m.Pool != 7 || len(m.Addrs) != 1 || !strings.HasPrefix(m.Software, "test") {
					t.Errorf("node %d knows %+v", i, m)
				}
				if m.Neighbour == (m.Peer == n.ID()) {
					t.Errorf("node %d: neighbour %v of %s", i, m.Neighbour, m.Peer)
				}
			}
			census := n.Census()
			if census.Alive != size || len(census.Heights) != size-1 {
				t.Errorf("node %d counts %d, and %d neighbours", i, census.Alive, len(census.Heights))
			}
			for p, height := range census.Heights {
				if j := slices.IndexFunc(nodes, func(n *node) bool { return n.ID() == p }); j < 0 || height != uint64(100+j) {
					t.Errorf("node %d: %s is number %d, at height %d", i, p, j, height)
				}
			}
		}
		nodes[4].cancel()
		<-nodes[4].ended
		time.Sleep(5 * time.Second)
		if got := stateOf(nodes[2], nodes[4].ID()); got != "left" {
			t.Errorf("one that has left is %q", got)
		}
		again := listen(t, 4, func(c *Config) { p.host(14, c); c.Bootstrap = nodes[1].Addrs() }).start()
		time.Sleep(10 * time.Second)
		if got := len(again.Neighbours()); got != size-1 {
			t.Errorf("back again it has %d neighbours", got)
		}
		if got := stateOf(nodes[2], again.ID()); got != "alive" {
			t.Errorf("one that has come back is %q", got)
		}
		for _, n := range append(nodes, again) {
			n.cancel()
			<-n.ended
			if n.err != nil {
				t.Error(n.err)
			}
		}
		if got := nodes[0].Members(); got != nil {
			t.Errorf("a host that has stopped knows %v", got)
		}
		p.net.Close()
	})
}

func TestDeadPeerIsFoundDead(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		p := newPackets(t)
		w := newWorld(t, p, 3)
		time.Sleep(10 * time.Second)
		w.cuts[2].Store(true)
		time.Sleep(2 * time.Minute)
		if got := stateOf(w.nodes[0], w.nodes[2].ID()); got != "dead" {
			t.Errorf("behind a cut of two minutes it is %q", got)
		}
		w.cuts[2].Store(false)
		time.Sleep(lateDelay + dialTimeout + 5*time.Second)
		if got := stateOf(w.nodes[0], w.nodes[2].ID()); got != "alive" {
			t.Errorf("when the cut has healed it is %q", got)
		}
		for _, n := range w.nodes {
			n.cancel()
			<-n.ended
		}
		p.net.Close()
	})
}

func TestForgedRecordsAreRefused(t *testing.T) {
	list := func(c *Config) { c.Genesis = testGenesis(t, "test", peerID(1), peerID(2)) }
	h := listen(t, 1, list)
	defer h.Close()
	sign := func(i int, change func(*membership.Record)) *membership.Record {
		key := testKey(i)
		r := &membership.Record{Owner: key.Public(), Version: 1}
		r.Signature = key.Sign("grapevine member record 1\x00", h.cfg.Genesis.ID(), r.Content())
		if change != nil {
			change(r)
		}
		return r
	}
	for _, test := range []struct {
		name   string
		record *membership.Record
		want   string
	}{
		{"good", sign(2, nil), ""},
		{"changed", sign(2, func(r *membership.Record) { r.Height = 9 }), "wrong signature"},
		{"another's", sign(2, func(r *membership.Record) { r.Owner = testKey(1).Public() }), "wrong signature"},
		{"not admitted", sign(3, nil), "not admitted"},
	} {
		err := h.checkRecord(test.record)
		if (err == nil) != (test.want == "") || err != nil && !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: error %v, want %q", test.name, err, test.want)
		}
	}
}

func TestForgedRecordsAreCharged(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		control := s.greet()
		r := &membership.Record{Owner: testKey(3).Public(), Version: 1}
		s.say(control, wire.Membership(membership.Encode(&membership.Delta{Records: []*membership.Record{r}})))
		a.logs.awaitLine(t, "peer charged", "forged", "wrong signature")
		s.say(control, wire.Membership("garbage"))
		a.logs.awaitLine(t, "peer charged", "malformed", "membership")
		a.awaitSeen(t, seen{"down", s.id(), ""}) // the second offence costs the connection
	})
}

func TestIncarnationOnlyGrows(t *testing.T) {
	dir := t.TempDir()
	now := time.Unix(1_000_000, 0)
	first, err := nextIncarnation(dir, now, nil)
	if err != nil {
		t.Fatal(err)
	}
	second, err := nextIncarnation(dir, now.Add(-time.Hour), nil) // the clock was set back
	if err != nil || second != first+1 {
		t.Errorf("then %d, %v, want %d", second, err, first+1)
	}
	if err := keepIncarnation(dir, 1<<63, nil); err != nil {
		t.Fatal(err)
	}
	if third, err := nextIncarnation(dir, now, nil); err != nil || third != 1<<63+1 {
		t.Errorf("after a raise %d, %v", third, err)
	}
	if err := os.WriteFile(filepath.Join(dir, IncarnationFile), []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	if _, err := nextIncarnation(dir, now, nil); err == nil || !strings.Contains(err.Error(), "remove the file") {
		t.Errorf("of garbage: %v", err)
	}
	if files, _ := filepath.Glob(filepath.Join(dir, ".*")); len(files) > 0 {
		t.Errorf("left behind: %v", files)
	}
}

// Others hear of an incarnation only when no power loss can take it back, or the next
// start could say another thing under the same number.
func TestIncarnationIsOnTheDiskBeforeItIsUsed(t *testing.T) {
	lost := errors.New("input/output error")
	for _, fails := range []string{durable.StepWrite, durable.StepSync, durable.StepName, durable.StepSyncDir} {
		failing := func(step string, do func() error) error {
			if step == fails {
				return lost
			}
			return do()
		}
		if _, err := nextIncarnation(t.TempDir(), time.Unix(1_000_000, 0), failing); !errors.Is(err, lost) {
			t.Errorf("step %q failed: error is %v, want that", fails, err)
		}
	}
}
