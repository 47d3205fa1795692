package dissemination

import (
	"context"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/ledger"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// busy posts an event that holds the loop until free is called. At returns when the loop
// has come to it.
func (d *desk) busy() (at, free func()) {
	in, out := make(chan bool), make(chan bool)
	d.driver.post(func(time.Time) { close(in); <-out })
	return func() { <-in }, func() { close(out) }
}

// hold keeps the loop busy, hands it what receive brings, which ends with a block that
// is whole, and then an announcement that the loop comes to when the ledger has the
// block and the loop has not heard of it.
func (d *desk) hold(receive func(), from wire.PeerID, then *block.Block) {
	at, free := d.busy()
	at()
	receive()
	next, last := d.busy()
	d.driver.Receive(from, wire.Blocks, message.Encode(announce(then)))
	free()
	next()
	synctest.Wait() // the committer appends the block, if the loop has handed it over
	last()
	d.settle()
}

// An announcement of a block that catch-up has just brought comes to the loop when the
// ledger has the block and the loop does not know of it.
func TestAnnouncementOfWhatTheLedgerHasJustTaken(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(15)
		d.receive("a", &message.Tip{Height: 100})
		tip := d.ledger.Tip()
		for i := range txs { // each is an even chance: the loop draws among what is ready
			b := d.blockOn(tip, txs[i:i+1])
			tip = b.Tip()
			raw := b.Bytes()
			d.hold(func() {
				d.driver.Receive("a", wire.Catchup, message.Encode(&message.Chunk{Number: 1, Height: b.Height, Size: len(raw), Data: raw}))
			}, "c", b)
		}
		if h := d.ledger.Tip().Height; h != 15 {
			t.Errorf("the chain ends at height %d, want 15", h)
		}
	})
}

// A second block is announced at a height while the first is being appended.
func TestEquivocationWhileTheFirstIsAppended(t *testing.T) {
	for range 10 { // each is an even chance
		open(t, func(d *desk) {
			txs := d.txs(2)
			first, second := d.block(txs[:1]), d.block(txs[1:])
			d.hold(func() { d.driver.Receive("a", wire.Blocks, message.Encode(announce(first, 0))) }, "b", second)
			if len(d.halted) != 1 {
				t.Errorf("two signed blocks at height 1 went unnoticed, the chain ends at %d", d.ledger.Tip().Height)
			}
		})
	}
}

// The orderer signs made-up short IDs. A transaction that came along with an
// announcement, and that the list of full IDs took out again, does not go along when the
// announcement is passed on.
func TestPrefillThatTheListTookOut(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(4)
		h := d.block(txs[:3]).Header
		shorts := h.ShortKey().List([]block.ID{txs[3].ID(), txs[1].ID(), txs[2].ID()})
		h.ShortHash = block.ShortListHash(shorts)
		b := block.New(d.orderer.SignHeader(h), txs[:3])
		m := announce(b)
		m.List, m.Pulled, m.At, m.Txs = shorts, true, []uint32{0}, txs[3:]
		f := find[*message.Fetch](d.receive("a", m), "a")[0]
		d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), IDs: b.TxIDs()})
		m.Pulled, m.At, m.Txs = false, nil, nil
		passed := find[*message.Announce](d.receive("a", m), "b")
		if len(passed) != 1 || len(passed[0].Txs) != 0 {
			t.Errorf("passed on are %+v, want the announcement without transactions", passed)
		}
	})
}

// The chain refuses a block while the next one is ready. The peer halts, and goes on.
func TestRefusedBlockWithAChild(t *testing.T) {
	for range 30 { // the loop draws among what is ready
		open(t, func(d *desk) {
			txs := d.txs(4)
			d.receive("a", announce(d.block(txs[:1]), 0))
			bad := d.block(txs[:2]) // the chain has the first
			d.receive("a", announce(d.blockOn(bad.Tip(), txs[2:]), 0, 1))
			at, free := d.busy()
			at()
			d.driver.Receive("a", wire.Blocks, message.Encode(announce(bad, 0, 1)))
			for range 4 {
				d.driver.post(func(time.Time) { time.Sleep(time.Millisecond) }) // the committer is faster
			}
			free()
			time.Sleep(time.Second)
			if len(d.ended) != 0 || len(d.halted) != 1 {
				t.Fatalf("%d have ended and %d halted, want the driver to be halted", len(d.ended), len(d.halted))
			}
		})
		if t.Failed() {
			return
		}
	}
}

