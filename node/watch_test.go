package node_test

import (
	"net"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"grapevine/block"
	"grapevine/node"
)

// notes returns how many of the nodes but the orderer say that it is silent.
func (w *world) notes(says string) (n int) {
	for i, nd := range w.nodes {
		if i > 0 && says != "" && strings.Contains(nd.Note(), says) || i > 0 && says == "" && nd.Note() == "" {
			n++
		}
	}
	return n
}

// An orderer that is cut off is missed within seconds, though its connections are open for
// half a minute, and for as long as it is away; the others stay ready.
func TestADeadOrdererIsMissed(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 4, nil)
		defer w.stop()
		for range 60 { // alive, whether idle or not
			time.Sleep(500 * time.Millisecond) // virtual
			if got := w.notes(""); got != 3 {
				t.Fatalf("%d of 3 are content while the orderer lives: %q", got, w.nodes[1].Note())
			}
		}
		orderer := simnet.IntToPublicIPv4(0).String()
		cut := func(from, to net.Addr) bool {
			return strings.HasPrefix(from.String(), orderer) || strings.HasPrefix(to.String(), orderer)
		}
		w.cut.Store(&cut)
		took := w.until(15*time.Second, "all miss the orderer", func() bool { return w.notes("the orderer has not been heard for ") == 3 })
		t.Logf("missed after %v: %s", took, w.nodes[1].Note())
		for range 200 { // its connections end meanwhile, and it is suspected, and given up
			time.Sleep(500 * time.Millisecond) // virtual
			if got := w.notes("; transactions wait"); got != 3 {
				t.Fatalf("%d of 3 still miss the orderer: %q", got, w.nodes[1].Note())
			}
			if err := w.nodes[1].Ready(); err != nil {
				t.Fatalf("a node that can do its work is not ready: %v", err)
			}
		}
		if w.nodes[0].Note() != "" {
			t.Errorf("the orderer misses itself: %q", w.nodes[0].Note())
		}
		w.cut.Store(nil)
		w.until(2*time.Minute, "it is heard again", func() bool { return w.notes("") == 3 })
		tx := w.tx("after")
		w.submit(1, tx)
		w.until(30*time.Second, "transactions are ordered", func() bool { return w.everywhere([]*block.Tx{tx}) })
	})
}

func TestAnOrdererThatStoppedIsMissedAtOnce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, nil)
		defer w.net.Close()
		w.halt(0)
		w.until(5*time.Second, "all know that it has stopped", func() bool { return w.notes("the orderer has stopped, as it said ") == 2 })
		w.halt(1)
		w.again(1, func(c *node.Config) { c.Bootstrap = w.nodes[2].Addrs() })
		w.until(30*time.Second, "one that never knew it says so", func() bool {
			return strings.HasPrefix(w.nodes[1].Note(), "the orderer has ")
		})
		t.Log(w.nodes[1].Note())
		w.halt(1)
		w.halt(2)
	})
}
