package dissemination

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// digest names a block and not its transactions.
func digest(b *block.Block) *message.Announce {
	return &message.Announce{Header: b.SignedHeader, Complete: true}
}

// body announces that a block's body follows.
func body(b *block.Block) *message.Announce {
	return &message.Announce{Header: b.SignedHeader, Complete: true, Body: true}
}

// piece is transactions of a block at the places from one on.
func piece(number uint32, b *block.Block, from int, txs ...*block.Tx) *message.Part {
	m := &message.Part{Number: number, Block: b.ID(), Txs: txs}
	for i := range txs {
		m.At = append(m.At, uint32(from+i))
	}
	return m
}

func (d *desk) wantTip(b *block.Block) {
	d.t.Helper()
	if d.ledger.Tip().ID != b.ID() {
		d.t.Fatalf("the tip is %+v, want block %s", d.ledger.Tip(), b.ID())
	}
}

// A peer that pushes no bodies takes one, waits for it as for what it asked for, and
// passes on the compact block once it can name the transactions.
func TestPushedBodyIsTaken(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(5)
		d.pool.Offer(time.Now(), txs[:1])
		b := d.block(txs)
		if sent := d.receive("a", body(b)); len(sent) > 0 {
			t.Fatalf("sent %+v: want to wait for the body", sent)
		}
		d.receive("a", piece(0, b, 0, txs[:3]...))
		relayed := find[*message.Announce](d.receive("a", piece(0, b, 3, txs[3:]...)), "")
		d.wantTip(b)
		if len(relayed) != 2 || len(relayed[0].Shorts) != 5*block.ShortSize || !relayed[0].Complete || relayed[0].Hop != 1 {
			t.Errorf("passed on %+v: want two complete announcements with short IDs, hop 1", relayed)
		}
		if f := <-d.facts; f.Via != "push" || f.From != "a" || f.Missing != 5 || f.Again != txs[0].Size() {
			t.Errorf("fact is %+v: want all five pushed by a, one again that the pool held", f)
		}
		d.receive("b", body(b)) // another copy
		d.receive("b", piece(0, b, 0, txs...))
		d.wantNoCharge()
	})
}

// What nobody announced to follow is not taken, nor anything twice.
func TestPiecesThatWereNotAnnouncedAreDropped(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		b := d.block(txs)
		other := d.blockOn(b.Tip(), txs)
		d.receive("a", body(b))
		d.receive("b", digest(b))
		d.receive("b", digest(other))
		for name, m := range map[string]*message.Part{
			"another block":        piece(0, other, 0, txs[0]),
			"a place beyond":       piece(0, b, 2, txs[:2]...),
			"more bytes than said": piece(0, b, 0, d.sized(1, 1000)...),
			"nothing":              {Block: b.ID()},
		} {
			d.receive("a", body(b))
			d.receive("a", m)
			if have := d.driver.bodies[b.ID()].size + d.driver.bodies[other.ID()].size; have != 0 {
				t.Errorf("%s: %d bytes were taken", name, have)
			}
		}
		d.receive("b", piece(0, b, 0, txs...)) // it announced the block, and no body
		d.receive("a", body(b))
		d.receive("a", piece(0, b, 1, txs[1]))
		d.receive("a", piece(0, b, 0, txs[0])) // out of order
		d.receive("a", piece(0, b, 1, txs[1])) // twice
		if have := d.driver.bodies[b.ID()].size; have != txs[1].Size() {
			t.Errorf("%d bytes are here, want one transaction's %d", have, txs[1].Size())
		}
		d.driver.PeerDown("a")
		d.driver.PeerUp("a", wire.Hello{Base: 1})
		d.receive("a", piece(0, b, 2, txs[2]))
		if have := d.driver.bodies[b.ID()].size; have != txs[1].Size() {
			t.Errorf("%d bytes are here: a piece of what was announced over another connection was taken", have)
		}
		d.wantNoCharge()
	})
}

// sized are transactions with so many bytes of payload.
func (d *desk) sized(n, payload int) []*block.Tx {
	out := make([]*block.Tx, n)
	for i := range out {
		out[i] = sig.NewKey([32]byte{3}).SignTx(d.genesis.ID(), block.TxFields{Nonce: uint64(i), Expiry: 100, Payload: make([]byte, payload)})
	}
	return out
}