// An answer for a range whose blocks are right and out of order is none: others are
// asked.
func TestRangeOutOfOrder(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		second := d.blockOn(d.block(txs[:1]).Tip(), txs[1:])
		f := find[*message.GetRange](d.receive("a", &message.Tip{Height: 100}), "a")[0]
		raw := second.Bytes()
		d.receive("a", &message.Chunk{Number: f.Number, Height: 2, Size: len(raw), Data: raw})
		asked := find[*message.GetRange](d.receive("b", &message.Tip{Height: 100}), "b")
		if len(d.charged) != 1 || len(asked) != 1 || asked[0].From != 1 {
			t.Errorf("%d were charged, and b is asked for %+v: want a to be charged, and b asked from height 1 on", len(d.charged), asked)
		}
	})
}

// However often a block is asked for, one request to each peer is remembered.
func TestRequestsDoNotPileUp(t *testing.T) {
	open(t, func(d *desk) {
		b := d.block(d.txs(2))
		sent := d.receive("a", announce(b))
		asked := 0
		for range 4 * 600 { // ten minutes
			for _, f := range find[*message.Fetch](sent, "a") {
				asked++
				d.receive("a", message.Refusal(f.Number, b.ID()))
			}
			time.Sleep(250 * time.Millisecond)
			sent = d.settle()
		}
		if n := len(d.driver.requests.open); n > 1 || asked < 100 {
			t.Errorf("of %d requests to one peer %d are remembered, want one", asked, n)
		}
	})
}

// What the disk must be read for has its pace, and is not read for who does not take
// what was sent before.
func TestReadingIsPaced(t *testing.T) {
	open(t, func(d *desk) {
		l, err := ledger.Open(ledger.Config{Genesis: d.genesis})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		var first *block.Block
		for n := range uint64(3) { // more than the ledger has at hand
			var txs []*block.Tx
			for i := range uint64(80) {
				txs = append(txs, block.TxFields{Nonce: 80*n + i, Expiry: 100, Payload: make([]byte, 50_000)}.Seal(block.Signature{}))
			}
			b := d.blockOn(l.Tip(), txs)
			if first == nil {
				first = b
			}
			if err := l.Append(b); err != nil {
				t.Fatal(err)
			}
		}
		idle := New(Config{Genesis: d.genesis, Self: "self", Ledger: l, Pool: d.pool, Host: d})
		d.driver = idle
		ask := map[string]message.Message{
			"range": &message.GetRange{Number: 1, From: 1, Upto: 1, MaxBytes: 1 << 20},
			"body":  &message.Fetch{Number: 1, Block: first.ID(), At: []uint32{3}},
		}
		for name, gap := range map[string]time.Duration{"range": rangeGap, "body": storedGap} {
			began := time.Now()
			for range 5 {
				if sent := d.receive("a", ask[name]); brought(sent) == 0 {
					t.Errorf("%s: the answer is empty", name)
				}
			}
			if took := time.Since(began); took != 4*gap {
				t.Errorf("%s: five answers took %v, want four gaps of %v", name, took, gap)
			}
		}
		d.queued.Store(queuedMost + 1)
		for name, m := range ask {
			if sent := d.receive("b", m); len(sent) != 1 || brought(sent) != 0 {
				t.Errorf("%s: who has not taken what was sent is sent %+v, want a refusal", name, sent)
			}
		}
	})
}

// brought returns how many bytes of blocks some answers carry.
func brought(sent []sentMessage) (bytes int) {
	for _, m := range find[*message.Part](sent, "") {
		bytes += sizeOf(m.Txs)
	}
	for _, m := range find[*message.Chunk](sent, "") {
		bytes += len(m.Data)
	}
	return bytes
}

// What may stand in no block for long does not travel along with a transaction that is
// new.
func TestBatchWithWhatNobodyKeepsIsNotPassedOn(t *testing.T) {
	open(t, func(d *desk) {
		k := sig.NewKey([32]byte{2})
		junk := block.TxFields{Expiry: 1 << 40, Payload: make([]byte, 1000)}.Seal(block.Signature{})
		for i, c := range []struct {
			with []*block.Tx
			want p2p.Verdict
		}{{nil, p2p.VerdictAccept}, {[]*block.Tx{junk}, p2p.VerdictIgnore}} {
			good := k.SignTx(d.genesis.ID(), block.TxFields{Nonce: uint64(i), Expiry: 100, Payload: []byte("x")})
			got := d.driver.Validate(context.Background(), "a", message.Encode(&message.Txs{Txs: append(c.with, good)}))
			if got != c.want || !d.pool.Has(good.ID()) {
				t.Errorf("with %d others the verdict is %v, want %v; the new one is kept: %v", len(c.with), got, c.want, d.pool.Has(good.ID()))
			}
		}
	})
}
