package node_test

import (
	"context"
	"net"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/node"
	"grapevine/ordering"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// home makes an orderer's data directory.
func home(t *testing.T, c *node.Config) {
	t.Helper()
	c.Dir = t.TempDir()
	if err := ordering.CreateLock(filepath.Join(c.Dir, "orderer.lock"), c.Genesis.ID()); err != nil {
		t.Fatal(err)
	}
}

// backup copies a directory.
func backup(t *testing.T, dir string) (copied string) {
	t.Helper()
	copied = filepath.Join(t.TempDir(), "backup")
	if err := os.CopyFS(copied, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return copied
}

// herald is a peer that announces a block to whoever comes up, and says nothing else.
type herald struct {
	host  *p2p.Host
	block *block.Block
}

func (h *herald) PeerUp(p wire.PeerID, _ wire.Hello) {
	h.host.Send(p, wire.Blocks, message.Encode(&message.Announce{
		Block: message.Describe(&h.block.Header), Header: h.block.SignedHeader, List: h.block.List(),
	}))
}
func (h *herald) PeerDown(wire.PeerID)                   {}
func (h *herald) Receive(wire.PeerID, wire.Lane, []byte) {}

// announce lets a herald tell a node of a block.
func (w *world) announce(to int, b *block.Block) {
	w.t.Helper()
	c := w.link(50)
	host, err := p2p.Listen(p2p.Config{
		Key: sig.NewKey([32]byte{50}), Genesis: w.genesis, Listen: c.Listen, SourceIP: c.SourceIP, ListenPacket: c.ListenPacket,
		Bootstrap: w.nodes[to].Addrs(),
	})
	if err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	ended := make(chan error)
	go func() { ended <- host.Run(ctx, &herald{host, b}) }()
	time.Sleep(5 * time.Second)
	cancel()
	if err := <-ended; err != nil {
		w.t.Fatal(err)
	}
}

// The orderer's home is lost, and an old copy of it is put in its place, in which ledger,
// lock and journal agree. It signs nothing on top of it: it catches up, says that its lock
// is old, and goes on when its operator says that no other node has the key. Nobody
// halts.
func TestOldCopyOfTheOrderersHome(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 3, func(i int, c *node.Config) {
			if i == 0 {
				home(t, c)
				c.Cutter = ordering.CutterConfig{Timeout: time.Millisecond} // as hasty as can be
			}
		})
		defer w.stop()
		var all []*block.Tx
		more := func() {
			t.Helper()
			tx := w.tx("a transaction")
			all = append(all, tx)
			w.submit(1, tx)
			w.until(time.Minute, "all nodes have the transaction", func() bool { return w.everywhere(all) })
		}
		more()
		w.halt(0)
		cut := func(net.Addr, net.Addr) bool { return true }
		w.cut.Store(&cut)
		w.again(0, func(*node.Config) {})
		accepted := w.tx("accepted by the orderer while it hears nobody")
		w.submit(0, accepted)
		w.halt(0)
		old := backup(t, w.configs[0].Dir)
		w.cut.Store(nil)
		w.again(0, func(*node.Config) {})
		all = append(all, accepted)
		w.until(time.Minute, "all nodes have what was accepted", func() bool { return w.everywhere(all) })
		more()
		w.halt(0)

		tx := w.tx("while it signs nothing")
		w.submit(1, tx)
		w.again(0, func(c *node.Config) { c.Dir = old })
		w.until(time.Minute, "it has caught up and says that its lock is old", func() bool {
			err := w.nodes[0].Ready()
			return w.nodes[0].Tip().Height == 3 && err != nil && strings.Contains(err.Error(), "--reset-lock")
		})
		time.Sleep(time.Minute)
		for i, nd := range w.nodes {
			if h := nd.Tip().Height; h != 3 {
				t.Fatalf("node %d is at height %d, want 3", i, h)
			}
			if err := nd.Ready(); i > 0 && err != nil {
				t.Fatalf("node %d: %v", i, err)
			}
		}
		w.halt(0)

		w.again(0, func(c *node.Config) { c.ResetLock = true })
		all = append(all, tx)
		w.until(time.Minute, "it goes on", func() bool { return w.everywhere(all) })
	})
}

// What the orderer signed last has come to another peer as an announcement alone: the
// orderer died before it served the body. An old copy of its home, of just before, hears
// of that from the peer, and signs no other block at its height.
func TestOldCopyHearsOfABlockThatIsOnlyAnnounced(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, 2, func(i int, c *node.Config) {
			if i == 0 {
				home(t, c)
			}
		})
		defer w.stop()
		first := w.tx("first")
		w.submit(1, first)
		w.until(time.Minute, "all have it", func() bool { return w.everywhere([]*block.Tx{first}) })
		w.halt(0)
		old := backup(t, w.configs[0].Dir)
		// The block that was signed last is made here, with the orderer's key.
		g, key := w.genesis, w.configs[0].Key
		tip := w.nodes[1].Tip()
		txs := []*block.Tx{w.tx("nobody has it but the one who died")}
		lost := block.New(key.SignHeader(block.Draft(g.ID(), block.Limits{}, tip, time.Now().UnixNano(), key.Public(), txs)), txs)
		w.announce(1, lost)

		w.again(0, func(c *node.Config) { c.Dir = old })
		w.submit(1, w.tx("another"))
		w.until(time.Minute, "it says why it signs nothing", func() bool {
			err := w.nodes[0].Ready()
			return err != nil && strings.Contains(err.Error(), "with its signature")
		})
		time.Sleep(time.Minute)
		for i, nd := range w.nodes {
			if h := nd.Tip().Height; h != 1 {
				t.Errorf("node %d is at height %d, want 1", i, h)
			}
		}
		if err := w.nodes[1].Ready(); err != nil {
			t.Error(err)
		}
	})
}
