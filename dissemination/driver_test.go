package dissemination

import (
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/message"
	"grapevine/ordering"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

func TestBlockIsRebuiltFromThePoolAndWhatIsFetched(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(5)
		d.pool.Offer(time.Now(), txs[:2])
		b := d.block(txs)
		sent := d.receive("a", announce(b, 2))
		relayed := find[*message.Announce](sent, "")
		if len(relayed) != 2 || len(relayed[0].Txs) != 1 || relayed[0].Hop != 1 {
			t.Fatalf("%d announcements were passed on: want two, hop 1, with what the prefill brought", len(relayed))
		}
		fetches := find[*message.Fetch](sent, "a")
		if len(fetches) != 1 || !slices.Equal(fetches[0].At, []uint32{3, 4}) {
			t.Fatalf("asked %+v: want places 3 and 4", fetches)
		}
		time.Sleep(20 * time.Millisecond) // virtual
		d.receive("a", &message.Part{Number: fetches[0].Number, Block: b.ID(), At: []uint32{3, 4}, Txs: txs[3:]})
		d.wantNoCharge()
		f := <-d.facts
		if f.Height != 1 || f.Via != arrival.Push || f.From != "a" || f.Missing != 2 || f.Latency < 20*time.Millisecond {
			t.Errorf("fact is %+v: want height 1 by push from a, 2 fetched, 20 ms or more", f)
		}
		if tip := d.ledger.Tip(); tip.ID != b.ID() {
			t.Errorf("tip is %+v, want block %s", tip, b.ID())
		}
		if d.pool.Has(txs[0].ID()) && len(d.pool.Select(time.Time{}, 2, 10, 1000, 1000)) > 0 {
			t.Error("committed transactions are still on offer")
		}
		// A request for it is served from the ledger from now on.
		parts := find[*message.Part](d.receive("c", &message.Fetch{Number: 9, Block: b.ID(), At: []uint32{1, 4}}), "c")
		if len(parts) != 1 || len(parts[0].Txs) != 2 || parts[0].Txs[1].ID() != txs[4].ID() {
			t.Errorf("answered %+v: want transactions 1 and 4", parts)
		}
		parts = find[*message.Part](d.receive("c", &message.Fetch{Number: 10, Block: b.ID()}), "c")
		if len(parts) != 1 || !slices.Equal(parts[0].IDs, b.TxIDs()) {
			t.Errorf("answered %+v: want the list of IDs", parts)
		}
	})
}

// A peer serves what it has of a block that it lacks the rest of.
func TestPartOfABodyIsServed(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(4)
		d.pool.Offer(time.Now(), txs[:2])
		b := d.block(txs)
		d.receive("a", announce(b))
		parts := find[*message.Part](d.receive("c", &message.Fetch{Number: 9, Block: b.ID(), At: []uint32{0, 1}}), "c")
		if len(parts) != 1 || len(parts[0].Txs) != 2 || parts[0].Txs[1].ID() != txs[1].ID() {
			t.Errorf("answered %+v: want transactions 0 and 1", parts)
		}
	})
}

func TestWrongAnnouncementsAreChargedAndNotPassedOn(t *testing.T) {
	other := sig.NewKey([32]byte{9})
	for name, c := range map[string]struct {
		word string
		make func(d *desk, b *block.Block) *message.Announce
	}{
		"signature of another block": {"signature", func(d *desk, b *block.Block) *message.Announce {
			m := announce(b)
			m.Header.Signature = d.block(d.txs(1)).Signature
			return m
		}},
		"another producer": {"orderer", func(d *desk, b *block.Block) *message.Announce {
			h := b.Header
			h.Producer = other.Public()
			return announce(block.New(other.SignHeader(h), b.Txs))
		}},
		"another network": {"network", func(d *desk, b *block.Block) *message.Announce {
			h := b.Header
			h.Genesis[0]++
			return announce(block.New(d.orderer.SignHeader(h), b.Txs))
		}},
		"swapped short IDs": {"short IDs", func(d *desk, b *block.Block) *message.Announce {
			m := announce(b)
			for i := range block.ShortSize {
				m.List[i], m.List[i+block.ShortSize] = m.List[i+block.ShortSize], m.List[i]
			}
			return m
		}},
		"swapped prefill": {"does not match short ID", func(d *desk, b *block.Block) *message.Announce {
			m := announce(b, 0, 1)
			m.Txs[0], m.Txs[1] = m.Txs[1], m.Txs[0]
			return m
		}},
		"over the limit": {"malformed", func(d *desk, b *block.Block) *message.Announce {
			h := b.Header
			h.BodySize = 1 << 30
			return announce(block.New(d.orderer.SignHeader(h), b.Txs))
		}},
	} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				sent := d.receive("a", c.make(d, d.block(d.txs(3))))
				d.wantCharge(c.word)
				if len(sent) > 0 {
					t.Errorf("it was answered or passed on: %+v", sent)
				}
			})
		})
	}
}

