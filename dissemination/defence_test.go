package dissemination

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// The chain may have one of them from catch-up, where the fresh-block engine does
// not see it.
func TestBlockOfARangeAndAnotherAnnouncedAreProof(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		d.receive("a", &message.Tip{Height: 100})
		asked := find[*message.GetRange](d.receive("b", &message.Tip{Height: 100}), "b")
		if len(asked) != 1 || asked[0].From == 1 {
			t.Fatalf("asked %+v of b: want a range above that of a", asked)
		}
		below := block.Tip{Height: asked[0].From - 1, ID: block.ID{1}}
		first, second := d.blockOn(below, txs[:1]), d.blockOn(below, txs[1:])
		raw := first.Bytes()
		d.receive("b", &message.Chunk{Number: asked[0].Number, Height: first.Height, Size: len(raw), Data: raw})
		d.receive("c", announce(second))
		select {
		case err := <-d.halted:
			if !strings.Contains(err.Error(), "signed two blocks") {
				t.Errorf("halted with %q: want the two blocks named", err)
			}
		default:
			t.Error("two blocks at one height went unnoticed")
		}
		d.wantNoCharge()
	})
}

// Short IDs that the orderer made up put a wrong transaction into place, which a
// list of the full IDs takes out again, even where nobody asked for a list.
func TestUnaskedListOfIDsCorrectsMadeUpShortIDs(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(4)
		d.pool.Offer(time.Now(), txs[3:])
		h := d.block(txs[:3]).Header
		h.ShortHash = block.ShortListHash(h.ShortKey().List([]block.ID{txs[3].ID(), txs[1].ID(), txs[2].ID()}))
		b := block.New(d.orderer.SignHeader(h), txs[:3])
		m := announce(b)
		m.List = h.ShortKey().List([]block.ID{txs[3].ID(), txs[1].ID(), txs[2].ID()})
		f := find[*message.Fetch](d.receive("a", m), "a")[0]
		again := find[*message.Fetch](d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), IDs: b.TxIDs()}), "a")
		if len(again) != 1 || !slices.Equal(again[0].At, []uint32{0, 1, 2}) {
			t.Fatalf("after the list asked %+v: want all three places", again)
		}
		d.receive("a", &message.Part{Number: again[0].Number, Block: b.ID(), At: []uint32{0, 1, 2}, Txs: txs[:3]})
		select {
		case err := <-d.halted:
			if !strings.Contains(err.Error(), "short-ID list") {
				t.Errorf("halted with %q: want the short-ID list named", err)
			}
		default:
			t.Error("a block with made up short IDs did not halt the peer")
		}
	})
}

// A peer that rebuilds a block may serve a transaction whose short ID collides, and
// cannot know. (Here the orderer made the collision up.)
func TestCollisionIsNotTheSendersFault(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(4)
		shorts := []block.ID{txs[3].ID(), txs[1].ID(), txs[2].ID()}
		h := d.block(txs[:3]).Header
		h.ShortHash = block.ShortListHash(h.ShortKey().List(shorts))
		b := block.New(d.orderer.SignHeader(h), txs[:3])
		m := announce(b)
		m.List = h.ShortKey().List(shorts)
		f := find[*message.Fetch](d.receive("a", m), "a")[0]
		f = find[*message.Fetch](d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), IDs: b.TxIDs()}), "a")[0]
		d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), At: []uint32{0}, Txs: txs[3:]})
		d.wantNoCharge()
	})
}

// After a crash the orderer proposes again what others may have brought back.
func TestProposingWhatTheLedgerHasIsNoError(t *testing.T) {
	open(t, func(d *desk) {
		tip, txs := d.ledger.Tip(), d.txs(2)
		b, other := d.blockOn(tip, txs[:1]), d.blockOn(tip, txs[1:])
		d.receive("a", announce(b, 0))
		if d.ledger.Tip().ID != b.ID() {
			t.Fatal("the block that came from a neighbour was not accepted")
		}
		if err := d.driver.Propose(d.t.Context(), b); err != nil {
			t.Errorf("proposing the same block: %v", err)
		}
		if err := d.driver.Propose(d.t.Context(), other); err == nil {
			t.Error("another block at the same height was proposed")
		}
	})
}

