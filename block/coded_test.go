package block_test

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"fmt"
	"slices"
	"testing"

	"grapevine/block"
	"grapevine/coding"
)

// A network that codes.
var codes = block.Limits{MaxTxBytes: 3000, MaxBodyBytes: 100_000, MaxBlockTxs: 500, MaxLifetime: 50, Coding: 1}

func codedWith(change func(h *block.Header), txs ...*block.Tx) *block.Block {
	h := block.Draft(network, codes, parent, 1000, orderer.Public(), txs)
	change(&h)
	return block.New(orderer.SignHeader(h), txs)
}

func unchanged(*block.Header) {}

// large is transactions of more than CodedAbove bytes together, of several sizes.
func large() (txs []*block.Tx) {
	for i := range uint64(60) {
		txs = append(txs, tx(i, 20, 132+int(i/20)*61))
	}
	return txs
}

func TestCodedBlocks(t *testing.T) {
	b := codedWith(unchanged, large()...)
	if err := b.Check(network, codes); err != nil {
		t.Fatal(err)
	}
	raw := b.Bytes()
	if got, err := block.Decode(raw); err != nil || got.SignedHeader != b.SignedHeader || !bytes.Equal(got.Bytes(), raw) {
		t.Fatalf("%v: %+v is read as %+v", err, b.Header, got)
	}
	if b.Header.Size() != 230 || b.SignedHeader.Size() != 294 || len(b.Header.Bytes()) != 230 {
		t.Errorf("the header has %d bytes", b.Header.Size())
	}
	small := codedWith(unchanged, tx(1, 20, 10))
	if err := small.Check(network, codes); err != nil || small.Version != 2 || small.Coding != 0 {
		t.Errorf("a small block: %v, version %d, coding %d", err, small.Version, small.Coding)
	}
	ofSize := func(n int) *block.Block { return codedWith(unchanged, tx(1, 20, n-block.TxOverhead)) }
	limits := codes
	limits.MaxTxBytes = 10_000
	for n, want := range map[int]uint8{block.CodedAbove: 0, block.CodedAbove + 1: 1} {
		if b := ofSize(n); b.Coding != want || b.Check(network, limits) != nil {
			t.Errorf("coding of %d bytes is %d, want %d: %v", n, b.Coding, want, b.Check(network, limits))
		}
	}
}

func TestCodedBlocksAreRefused(t *testing.T) {
	many := large()
	with := func(change func(h *block.Header)) *block.Block { return codedWith(change, many...) }
	for _, tc := range []struct {
		name  string
		b     *block.Block
		words string
	}{
		{"version 1", with(func(h *block.Header) { h.Version = 1 }), "version 1, the network's is 2"},
		{"none", with(func(h *block.Header) { h.Coding = 0 }), "coding 0 of a body of"},
		{"another", with(func(h *block.Header) { h.Coding = 2 }), "coding 2 of a body of"},
		{"of a small body", codedWith(func(h *block.Header) { h.Coding = 1 }, tx(1, 20, 10)), "coding 1 of a body of 128 bytes, want 0"},
		{"symbols of a small body", codedWith(func(h *block.Header) { h.Symbols = 1 }, tx(1, 20, 10)), "1 symbols and a list of 0 bytes without coding"},
		{"list of a small body", codedWith(func(h *block.Header) { h.ListSize = 1 }, tx(1, 20, 10)), "a list of 1 bytes without coding"},
		{"shards of a small body", codedWith(func(h *block.Header) { h.ShardRoot = block.ID{1} }, tx(1, 20, 10)), "a shard root without coding"},
		{"no symbols", with(func(h *block.Header) { h.Symbols = 0 }), "0 symbols"},
		{"too many symbols", with(func(h *block.Header) { h.Symbols = 1000 }), "1000 symbols"},
		{"a symbol more", with(func(h *block.Header) { h.Symbols++ }), "the header says"},
		{"a short list", with(func(h *block.Header) { h.ListSize = 359 }), "a list of 359 bytes for 60 transactions"},
		{"a long list", with(func(h *block.Header) { h.ListSize = 601 }), "a list of 601 bytes for 60 transactions"},
		{"another size of the list", with(func(h *block.Header) { h.ListSize++ }), "a list of 369 bytes, the header says"},
		{"another list", with(func(h *block.Header) { h.ShortHash[0]++ }), "the list is not the one"},
		{"other shards", with(func(h *block.Header) { h.ShardRoot[0]++ }), "the shards are not those"},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.b.Check(network, codes), block.ErrMalformed, tc.words) })
	}
	if err := codedWith(unchanged, many...).Check(network, limits); err == nil {
		t.Error("a network without coding takes a coded block")
	}
}

