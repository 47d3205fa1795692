package p2p

import (
	"context"
	"strings"
	"testing"

	"grapevine/p2p/wire"
)

func TestTwoHostsExchangeMessagesOnAllLanes(t *testing.T) {
	published := make(chan string, 100)
	a := startNode(t, 1, nil)
	b := startNode(t, 2, func(c *Config) {
		c.Bootstrap = a.Addrs()
		c.Validate = func(_ context.Context, from wire.PeerID, data []byte) Verdict {
			published <- string(from) + " " + string(data)
			return VerdictAccept
		}
	})
	a.awaitSeen(t, seen{"up", b.ID(), ""})
	b.awaitSeen(t, seen{"up", a.ID(), ""})
	long := strings.Repeat("x", MaxMessage(wire.Bodies, a.cfg.Limits))
	for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
		for _, msg := range []string{"hi", long} {
			if !a.Send(b.ID(), lane, []byte(msg)) || !b.Send(a.ID(), lane, []byte(msg)) {
				t.Errorf("%s: a message of %d bytes was refused", lane, len(msg))
			}
			a.awaitSeen(t, seen{lane.String(), b.ID(), msg})
			b.awaitSeen(t, seen{lane.String(), a.ID(), msg})
		}
	}
	// The mesh forms within a heartbeat or two.
	awaitMesh(t, a, 1)
	if err := a.Publish([]byte("news")); err != nil {
		t.Fatal(err)
	}
	if got, want := <-published, string(a.ID())+" news"; got != want {
		t.Errorf("published as %q, want %q", got, want)
	}
	b.stop(t)
	if b.err != nil {
		t.Errorf("Run returned %v", b.err)
	}
	a.awaitSeen(t, seen{"down", b.ID(), ""})
	if a.Send(b.ID(), wire.Blocks, []byte("x")) {
		t.Error("Send to a peer that has left said true")
	}
	if all := b.history(); all[len(all)-1] != (seen{"down", a.ID(), ""}) {
		t.Errorf("the last event of a stopped host is %v", all[len(all)-1])
	}
}