// Whoever waits for room in the loop's queue goes on when the loop has ended: Run
// waits for the committer, and the host for its readers.
func TestNobodyWaitsForALoopThatHasEnded(t *testing.T) {
	open(t, func(d *desk) {
		idle := New(Config{Genesis: d.genesis, Self: "other", Ledger: d.ledger, Pool: d.pool, Host: d})
		ctx, cancel := context.WithCancel(d.t.Context())
		cancel()
		if err := idle.loop(ctx, nil); !errors.Is(err, context.Canceled) {
			t.Fatalf("the loop ended with %v", err)
		}
		for range 2 * eventsMax {
			idle.PeerDown("a")
		}
	})
}

// A question of a few bytes is answered with tens of thousands, over the whole pool.
func TestQuestionsAboutThePoolArePaced(t *testing.T) {
	open(t, func(d *desk) {
		start := time.Now()
		for range 10 {
			d.receive("a", &message.Inventory{High: ^uint64(0)})
		}
		if took := time.Since(start); took != 9*poolGap {
			t.Errorf("ten questions took %v, want nine gaps of %v", took, poolGap)
		}
		d.receive("b", &message.Inventory{High: ^uint64(0)})
		if took := time.Since(start); took != 9*poolGap {
			t.Error("another peer's question was held up")
		}
	})
}

// Whoever gathers metrics before the node runs, or of one that never will, is not
// held up.
func TestMetricsBeforeTheLoopRuns(t *testing.T) {
	open(t, func(d *desk) {
		registry := prometheus.NewRegistry()
		New(Config{Genesis: d.genesis, Self: "other", Ledger: d.ledger, Pool: d.pool, Host: d, Registerer: registry})
		if _, err := registry.Gather(); err != nil {
			t.Error(err)
		}
	})
}

// What comes again is counted in bytes: prefilled though the pool held it, sent in an
// answer though gossip was faster, or sent by one that nobody waits for any more.
func TestWhatComesAgainIsCounted(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(4)
		d.pool.Offer(time.Now(), txs[:1])
		b := d.block(txs)
		f := find[*message.Fetch](d.receive("a", announce(b, 0)), "a")[0]
		d.pool.Offer(time.Now(), txs[1:2])
		d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), At: []uint32{1, 2}, Txs: txs[1:3]})
		d.receive("b", announce(b, 2))
		d.receive("b", &message.Part{Number: 99, Block: b.ID(), At: []uint32{1}, Txs: txs[1:2]})
		d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), At: []uint32{3}, Txs: txs[3:]})
		fact := <-d.facts
		if want := 4 * txs[0].Size(); fact.Again != want || fact.Bytes != want || fact.Duplicates() != 1 {
			t.Errorf("%d bytes of %d came again, %.2f bodies: want %d, one body", fact.Again, fact.Bytes, fact.Duplicates(), want)
		}
	})
}

// What orderers say to each other is theirs to understand, and to refuse.
func TestOrderersWordsAreCarried(t *testing.T) {
	open(t, func(d *desk) {
		if !d.driver.TellOrderer("b", []byte("vote")) {
			t.Error("a word to b found no room")
		}
		if said := find[*message.Ordering](d.settle(), "b"); len(said) != 1 || string(said[0].Data) != "vote" {
			t.Errorf("b is told %+v, want the vote", said)
		}
		d.receive("a", &message.Ordering{Data: []byte("vote")}) // this peer orders nothing
		if len(d.charged) != 0 {
			t.Errorf("charged: %s", <-d.charged)
		}
		d.driver.cfg.Hear = func(from wire.PeerID, msg []byte) error {
			return fmt.Errorf("%s has no vote, and says %s", from, msg)
		}
		d.receive("a", &message.Ordering{Data: []byte("vote")})
		if len(d.charged) != 1 {
			t.Error("who has no vote was not charged")
		}
	})
}