func TestPushedBodyWithAWrongSignatureIsCharged(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		b := d.block(txs)
		d.receive("a", body(b))
		d.receive("b", digest(b))
		forged := txs[1].TxFields.Seal(txs[0].Signature)
		sent := d.receive("a", piece(0, b, 0, txs[0], forged))
		d.wantCharge("a: invalid: ")
		if f := find[*message.Fetch](sent, "b"); len(f) != 1 || len(f[0].At) != 2 {
			t.Errorf("sent %+v: want both asked of b", sent)
		}
	})
}

// A body of transactions that are right in themselves and not the block's is found
// out when it is whole, or too long; the list of IDs says which are wrong, and so who
// is to blame.
func TestPushedBodyOfOtherTransactionsIsFoundOut(t *testing.T) {
	for name, c := range map[string]struct {
		payload int
		lacking []uint32
	}{"of the same size": {7, []uint32{1}}, "that is longer": {200, []uint32{0, 1}}} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				txs, wrong := d.txs(3), d.sized(2, c.payload)
				b := d.block(txs)
				d.receive("b", body(b))
				d.receive("b", piece(0, b, 2, txs[2]))
				d.receive("a", body(b))
				var sent []sentMessage
				if c.payload == 7 {
					sent = d.receive("a", piece(0, b, 0, txs[0], wrong[1]))
				} else {
					sent = d.receive("a", piece(0, b, 1, wrong[1]))
					d.receive("c", body(b))
					d.receive("c", piece(0, b, 0, wrong[0])) // no more is taken
				}
				f := find[*message.Fetch](sent, "b")
				if len(f) != 1 || len(f[0].At) != 0 {
					t.Fatalf("sent %+v: want the list of IDs asked of b", sent)
				}
				again := find[*message.Fetch](d.receive("b", &message.Part{Number: f[0].Number, Block: b.ID(), IDs: b.TxIDs()}), "b")
				d.wantCharge("a: invalid: transaction " + wrong[1].ID().Short() + " does not belong at place 1")
				if len(again) != 1 || !slices.Equal(again[0].At, c.lacking) {
					t.Fatalf("asked %+v: want places %v", again, c.lacking)
				}
				d.receive("b", piece(again[0].Number, b, int(c.lacking[0]), txs[c.lacking[0]:2]...))
				d.wantTip(b)
				d.wantNoCharge()
			})
		})
	}
}

// Nothing is verified of a body that has no place here: its block is far above the
// tip, or here already.
func TestPushedBodyOutsideTheWindowIsNotLookedAt(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		b := d.block(txs)
		far := d.blockOn(block.Tip{Height: fresh.Window, ID: block.ID{1}}, txs)
		next := d.blockOn(b.Tip(), d.sized(1, 10))
		forged := txs[0].TxFields.Seal(txs[1].Signature)
		d.receive("a", body(far))
		d.receive("a", piece(0, far, 0, forged))
		d.receive("a", body(next))
		d.receive("a", piece(0, next, 0, next.Txs...)) // it waits for the one before
		d.receive("b", body(next))
		d.receive("b", piece(0, next, 0, forged))
		d.receive("a", body(b))
		d.receive("a", piece(0, b, 0, txs...))
		d.wantTip(next)
		d.receive("b", body(b))
		d.receive("b", piece(0, b, 0, forged))
		d.wantNoCharge()
	})
}

// What catch-up brings before the body came is passed on too, by its transactions'
// names.
func TestCatchupBringsWhatWasToBePushed(t *testing.T) {
	open(t, func(d *desk) {
		b := d.block(d.txs(3))
		d.receive("a", body(b))
		asked := find[*message.GetRange](d.receive("b", &message.Tip{Height: 100, Base: 1}), "b")
		raw := b.Bytes()
		sent := d.receive("b", &message.Chunk{Number: asked[0].Number, Height: 1, Size: len(raw), Data: raw})
		d.wantTip(b)
		if m := find[*message.Announce](sent, "c"); len(m) != 1 || len(m[0].Shorts) != 3*block.ShortSize || !m[0].Complete {
			t.Errorf("sent %+v: want a complete announcement with short IDs", m)
		}
	})
}

