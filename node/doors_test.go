package node_test

import (
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/fresh"
	"grapevine/genesis"
	"grapevine/mempool"
	"grapevine/node"
)

// Offer fills a pool as gossip would, and sends nothing: the block that names the
// transactions needs no fetch where they were offered, and one where they were not.
func TestOfferFillsThePoolOfThisNodeAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		seen := make(chan node.Accepted, 100)
		w := newWorld(t, 3, func(i int, c *node.Config) {
			c.Cutter.Timeout = 500 * time.Millisecond // time for the offers
			if i > 0 {
				c.OnAccepted = func(a node.Accepted) { seen <- a }
			}
		})
		defer w.stop()
		time.Sleep(2 * time.Second) // virtual: gossip has found its neighbours, and would spread
		txs := []*block.Tx{w.tx("a"), w.tx("b")}
		forged := txs[0].TxFields.Seal(txs[1].Signature)
		for _, i := range []int{0, 1} {
			v := w.nodes[i].Offer(time.Now(), []*block.Tx{txs[0], forged, txs[1]})
			if v[0].Status != mempool.Accepted || v[1].Status != mempool.Refused || v[2].Status != mempool.Accepted {
				t.Fatalf("verdicts are %+v: want accepted, refused, accepted", v)
			}
		}
		time.Sleep(400 * time.Millisecond) // virtual: what is spread would be there
		if n, _ := w.nodes[2].Pending(); n != 0 {
			t.Fatalf("%d offered transactions were passed on", n)
		}
		w.until(5*time.Second, "the block stands everywhere", func() bool { return w.everywhere(txs) })
		missing := []int{(<-seen).Missing, (<-seen).Missing}
		if slices.Sort(missing); missing[0] != 0 || missing[1] != 2 {
			t.Errorf("%v transactions were missing at the two peers, want 0 where they were offered and 2 where not", missing)
		}
	})
}

func TestSettingsOfTheProtocolAreChecked(t *testing.T) {
	key := sig.NewKey([32]byte{1})
	g, err := genesis.New(genesis.Genesis{
		ChainID: "test", Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range []struct {
		set  func(*node.Config)
		want []string
	}{
		{func(c *node.Config) { c.Protocol.Fresh.Mode = 9 }, []string{"mode", "9"}},
		{func(c *node.Config) { c.Protocol.Fresh.Fanout = -1 }, []string{"fanout", "-1"}},
		{func(c *node.Config) { c.Protocol.Fresh.PullEvery = -time.Second }, []string{"pull_every", "-1s"}},
		{func(c *node.Config) { c.Protocol.Fresh.FetchTimeout = time.Hour }, []string{"fetch_timeout", "1h", "1m"}},
		{func(c *node.Config) {
			c.Protocol.Fresh = fresh.Config{Mode: fresh.PushOnly, Fanout: 5, PullEvery: time.Second}
		}, nil},
	} {
		cfg := node.Config{Genesis: g, Key: key}
		c.set(&cfg)
		err := cfg.Check()
		if (err == nil) != (c.want == nil) {
			t.Errorf("error is %v, want one about %v", err, c.want)
		}
		for _, word := range c.want {
			if err != nil && !strings.Contains(err.Error(), word) {
				t.Errorf("error %q does not name %s", err, word)
			}
		}
	}
}