func TestPrefillWithAWrongSignatureIsCharged(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		forged := txs[1].TxFields.Seal(txs[0].Signature)
		b := d.block([]*block.Tx{txs[0], forged}) // the orderer is in it
		sent := d.receive("a", announce(b, 1))
		d.wantCharge("wrong signature")
		if len(sent) > 0 {
			t.Errorf("it was answered or passed on: %+v", sent)
		}
	})
}

func TestWrongPartsAreChargedAndAskedOfAnother(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		b := d.block(txs)
		f := find[*message.Fetch](d.receive("a", announce(b)), "a")[0]
		d.receive("b", announce(b))
		again := d.receive("a", &message.Part{Number: f.Number, Block: b.ID(), At: []uint32{0, 1}, Txs: []*block.Tx{txs[1], txs[0]}})
		d.wantCharge("does not belong at place 0")
		g := find[*message.Fetch](again, "b")
		if len(g) != 1 || len(g[0].At) != 3 {
			t.Fatalf("after a wrong answer asked %+v: want all three of b", g)
		}
		// Nothing that was not asked for is taken, and nobody is charged for being late.
		d.receive("c", &message.Part{Number: g[0].Number, Block: b.ID(), At: []uint32{0, 1, 2}, Txs: txs})
		d.receive("b", &message.Part{Number: 999, Block: b.ID(), At: []uint32{0, 1, 2}, Txs: txs})
		d.wantNoCharge()
		if d.ledger.Tip().Height != 0 {
			t.Fatal("a block was accepted from what nobody was asked for")
		}
		d.receive("b", &message.Part{Number: g[0].Number, Block: b.ID(), At: []uint32{0, 1, 2}, Txs: txs})
		if d.ledger.Tip().ID != b.ID() {
			t.Error("the block was not accepted in the end")
		}
	})
}

func TestGarbageIsChargedOnEveryLane(t *testing.T) {
	open(t, func(d *desk) {
		for lane := wire.Blocks; lane < wire.NumLanes; lane++ {
			d.driver.Receive("a", lane, []byte("no message of ours"))
			d.wantCharge("malformed")
		}
	})
}

func TestTwoBlocksAtAHeightHaltThePeerAndAreProven(t *testing.T) {
	for name, committed := range map[string]bool{"before the first is accepted": false, "after": true} {
		t.Run(name, func(t *testing.T) {
			open(t, func(d *desk) {
				txs := d.txs(5)
				tip := d.ledger.Tip()
				first, second := d.blockOn(tip, txs[:2]), d.blockOn(tip, txs[2:4])
				if committed {
					d.pool.Offer(time.Now(), txs)
				}
				d.receive("a", announce(first))
				sent := d.receive("b", announce(second))
				for _, p := range []wire.PeerID{"a", "b", "c"} {
					if len(find[*message.Evidence](sent, p)) != 1 {
						t.Errorf("%s was not shown the proof", p)
					}
				}
				if err := <-d.halted; !strings.Contains(err.Error(), "height 1") {
					t.Errorf("halted with %q: want the height named", err)
				}
				d.wantNoCharge()
				height := d.ledger.Tip().Height
				d.receive("a", announce(d.blockOn(first.Tip(), txs[4:]), 0))
				if d.ledger.Tip().Height != height {
					t.Error("a block of the producer was appended after the proof")
				}
			})
		})
	}
}

func TestProofOfAPeerHalts(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		a, b := d.block(txs[:1]), d.block(txs[1:])
		proof := ordering.Equivocation(a.SignedHeader, b.SignedHeader).Encode()
		forged := slices.Clone(proof)
		forged[len(forged)-1]++
		d.receive("a", &message.Evidence{Proof: forged})
		d.wantCharge("signature")
		d.receive("a", &message.Evidence{Proof: proof})
		if err := <-d.halted; err == nil {
			t.Error("halted without a reason")
		}
	})
}

// A disk that does not take the proof is asked again until it does. The peer is halted
// meanwhile, spreads the proof, and says that a restart would forget it.
func TestProofIsKeptInTheEnd(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(2)
		a, b := d.block(txs[:1]), d.block(txs[1:])
		full, kept := true, make(chan []byte, 1)
		d.driver.cfg.KeepEvidence = func(proof []byte) error { // called by the loop, as the line below is
			if full {
				return errors.New("no space left on device")
			}
			kept <- proof
			return nil
		}
		proof := ordering.Equivocation(a.SignedHeader, b.SignedHeader).Encode()
		sent := d.receive("a", &message.Evidence{Proof: proof})
		if len(find[*message.Evidence](sent, "b")) != 1 {
			t.Error("the proof was not spread")
		}
		if err := <-d.halted; strings.Contains(err.Error(), "no space") {
			t.Errorf("halted with %q before it was tried to keep the proof", err)
		}
		for range 2 {
			if err := <-d.halted; !strings.Contains(err.Error(), "no space") || !strings.Contains(err.Error(), "before the node is stopped") {
				t.Errorf("halted with %q: want why the proof is not kept, and what to do", err)
			}
		}
		d.driver.post(func(time.Time) { full = false })
		if got := <-kept; !slices.Equal(got, proof) {
			t.Errorf("kept %x", got)
		}
		if err := <-d.halted; strings.Contains(err.Error(), "no space") {
			t.Errorf("halted with %q after the proof was kept", err)
		}
	})
}