// What stands under a header's roots gives the block back.
func TestReadCoded(t *testing.T) {
	b := codedWith(unchanged, large()...)
	c := b.Code()
	if c.List.Geometry != b.ListGeometry() || c.Body.Geometry != b.BodyGeometry() || block.ID(c.List.Root()) != b.ShortHash || block.ID(c.Body.Root()) != b.ShardRoot {
		t.Fatalf("%+v and %+v", c.List.Geometry, c.Body.Geometry)
	}
	if err := b.CheckList(b.List()); err != nil || b.ListBytes() != len(b.List()) {
		t.Error(err)
	}
	list, err := b.ReadList(c.List.Bytes())
	if err != nil || !bytes.Equal(list.Shorts, b.ShortKey().List(b.TxIDs())) {
		t.Fatal(err)
	}
	at := list.Offsets(&b.Header)
	for i, x := range b.Txs {
		if list.Sizes[i] != x.Size() || !bytes.Equal(c.Body.Bytes()[at[i]:at[i]+x.Size()], x.Bytes()) {
			t.Fatalf("transaction %d of %d bytes is not at %d", i, x.Size(), at[i])
		}
	}
	txs, err := b.ReadLaid(c.Body.Bytes())
	if err != nil || block.New(b.SignedHeader, txs).Check(network, codes) != nil {
		t.Errorf("the laid-out body is read as something else: %v", err)
	}
	wrong := bytes.Clone(b.List())
	wrong[3]++
	refused(t, b.CheckList(wrong), block.ErrList, "not the one")
	refused(t, b.CheckList(wrong[1:]), block.ErrList, "want 369")
}

func TestListsThatAreWrong(t *testing.T) {
	b := codedWith(unchanged, large()...)
	shorts := b.ShortKey().List(b.TxIDs())
	total := int(b.BodySize)
	runs := func(pairs ...int) (out []byte) {
		for _, v := range pairs {
			out = binary.AppendUvarint(out, uint64(v))
		}
		return out
	}
	for name, list := range map[string][]byte{
		"none":              nil,
		"no run":            runs(0, 250, 60, total/60),
		"too few":           runs(20, 250, 20, 311, 19, 372),
		"too many":          runs(20, 250, 20, 311, 21, 372),
		"another sum":       runs(20, 250, 20, 311, 20, 373),
		"a run in two":      runs(10, 250, 10, 250, 20, 311, 20, 372),
		"a small one":       runs(20, 250, 19, 311, 20, 372, 1, 117),
		"a huge one":        runs(20, 250, 20, 311, 19, 372, 1, 1<<32),
		"half a run":        append(runs(20, 250, 20, 311), 20),
		"a longer number":   append(runs(20, 250, 20, 311, 20), 0xf4, 0x82, 0x00),
		"other symbols":     runs(19, 250, 1, 257, 20, 311, 19, 372, 1, 365),
		"something after":   append(runs(20, 250, 20, 311, 20, 372), 0),
		"a number too long": bytes.Repeat([]byte{0xff}, 12),
	} {
		h := b.Header
		raw := append(slices.Clone(shorts), list...)
		h.ListSize = uint32(len(raw))
		if l, err := h.ReadList(raw); err == nil {
			t.Errorf("%s is read as %v", name, l.Sizes)
		}
	}
	h := b.Header
	if l, err := h.ReadList(append(slices.Clone(shorts), runs(20, 250, 20, 311, 20, 372)...)); err != nil {
		t.Errorf("the right one: %v, %v", l, err)
	}
}

func TestLaidOutBodiesThatAreWrong(t *testing.T) {
	b := codedWith(unchanged, large()...)
	good := b.Code().Body.Bytes()
	for _, at := range []int{0, 1, 50, 256} { // version, kind, length, the second one's version
		raw := bytes.Clone(good)
		raw[at] = 9
		if _, err := b.ReadLaid(raw); err == nil {
			t.Errorf("with another byte at %d it is read", at)
		}
	}
	for _, n := range []int{0, 100, len(good) - 1024} {
		if _, err := b.ReadLaid(good[:n]); err == nil {
			t.Errorf("%d bytes are read", n)
		}
	}
	// A code of other bytes than the transactions' does not make them right.
	if read, err := b.ReadLaid(good); err != nil || block.NewFrom(b.SignedHeader, read, b.Code().Body).Check(network, codes) != nil {
		t.Errorf("from its own code it is not right: %v", err)
	}
	wrong := b.SignedHeader
	other := coding.New(b.BodyGeometry(), append(bytes.Clone(good[:len(good)-1]), 5))
	wrong.ShardRoot = other.Root()
	if err := block.NewFrom(orderer.SignHeader(wrong.Header), b.Txs, other).Check(network, codes); err == nil {
		t.Error("what follows the last transaction under the root is not told from zeros")
	}
	gap := bytes.Clone(good) // 250 bytes leave 6 to the next symbol
	gap[253] = 1
	txs, err := b.ReadLaid(gap)
	if err == nil && coding.New(b.BodyGeometry(), gap).Root() == b.Code().Body.Root() {
		t.Errorf("what stands between transactions is not told from zeros: %d", len(txs))
	}
}

// The coded form of a block is what peers agree on.
func TestVectorOfACodedHeader(t *testing.T) {
	b := codedWith(unchanged, large()...)
	if got, want := hex.EncodeToString(b.Header.Bytes()[85:198]), "0000003c000048e45473a6029daa2d1d0818a1ffa4de2e1b38358ccd96f0bc1a0fd7201183c9edaf7c550cd98d6b5d6960f00257073f6e2abd8adaa6c95fce4f1e527a34bd2bc686014b483cc872062624591c0950b99f09ef463c94457c4a5a4babb2bde37a2f012a000000a000000171"; got != want {
		t.Errorf("from the count to the size of the list it is\n%s, want\n%s", got, want)
	}
	if got := fmt.Sprint(b.BodyGeometry(), b.ListGeometry()); got != "{128 8 160 64} {128 8 8 8}" {
		t.Errorf("geometries are %v", got)
	}
}
