package dissemination

import (
	"errors"
	"slices"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/dissemination/txs"
	"grapevine/p2p/wire"
)

// second is what a driver lets in in a second at first.
const second = 32 << 20

// When a neighbour's queue overflows, the node lets in half as much: submitters wait,
// and those that would wait long are told so.
func TestOverflowLowersWhatIsLetIn(t *testing.T) {
	open(t, func(d *desk) {
		turn := func(bytes int) time.Duration {
			begun := time.Now()
			if err := d.driver.AwaitTurn(d.t.Context(), bytes); err != nil {
				t.Error(err)
			}
			return time.Since(begun)
		}
		turn(second)
		time.Sleep(time.Second) // virtual
		d.overflows.Store(1)
		d.driver.Spread(d.txs(1))
		d.settle()
		if took := turn(second / 2); took > 100*time.Millisecond {
			t.Errorf("what is let in a second waited %v", took)
		}
		if took := turn(second / 2); took < 900*time.Millisecond || took > 1100*time.Millisecond {
			t.Errorf("as much again waited %v, want about 1 s", took)
		}
		for range 3 {
			go d.driver.AwaitTurn(d.t.Context(), second/2)
		}
		d.settle()
		if err := d.driver.AwaitTurn(d.t.Context(), second/2); !errors.Is(err, ErrBusy) {
			t.Errorf("far too much was let in: %v", err)
		}
	})
}

// While something is submitted here, others are asked how far they are, and when most of
// them fall behind less is let in: at the orderer and anywhere else.
func TestWhoIsBehindLowersWhatIsLetIn(t *testing.T) {
	for name, far := range map[string]map[wire.PeerID]bool{
		"most": {"a": true, "b": true}, "one": {"a": true}, "none": {},
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				for _, p := range []wire.PeerID{"a", "b", "c"} {
					d.driver.hasBrought(p)
				}
				list := d.txs(20)
				for s := range list {
					if err := d.driver.AwaitTurn(d.t.Context(), 1<<20); err != nil {
						break
					}
					for _, m := range d.settle() {
						p, ok := m.msg.(*message.Pull)
						if !ok || p.Upto != p.Tip {
							continue
						}
						height := d.ledger.Tip().Height
						if s > 4 && far[m.to] { // it kept up before
							height = 4
						}
						d.receive(m.to, &message.Tip{Height: height})
					}
					d.receive("c", announce(d.block(list[s:s+1]), 0))
					time.Sleep(500 * time.Millisecond) // virtual
				}
				low := d.driver.IntakeRate() < second/100
				if low != (name == "most") {
					t.Errorf("%.0f bytes a second are let in", d.driver.IntakeRate())
				}
				d.wantNoCharge()
			})
		})
	}
}

// A crowd that came by itself, and says that it is far behind, lowers nothing.
func TestACrowdLowersNothing(t *testing.T) {
	open(t, func(d *desk) {
		list := d.txs(20)
		for i := range list {
			d.receive("a", announce(d.block(list[i:i+1]), 0)) // a brings something
			if err := d.driver.AwaitTurn(d.t.Context(), 1<<20); err != nil {
				d.t.Fatal(err)
			}
			d.receive("a", &message.Tip{Height: d.ledger.Tip().Height})
			says := uint64(5) // they seem to keep up at first
			for _, p := range []wire.PeerID{"b", "c"} {
				says = min(says, d.ledger.Tip().Height)
				d.receive(p, &message.Pull{Tip: says, Upto: says})
				d.receive(p, &message.Tip{Height: says})
			}
			time.Sleep(500 * time.Millisecond) // virtual
		}
		if got := d.driver.IntakeRate(); got < second {
			t.Errorf("%.0f bytes a second are let in", got)
		}
	})
}