func TestUnaskedTransactionsAreNotTaken(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		d.receive("a", &message.Txs{Txs: txs})
		if n, _, _ := d.pool.Pending(); n != 0 {
			t.Fatalf("%d transactions were taken unasked", n)
		}
		salt := block.SipKey{K0: 1, K1: 2}
		var hashes []uint64
		for _, x := range txs {
			hashes = append(hashes, salt.Sum64(x.ID()))
		}
		slices.Sort(hashes)
		sent := d.receive("a", &message.Inventory{Salt: salt, High: ^uint64(0), Hashes: hashes})
		if w := find[*message.Want](sent, "a"); len(w) != 1 || !slices.Equal(w[0].Hashes, hashes) {
			t.Fatalf("answered %+v: want a Want of all three", sent)
		}
		forged := txs[0].TxFields.Seal(txs[1].Signature)
		d.receive("a", &message.Txs{Txs: []*block.Tx{forged, txs[1]}})
		d.wantCharge("wrong signature")
		d.receive("a", &message.Txs{Txs: []*block.Tx{txs[2], txs[0]}}) // one more was asked for
		if n, _, _ := d.pool.Pending(); n != 2 {
			t.Errorf("%d transactions are in the pool, want 2", n)
		}
	})
}

func TestGossipVerdicts(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(3)
		far := sig.NewKey([32]byte{2}).SignTx(d.genesis.ID(), block.TxFields{Expiry: 1 << 40})
		foreign := sig.NewKey([32]byte{2}).SignTx(block.ID{9}, block.TxFields{Expiry: 5})
		for _, c := range []struct {
			name string
			data []byte
			want p2p.Verdict
		}{
			{"two new ones", message.Encode(&message.Txs{Txs: txs[:2]}), p2p.VerdictAccept},
			{"one new, one known", message.Encode(&message.Txs{Txs: txs[1:]}), p2p.VerdictAccept},
			{"nothing new", message.Encode(&message.Txs{Txs: txs}), p2p.VerdictIgnore},
			{"expiry too far ahead", message.Encode(&message.Txs{Txs: []*block.Tx{far}}), p2p.VerdictIgnore},
			{"of another network", message.Encode(&message.Txs{Txs: []*block.Tx{foreign}}), p2p.VerdictReject},
			{"garbage", []byte("garbage"), p2p.VerdictReject},
			{"another message", message.Encode(&message.Want{}), p2p.VerdictReject},
		} {
			if got := d.driver.Validate(t.Context(), "a", c.data); got != c.want {
				t.Errorf("%s: verdict %v, want %v", c.name, got, c.want)
			}
		}
		for range 3 {
			<-d.charged
		}
		d.wantNoCharge()
	})
}

// A full pool asks for nothing, remembers what gossip brought, and asks for it once
// a block has made room.
func TestFullPoolAsksLater(t *testing.T) {
	open(t, func(d *desk) {
		txs := d.txs(poolMax + 2)
		d.pool.Offer(time.Now(), txs[:poolMax])
		if v := d.driver.Validate(t.Context(), "a", message.Encode(&message.Txs{Txs: txs[poolMax : poolMax+1]})); v != p2p.VerdictIgnore {
			t.Fatalf("verdict %v on what there is no room for, want ignore", v)
		}
		salt := block.SipKey{K0: 1}
		sent := d.receive("a", &message.Inventory{Salt: salt, High: ^uint64(0), Hashes: []uint64{salt.Sum64(txs[poolMax+1].ID())}})
		if w := find[*message.Want](sent, ""); len(w) > 0 {
			t.Fatal("a full pool asks for more")
		}
		wants := find[*message.Want](d.receive("b", announce(d.block(txs[:2]))), "")
		if d.ledger.Tip().Height != 1 {
			t.Fatal("the block was not accepted")
		}
		if len(wants) != 1 || len(wants[0].Hashes) != 1 || wants[0].Salt.Sum64(txs[poolMax].ID()) != wants[0].Hashes[0] {
			t.Errorf("asked %+v: want the one that gossip brought", wants)
		}
	})
}
