package dissemination

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/coding"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/message"
	"grapevine/ordering"
	"grapevine/p2p/wire"
)

// large are n transactions of 600 bytes, of which 15 make a body that is coded.
func (d *desk) large(n int) []*block.Tx { return d.sized(n, 600) }

func (d *desk) sized(n, bytesEach int) []*block.Tx {
	out := make([]*block.Tx, n)
	for i := range out {
		out[i] = sig.NewKey([32]byte{2}).SignTx(d.genesis.ID(), block.TxFields{Nonce: uint64(i), Expiry: 100, Payload: bytes.Repeat([]byte{byte(i)}, bytesEach-block.TxOverhead)})
	}
	return out
}

// coming announces a block of which the producer sends so many leaves.
func coming(b *block.Block, leaves int) *message.Announce {
	return &message.Announce{Header: b.SignedHeader, Coming: leaves}
}

// shards are a span of a coded string of a block, with the whole proof.
func shards(id block.ID, c *coding.Code, body bool, first, leaves int) *message.Shards {
	m := &message.Shards{Ref: message.Ref(id), Body: body, Span: coding.Span{First: first, Leaves: leaves}}
	m.Data, m.Proof = c.Shards(m.Span)
	return m
}

func (d *desk) wantAccepted(via arrival.Via) {
	d.t.Helper()
	select {
	case f := <-d.facts:
		if f.Via != via {
			d.t.Errorf("it came via %v, want %v", f.Via, via)
		}
	default:
		d.t.Error("the block was not accepted")
	}
}

func (d *desk) wantHalted(words string) {
	d.t.Helper()
	select {
	case err := <-d.halted:
		if !strings.Contains(err.Error(), words) {
			d.t.Errorf("halted with %q, want %q in it", err, words)
		}
	default:
		d.t.Errorf("it did not halt; want %q", words)
	}
	if d.ledger.Tip().Height > 0 {
		d.t.Error("the block was appended")
	}
}

func TestBlocksAreRebuiltFromShards(t *testing.T) {
	openCoded(t, func(d *desk) {
		b := d.block(d.large(20))
		c := b.Code().Body
		data := c.DataLeaves()
		d.receive("a", coming(b, data+4))
		for leaf := 4; leaf < data+4; leaf++ { // the first four are made up for by parity
			if d.ledger.Tip().Height > 0 {
				t.Fatalf("it is accepted with %d leaves of %d", leaf-4, data)
			}
			d.receive("b", shards(b.ID(), c, true, leaf, 1))
		}
		d.wantAccepted(arrival.Shards)
		d.wantNoCharge()
		if d.ledger.Tip().ID != b.ID() {
			t.Error("the ledger has not got it")
		}
	})
}

func TestBlocksAreRebuiltFromThePoolAndParity(t *testing.T) {
	openCoded(t, func(d *desk) {
		txs := d.large(20)
		b := d.block(txs)
		c := b.Code()
		d.pool.Offer(time.Now(), append(txs[:7:7], txs[8:]...)) // of the eighth five symbols lack
		d.receive("a", coming(b, 1))
		for leaf := range c.List.DataLeaves() {
			d.receive("b", shards(b.ID(), c.List, false, leaf, 1))
		}
		if d.ledger.Tip().Height > 0 {
			t.Fatal("it is accepted without its eighth transaction")
		}
		d.receive("c", shards(b.ID(), c.Body, true, c.Body.DataLeaves(), 1))
		d.wantAccepted(arrival.Push)
		d.wantNoCharge()
	})
}