// A digest is answered with a request for the whole body. When somebody names the
// transactions meanwhile, the pool fills what it can, and who gave what does not fit
// is charged.
func TestDigestAsksForAllUntilSomebodyNamesTheTransactions(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(5)
		d.pool.Offer(time.Now(), txs[:3])
		b := d.block(txs[:4])
		sent := d.receive("a", digest(b))
		f := find[*message.Fetch](sent, "a")
		if len(sent) != 1 || len(f) != 1 || !slices.Equal(f[0].At, []uint32{0, 1, 2, 3}) {
			t.Fatalf("sent %+v: want all four places asked of a, and nothing passed on", sent)
		}
		d.receive("a", piece(f[0].Number, b, 0, txs[4]))
		if sent := d.receive("c", &message.Fetch{Number: 8, Block: b.ID(), At: []uint32{0}, Wait: time.Minute}); len(sent) > 0 {
			t.Fatalf("answered %+v with what may be wrong", sent)
		}
		sent = d.receive("b", announce(b))
		d.wantCharge("a: invalid: transaction")
		if r := find[*message.Announce](sent, "c"); len(r) != 1 || len(r[0].Shorts) == 0 {
			t.Errorf("sent %+v: want it passed on by its transactions' names", sent)
		}
		if p := find[*message.Part](sent, "c"); len(p) > 0 && len(p[0].Txs) > 0 && p[0].Txs[0].ID() != txs[0].ID() {
			t.Errorf("served %+v", p)
		}
		d.receive("a", piece(f[0].Number, b, 3, txs[3]))
		d.wantTip(b)
		if f := <-d.facts; f.Missing != 1 {
			t.Errorf("%d transactions were missing, want the one that the pool lacked", f.Missing)
		}
	})
}

// Whoever pushes bodies sends each in order behind its announcement, on its lane, and
// only when it has checked it, from the ledger too.
func TestBodyIsPushedInPieces(t *testing.T) {
	openWith(t, fresh.Config{BodyHops: 1 << 10, Contagion: 9, Blind: true, Fanout: 10}, func(d *desk) {
		txs := d.sized(100, 1000)
		b := d.block(txs)
		if sent := d.receive("a", body(b)); len(sent) > 0 {
			t.Fatalf("sent %+v before the body was here", sent)
		}
		wantPush := func(sent []sentMessage, to wire.PeerID, hop int) {
			t.Helper()
			var at []uint32
			for i, s := range sent {
				switch m := s.msg.(type) {
				case *message.Announce:
					if len(at) > 0 || !m.Body || m.Hop != hop {
						t.Errorf("message %d is %+v: want an announcement of the body first, hop %d", i, m, hop)
					}
				case *message.Part:
					if s.to == to && m.Number == 0 {
						at = append(at, m.At...)
					}
				}
			}
			if len(at) != 100 || !slices.IsSorted(at) || len(find[*message.Part](sent, to)) != 2 {
				t.Errorf("pushed places %v to %s in %d pieces: want all 100 in order in 2", at, to, len(find[*message.Part](sent, to)))
			}
		}
		d.receive("a", piece(0, b, 0, txs[:50]...))
		sent := d.receive("a", piece(0, b, 50, txs[50:]...))
		d.wantTip(b)
		wantPush(slices.DeleteFunc(slices.Clone(sent), func(s sentMessage) bool { return s.to != "b" }), "b", 1)
		wantPush(slices.DeleteFunc(slices.Clone(sent), func(s sentMessage) bool { return s.to != "c" }), "c", 1)
		later := body(b)
		later.Hop = 4
		sent = d.receive("b", later)
		wantPush(slices.DeleteFunc(slices.Clone(sent), func(s sentMessage) bool { return s.to != "a" }), "a", 5)
		d.wantNoCharge()
	})
}

// Digests are short: with a hundred transactions an announcement has 600 bytes more.
func TestDigestsHaveNoShortIDs(t *testing.T) {
	openWith(t, fresh.Config{BodyHops: 1, Contagion: 9, Fanout: 10}, func(d *desk) {
		txs := d.txs(5)
		d.pool.Offer(time.Now(), txs)
		b := d.block(txs)
		sent := d.receive("a", announce(b))
		d.wantTip(b)
		if len(find[*message.Announce](sent, "b")) != 1 || len(sent) != 2 {
			t.Fatalf("sent %+v: want two digests", sent)
		}
		for _, m := range find[*message.Announce](sent, "") {
			if m.Body || len(m.Shorts) > 0 || len(message.Encode(m)) > 320 {
				t.Errorf("sent %d bytes of %+v: want a header alone", len(message.Encode(m)), m)
			}
		}
		pulled := find[*message.Announce](d.receive("c", &message.Pull{Upto: 10}), "c")
		if len(pulled) != 1 || len(pulled[0].Shorts) > 0 || !pulled[0].Pulled {
			t.Errorf("answered a pull with %s", fmt.Sprintf("%+v", pulled))
		}
	})
}
