package ledger

import (
	"errors"
	"fmt"
	"io/fs"
	"strings"
	"syscall"
	"testing"

	"github.com/dgraph-io/badger/v4/skl"

	"grapevine/block"
	"grapevine/genesis"
)

// unsigned makes n transactions of exactly that size with zero signatures, which
// the ledger does not look at.
func (c *chain) unsigned(n, size int) []*block.Tx {
	txs := make([]*block.Tx, n)
	for i := range txs {
		c.nonce++
		f := block.TxFields{Nonce: c.nonce, Expiry: c.tip.Height + 10, Payload: make([]byte, size-block.TxOverhead)}
		txs[i] = f.Seal(block.Signature{})
	}
	return txs
}

// The largest legal blocks of networks small and large: as many transactions as
// there may be, and as many bytes.
func TestLargestBlocks(t *testing.T) {
	for _, limits := range []genesis.Limits{
		{MaxTxBytes: block.TxOverhead + 1, MaxBodyBytes: block.TxOverhead + 1, MaxBlockTxs: 1},
		{MaxTxBytes: 1 << 20, MaxBodyBytes: 32 << 20, MaxBlockTxs: 10},
		{},
		{MaxBodyBytes: 32 << 20, MaxBlockTxs: 100_000},
	} {
		t.Run(fmt.Sprintf("%+v", limits), func(t *testing.T) {
			c := newChain(t, limits)
			l := c.genesis.BlockLimits()
			dir := t.TempDir()
			led := c.open(dir)
			many := min(l.MaxBlockTxs, l.MaxBodyBytes/block.TxOverhead)
			for _, txs := range [][]*block.Tx{
				c.unsigned(many, min(l.MaxTxBytes, l.MaxBodyBytes/many)),
				c.unsigned(min(l.MaxBodyBytes/l.MaxTxBytes, l.MaxBlockTxs), l.MaxTxBytes),
			} {
				b := c.seal(c.tip, txs)
				c.tip = b.Tip()
				if err := b.Check(c.genesis.ID(), l); err != nil {
					t.Fatal(err)
				}
				c.append(led, b)
				led = reopen(c, led, dir)
				if got, err := led.Block(b.Height); err != nil || string(got.Body()) != string(b.Body()) {
					t.Fatalf("height %d is not what was appended: %v", b.Height, err)
				}
			}
		})
	}
}

// The memtable is as small as Badger's arithmetic allows, to a MiB.
func TestMemTableSizeIsSmallest(t *testing.T) {
	for _, l := range []block.Limits{
		{MaxBlockTxs: 1, MaxBodyBytes: 1 << 10},
		{MaxBlockTxs: 10_000, MaxBodyBytes: 4 << 20},
		{MaxBlockTxs: 100_000, MaxBodyBytes: 32 << 20},
		{MaxBlockTxs: 1, MaxBodyBytes: 32 << 20},
	} {
		count, size := largestBatch(l)
		holds := func(memTable int64) bool {
			batch := 15 * memTable / 100
			return size < batch && count < batch/int64(skl.MaxNodeSize)
		}
		m := memTableSize(l)
		if !holds(m) || m > 1<<20 && holds(m-1<<20) {
			t.Errorf("%+v: memtable of %d MiB", l, m>>20)
		}
	}
}

// What the operating system refuses is not called damage, by whichever way it is told.
func TestErrorsOfTheSystemAreNoDamage(t *testing.T) {
	for _, e := range []syscall.Errno{syscall.EACCES, syscall.EROFS, syscall.EMFILE, syscall.ENOSPC, syscall.EIO} {
		for _, err := range []error{&fs.PathError{Op: "open", Path: "x", Err: e}, errors.New("Badger says: " + e.Error())} {
			got := openError("home/ledger", err)
			if errors.Is(got, ErrCorrupt) || !strings.Contains(got.Error(), "no damage") || !strings.Contains(got.Error(), e.Error()) {
				t.Errorf("%v: %v", e, got)
			}
		}
	}
	if got := openError("home/ledger", errors.New("checksum mismatch")); !errors.Is(got, ErrCorrupt) {
		t.Errorf("damage is %v", got)
	}
}