// A wrong shard costs its sender, and nobody else; what is here already is not even looked at.
func TestWrongShardsCostTheirSender(t *testing.T) {
	openCoded(t, func(d *desk) {
		b := d.block(d.large(20))
		c := b.Code().Body
		wrong := func(change func(m *message.Shards)) *message.Shards {
			m := shards(b.ID(), c, true, 0, 2)
			m.Data = bytes.Clone(m.Data)
			change(m)
			return m
		}
		d.receive("a", coming(b, c.DataLeaves()))
		for name, m := range map[string]*message.Shards{
			"another byte":  wrong(func(m *message.Shards) { m.Data[9]++ }),
			"another place": wrong(func(m *message.Shards) { m.Span.First = 2 }),
			"no span":       wrong(func(m *message.Shards) { m.Span.First = 1 }),
			"a byte less":   wrong(func(m *message.Shards) { m.Data = m.Data[1:] }),
			"another proof": wrong(func(m *message.Shards) { m.Proof[0][0]++ }),
		} {
			d.receive("b", m)
			select {
			case got := <-d.charged:
				if !strings.HasPrefix(got, "b: ") {
					t.Errorf("%s: charged %q", name, got)
				}
			default:
				t.Errorf("%s: nobody was charged", name)
			}
		}
		// Of what follows something that did not come nobody knows whether it is right.
		m := shards(b.ID(), c, true, 2, 2)
		m.Proof = m.Proof[:0]
		d.receive("b", m)
		d.wantNoCharge()
		d.receive("c", shards(b.ID(), c, true, 0, 2))
		d.receive("b", wrong(func(m *message.Shards) { m.Data[9]++ }))
		d.wantNoCharge()
		for leaf := range c.DataLeaves() {
			d.receive("c", shards(b.ID(), c, true, leaf, 1))
		}
		d.wantAccepted(arrival.Shards)
		d.wantNoCharge()
	})
}

// Who sends the whole code of a block again and again is charged, when it is more than may be
// passed on of what is here already: that is the code of one largest block.
func TestShardsAreBounded(t *testing.T) {
	openCoded(t, func(d *desk) {
		b := d.block(d.large(20))
		c := b.Code().Body
		d.receive("a", coming(b, c.DataLeaves()))
		m := shards(b.ID(), c, true, 0, 4)
		for i := 0; len(d.charged) == 0; i++ {
			if i > 10_000 {
				t.Fatal("so many shards of one block cost nothing")
			}
			d.receive("b", m)
		}
		d.wantCharge("asked for")
	})
}

// Whom an announcement has not reached gets shards of a block that it does not know: all of one
// costs its sender nothing, and more than any block has does.
func TestShardsOfUnknownBlocks(t *testing.T) {
	openCoded(t, func(d *desk) {
		b := d.block(d.large(150))
		c := b.Code().Body
		all := func() {
			for leaf := range c.Leaves() {
				d.receive("a", shards(b.ID(), c, true, leaf, 1))
			}
		}
		all()
		d.receive("b", coming(b, c.DataLeaves()+4))
		if len(d.charged) > 0 {
			t.Fatalf("charged %q", <-d.charged)
		}
		for id := byte(1); len(d.charged) == 0; id++ {
			if int(id)*c.Leaves()*c.LeafBytes() > 5*d.driver.limits.MaxBodyBytes {
				t.Fatal("shards of blocks that there are not cost nothing")
			}
			for leaf := range c.Leaves() {
				m := shards(block.ID{id}, c, true, leaf, 1)
				d.receive("a", m)
			}
		}
		d.wantCharge("asked for")
	})
}

