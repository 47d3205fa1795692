package dissemination

import (
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// What one peer asks and says costs no more than its share, however fast it comes: its
// lane is held up, and that costs it no more than time.
func TestFloodsAreHeldUp(t *testing.T) {
	b := func(d *desk) *block.Block { return d.block(d.txs(2)) }
	for name, one := range map[string]struct {
		say   func(d *desk, b *block.Block) message.Message
		times int
		least time.Duration
	}{
		"announcements": {func(_ *desk, b *block.Block) message.Message { return announce(b) }, 10_000, 5 * time.Second},
		"pulls":         {func(*desk, *block.Block) message.Message { return &message.Pull{Upto: 1} }, 10_000, 100 * time.Second},
		"tips":          {func(*desk, *block.Block) message.Message { return &message.Tip{Height: 1} }, 10_000, 5 * time.Second},
		"fetches":       {func(_ *desk, b *block.Block) message.Message { return &message.Fetch{Number: 1, Block: b.ID()} }, 10_000, 5 * time.Second},
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				m := one.say(d, b(d))
				raw := message.Encode(m)
				begun := time.Now()
				for i := range one.times {
					d.driver.Receive("a", m.Lane(), raw)
					if i%100 == 0 {
						d.settle() // the desk has room for so many answers
					}
				}
				if took := time.Since(begun); took < one.least {
					t.Errorf("%d take %v, want at least %v", one.times, took, one.least)
				}
				begun = time.Now()
				d.driver.Receive("b", m.Lane(), raw)
				if took := time.Since(begun); took > 0 {
					t.Errorf("another waits %v", took)
				}
				d.wantNoCharge()
				d.settle()
			})
		})
	}
}

// A few messages a second are not held up, nor is what was asked for.
func TestFairSharesAreNotHeldUp(t *testing.T) {
	open(t, func(d *desk) {
		for i := range 100 {
			begun := time.Now()
			d.driver.Receive("a", wire.Blocks, message.Encode(&message.Tip{Height: uint64(i)}))
			d.driver.Receive("a", wire.Blocks, message.Encode(&message.Pull{Upto: 1}))
			if took := time.Since(begun); took > 0 {
				t.Fatalf("round %d took %v", i, took)
			}
			time.Sleep(100 * time.Millisecond)
		}
		d.settle()
	})
}

// Answers that were not asked for are passed over, and paid for once they are more than
// a late answer can be.
func TestUnaskedAnswersAreCharged(t *testing.T) {
	for name, say := range map[string]func(d *desk, b *block.Block) message.Message{
		"transactions of a block": func(d *desk, b *block.Block) message.Message {
			return &message.Part{Number: 7, Block: b.ID(), At: []uint32{0, 1}, Txs: b.Txs}
		},
		"ID lists": func(d *desk, b *block.Block) message.Message {
			return &message.Part{Number: 7, Block: b.ID(), IDs: b.TxIDs()}
		},
		"refusals": func(d *desk, b *block.Block) message.Message { return message.Refusal(7, b.ID()) },
		"chunks": func(d *desk, b *block.Block) message.Message {
			return &message.Chunk{Number: 7, Height: 1, Size: len(b.Bytes()), Data: b.Bytes()}
		},
		"ends of ranges": func(*desk, *block.Block) message.Message { return &message.Chunk{Number: 7, Last: true} },
		"transactions":   func(_ *desk, b *block.Block) message.Message { return &message.Txs{Txs: b.Txs} },
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				m := say(d, d.block(d.txs(2)))
				raw := message.Encode(m)
				for range 10 {
					d.driver.Receive("a", m.Lane(), raw)
				}
				d.wantNoCharge()
				for i := 0; i < 5000 && len(d.charged) == 0; i++ {
					d.driver.Receive("a", m.Lane(), raw)
				}
				d.wantCharge("unasked")
			})
		})
	}
}

// A late answer is not charged: the request was given up, and its answer comes whole.
func TestLateAnswersAreNotCharged(t *testing.T) {
	open(t, func(d *desk) {
		b := d.block(d.txs(15))
		for round := range 20 {
			f := find[*message.Fetch](d.receive("a", announce(b)), "a")
			time.Sleep(time.Minute) // and another was asked, in vain
			f = append(f, find[*message.Fetch](d.settle(), "a")...)
			for _, f := range f {
				for i, at := range f.At {
					d.receive("a", &message.Part{Number: f.Number - 1, Block: b.ID(), At: f.At[i : i+1], Txs: b.Txs[at : at+1]})
				}
			}
			if round == 0 && len(f) == 0 {
				t.Fatal("nothing was asked")
			}
		}
		d.wantNoCharge()
	})
}

// The header of a block that the ledger has is recognised, and costs no signature's check,
// however long ago it was forgotten here.
func TestHeaderThatTheLedgerHasIsKnown(t *testing.T) {
	open(t, func(d *desk) {
		b := d.block(d.txs(2))
		d.receive("a", announce(b, 0, 1))
		if d.ledger.Tip().Height != 1 {
			t.Fatal("the block is not in the ledger")
		}
		d.driver.headers.remove(b.ID())
		m := announce(b)
		m.Header.Signature[0] ^= 1 // nobody looks at it
		d.receive("a", m)
		d.wantNoCharge()
		m.Header.TimeNano++ // another block
		m.Block = message.Describe(&m.Header.Header)
		d.receive("a", m)
		d.wantCharge("signature")
	})
}

// Who announces a right block, or brings new transactions, is told to the host, and nobody
// else.
func TestWhoBringsSomethingIsTold(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		b := d.block(txs[:2])
		d.receive("a", announce(b, 0, 1))
		d.receive("b", &message.Tip{Height: 7})
		batch := message.Encode(&message.Txs{Txs: txs[2:]})
		d.driver.Validate(t.Context(), "c", batch)
		d.driver.Validate(t.Context(), "b", batch)
		d.settle()
		if len(d.useful) != 2 || !d.useful["a"] || !d.useful["c"] {
			t.Errorf("useful are %v, want a and c", d.useful)
		}
	})
}

// Gossip that brings nothing new is not looked at for ever: its neighbour is passed over
// until a twentieth of a core would have been enough for it, and no other is.
func TestStaleGossipIsNotListenedTo(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		d.pool.Offer(time.Now(), txs[:1])
		known, fresh := message.Encode(&message.Txs{Txs: txs[:1]}), message.Encode(&message.Txs{Txs: txs[1:2]})
		for range 3 * int(allowance/staleGap) {
			if v := d.driver.Validate(d.t.Context(), "a", known); v != p2p.VerdictIgnore {
				t.Fatalf("what is known already is found %v", v)
			}
		}
		if d.driver.Validate(d.t.Context(), "a", fresh); d.pool.Has(txs[1].ID()) {
			t.Error("it is listened to")
		}
		if v := d.driver.Validate(d.t.Context(), "b", fresh); v != p2p.VerdictAccept {
			t.Errorf("another's gossip is found %v", v)
		}
		time.Sleep(time.Second) // virtual
		if v := d.driver.Validate(d.t.Context(), "a", message.Encode(&message.Txs{Txs: txs[2:]})); v != p2p.VerdictAccept {
			t.Errorf("after a pause its gossip is found %v", v)
		}
		d.wantNoCharge()
	})
}
