package dissemination

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/mempool"
)

// Each verdict is about the transaction in its place, whatever stands between.
func TestIntakeVerdicts(t *testing.T) {
	open(t, func(d *desk) {
		unwanted := errors.New("unwanted")
		txs := d.txs(4)
		key := sig.NewKey([32]byte{2})
		in := &Intake{Genesis: d.genesis, Ledger: d.ledger, Pool: d.pool, Driver: d.driver, Check: func(t *block.Tx) error {
			if t.ID() == txs[2].ID() {
				return unwanted
			}
			return nil
		}}
		all := []*block.Tx{
			key.SignTx(block.ID{9}, block.TxFields{Expiry: 5}), // of another network
			txs[0],
			key.SignTx(d.genesis.ID(), block.TxFields{Expiry: 1 << 40}), // too far ahead
			txs[1], txs[2], txs[0],
		}
		want := []mempool.Status{mempool.Refused, mempool.Accepted, mempool.Refused, mempool.Accepted, mempool.Refused, mempool.Duplicate}
		verdicts, err := in.Submit(d.t.Context(), all)
		if err != nil {
			t.Fatal(err)
		}
		got := make([]mempool.Status, len(verdicts))
		for i, v := range verdicts {
			got[i] = v.Status
		}
		if !slices.Equal(got, want) || verdicts[4].Err != unwanted {
			t.Errorf("verdicts are %v, want %v, the fifth because it is unwanted", verdicts, want)
		}
		if v := in.Offer(time.Now(), txs[2:]); v[0].Err != unwanted || v[1].Status != mempool.Accepted {
			t.Errorf("offered: %v", v)
		}
		if n, _, _ := d.pool.Pending(); n != 3 {
			t.Errorf("%d transactions are in the pool, want 3", n)
		}
	})
}

// What the network does not take is refused, and not put into the pool.
func TestIntakeWhenTheNetworkIsBusy(t *testing.T) {
	open(t, func(d *desk) {
		in := &Intake{Genesis: d.genesis, Ledger: d.ledger, Pool: d.pool, Driver: d.driver}
		for range 200 { // more than is let in at once and in the time that anybody waits
			go d.driver.AwaitTurn(d.t.Context(), 1<<20)
		}
		d.settle()
		verdicts, err := in.Submit(d.t.Context(), d.txs(1))
		if err != nil || verdicts[0].Status != mempool.Refused || !errors.Is(verdicts[0].Err, ErrBusy) {
			t.Errorf("verdicts %v, %v, want busy", verdicts, err)
		}
		if n, _, _ := d.pool.Pending(); n != 0 {
			t.Errorf("%d transactions are in the pool", n)
		}
	})
}

// A peer that has halted acknowledges nothing: no block will have it.
func TestIntakeOfAHaltedPeer(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		d.receive("a", announce(d.block(txs[:1])))
		d.receive("b", announce(d.block(txs[1:2])))
		if len(d.halted) != 1 {
			t.Fatal("two blocks at one height do not halt the peer")
		}
		in := &Intake{Genesis: d.genesis, Ledger: d.ledger, Pool: d.pool, Driver: d.driver}
		verdicts, err := in.Submit(d.t.Context(), txs[2:])
		if err != nil || verdicts[0].Status != mempool.Refused || !strings.Contains(verdicts[0].Err.Error(), "halted at height 1") {
			t.Errorf("verdicts are %v, %v", verdicts, err)
		}
		if d.pool.Has(txs[2].ID()) {
			t.Error("it is in the pool")
		}
	})
}