// Whatever way brings what an orderer has made up, every peer comes to the same verdict.
func TestOrderersGarbageIsFoundByEveryWay(t *testing.T) {
	type way struct {
		name, words string
		sign        func(d *desk, h *block.Header, garbage *coding.Code)
		bring       func(d *desk, b *block.Block, garbage *coding.Code)
	}
	badBody := func(_ *desk, h *block.Header, garbage *coding.Code) { h.ShardRoot = garbage.Root() }
	badList := func(_ *desk, h *block.Header, garbage *coding.Code) { h.ShortHash = garbage.Root() }
	byShards := func(body bool) func(d *desk, b *block.Block, garbage *coding.Code) {
		return func(d *desk, b *block.Block, garbage *coding.Code) {
			d.receive("a", coming(b, 1))
			for leaf := range garbage.DataLeaves() {
				d.receive("b", shards(b.ID(), garbage, body, leaf, 1))
			}
		}
	}
	for _, w := range []way{
		{"a body, by shards", "orderer signed an invalid block", badBody, byShards(true)},
		{"a list, by shards", "orderer signed an invalid block", badList, byShards(false)},
		{"a body, by its list and requests", "the shards are not those", badBody, func(d *desk, b *block.Block, _ *coding.Code) {
			m := announce(b)
			m.Listed = true
			f := find[*message.Fetch](d.receive("a", m), "a")[0]
			d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), At: f.At, Txs: b.Txs})
		}},
		{"a list, by catch-up", "the list is not the one", badList, func(d *desk, b *block.Block, _ *coding.Code) {
			asked := find[*message.GetRange](d.receive("a", &message.Tip{Height: 50}), "")
			for len(asked) == 0 {
				time.Sleep(time.Second) // virtual
				asked = find[*message.GetRange](d.settle(), "")
			}
			raw := b.Bytes()
			for _, p := range []wire.PeerID{"a", "b", "c"} {
				for _, m := range asked {
					d.receive(p, &message.Chunk{Number: m.Number, Height: 1, Length: len(raw), Size: len(raw), Data: raw})
				}
			}
		}},
	} {
		t.Run(w.name, func(t *testing.T) {
			openCoded(t, func(d *desk) {
				txs := d.large(20)
				h := d.block(txs).Header
				g := h.ListGeometry()
				if strings.HasPrefix(w.name, "a body") {
					g = h.BodyGeometry()
				}
				garbage := coding.New(g, bytes.Repeat([]byte{7}, 900))
				w.sign(d, &h, garbage)
				b := block.New(d.orderer.SignHeader(h), txs)
				w.bring(d, b, garbage)
				d.wantHalted(w.words)
				for len(d.charged) > 0 {
					if got := <-d.charged; !strings.Contains(got, "asked for") { // one of three answers was
						t.Errorf("charged %q", got)
					}
				}
				raw := d.driver.evidence
				e, err := ordering.DecodeEvidence(raw)
				if err == nil {
					err = e.Verify(d.genesis)
				}
				if err != nil {
					t.Errorf("the proof, of %d bytes: %v", len(raw), err)
				}
			})
		})
	}
}

// A transaction that its sender did not sign is the orderer's fault, where all shards are right.
func TestForgedTransactionInShards(t *testing.T) {
	openCoded(t, func(d *desk) {
		txs := d.large(20)
		txs[3] = txs[3].TxFields.Seal(block.Signature{1})
		b := d.block(txs)
		c := b.Code().Body
		d.receive("a", coming(b, c.DataLeaves()))
		for leaf := range c.DataLeaves() {
			d.receive("b", shards(b.ID(), c, true, leaf, 1))
		}
		d.wantHalted("orderer signed an invalid block")
		d.wantNoCharge()
	})
}

// What is in the ledger is served from its code while that is in memory, and from the block
// after.
func TestShardsOfStoredBlocksAreServed(t *testing.T) {
	openCoded(t, func(d *desk) {
		var first *block.Block
		txs := d.large(15 * (codesKept + 2))
		for ; len(txs) > 0; txs = txs[15:] {
			b := d.block(txs[:15])
			if first == nil {
				first = b
			}
			c := b.Code().Body
			d.receive("a", coming(b, c.DataLeaves()))
			for leaf := range c.DataLeaves() {
				d.receive("b", shards(b.ID(), c, true, leaf, 1))
			}
			if d.ledger.Tip().ID != b.ID() {
				t.Fatalf("the block at height %d is not in the ledger", b.Height)
			}
		}
		if !d.driver.codes.get(message.Ref(first.ID())).dropped() {
			t.Error("the code of the first block is still in memory")
		}
		for range 2 {
			got := find[*message.Shards](d.receive("c", &message.Ask{Ref: message.Ref(first.ID()), Body: true, Leaves: []message.Run{{First: 2, Count: 3}}, Wait: time.Second}), "c")
			leaves := 0
			for _, m := range got {
				want, _ := first.Code().Body.Shards(m.Span)
				if !bytes.Equal(m.Data, want) {
					t.Errorf("leaves from %d on are others", m.Span.First)
				}
				leaves += m.Span.Leaves
			}
			if leaves != 3 {
				t.Errorf("%d leaves come of three: %v", leaves, got)
			}
			d.driver.codes.get(message.Ref(first.ID())).drop()
		}
	})
}