// Who joins, or comes back, is far behind and catches up: that lowers nothing.
func TestWhoJoinsLowersNothing(t *testing.T) {
	open(t, func(d *desk) {
		for _, p := range []wire.PeerID{"a", "b", "c"} {
			d.driver.hasBrought(p)
		}
		list := d.txs(20)
		for i := range list {
			d.receive("a", announce(d.block(list[i:i+1]), 0))
			time.Sleep(500 * time.Millisecond) // virtual
			if i < 6 {
				continue
			}
			if err := d.driver.AwaitTurn(d.t.Context(), 1<<20); err != nil {
				d.t.Fatal(err)
			}
			for _, p := range []wire.PeerID{"a", "b", "c"} {
				d.receive(p, &message.Tip{Height: uint64(i - 6)})
			}
		}
		if got := d.driver.IntakeRate(); got < second {
			t.Errorf("%.0f bytes a second are let in", got)
		}
	})
}

// Who is far behind lets in less itself, though nobody else is.
func TestWhoIsBehindItselfLetsInLess(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		d.receive("a", announce(d.block(txs[2:]), 0))
		d.receive("a", announce(d.block(txs[:2]))) // and does not bring it
		for range 10 {
			if err := d.driver.AwaitTurn(d.t.Context(), 1<<20); err != nil {
				break
			}
			d.settle()
			time.Sleep(500 * time.Millisecond) // virtual
		}
		if got := d.driver.IntakeRate(); got > second/16 {
			t.Errorf("%.0f bytes a second are let in", got)
		}
	})
}

// A pool that lacks much is filled by one request after the other, without a pause.
func TestPoolIsFilledWithoutAPause(t *testing.T) {
	open(t, func(d *desk) {
		key, salt := sig.NewKey([32]byte{3}), block.SipKey{K0: 1}
		lacking := map[uint64]*block.Tx{}
		var hashes []uint64
		for i := range poolMax {
			x := key.SignTx(d.genesis.ID(), block.TxFields{Nonce: uint64(i), Expiry: 100, Payload: make([]byte, 60_000)})
			h := salt.Sum64(x.ID())
			lacking[h], hashes = x, append(hashes, h)
		}
		slices.Sort(hashes)
		sent := d.receive("a", &message.Inventory{Salt: salt, High: ^uint64(0), Hashes: hashes})
		want := find[*message.Want](sent, "a")
		if len(want) != 1 || len(want[0].Hashes) != poolMax {
			t.Fatalf("asked %+v, want for all", want)
		}
		// Nobody else is asked for the same meanwhile.
		other := d.receive("b", &message.Inventory{Salt: salt, High: ^uint64(0), Hashes: hashes})
		if w := find[*message.Want](other, "b"); len(w) > 0 {
			t.Errorf("asked another for %d of them at once", len(w[0].Hashes))
		}
		size := 0
		for _, h := range hashes {
			if size += lacking[h].Size(); size > txs.WantBytes {
				break
			}
			d.receive("a", &message.Txs{Txs: []*block.Tx{lacking[h]}})
		}
		begun := time.Now()
		next := find[*message.Inventory](d.receive("a", &message.Txs{}), "a")
		if len(next) != 1 || next[0].Reply || time.Since(begun) > 0 {
			t.Fatalf("after an answer that was cut short sent %+v", next)
		}
		if n, _, _ := d.pool.Pending(); n != poolMax/2 {
			t.Errorf("%d transactions found room, want a neighbour's share", n)
		}
		d.wantNoCharge()
	})
}

// The last piece of an answer says so, and who says so again and again, unasked, is charged.
func TestAnswersOfPoolsEnd(t *testing.T) {
	open(t, func(d *desk) {
		list := d.txs(3)
		d.pool.Offer(time.Now(), list)
		salt := block.SipKey{K0: 1}
		var hashes []uint64
		for _, x := range list {
			hashes = append(hashes, salt.Sum64(x.ID()))
		}
		slices.Sort(hashes)
		got := find[*message.Txs](d.receive("a", &message.Want{Salt: salt, Hashes: hashes}), "a")
		if len(got) != 2 || len(got[0].Txs) != 3 || len(got[1].Txs) != 0 {
			t.Errorf("answered %+v, want all three and an end", got)
		}
		for range handful/overhead + 1 {
			d.receive("b", &message.Txs{})
		}
		d.wantCharge("more answers than")
	})
}
