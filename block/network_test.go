package block_test

import (
	"bytes"
	"errors"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
)

// A network to make blocks for.
var (
	network = block.ID{7}
	limits  = block.Limits{MaxTxBytes: 300, MaxBodyBytes: 1000, MaxBlockTxs: 4, MaxLifetime: 50}
	orderer = sig.NewKey([32]byte{1})
	sender  = sig.NewKey([32]byte{2})
	parent  = block.Tip{Height: 9, ID: block.ID{9}, TimeNano: 900}
)

func tx(nonce, expiry uint64, payload int) *block.Tx {
	return sender.SignTx(network, block.TxFields{Nonce: nonce, Expiry: expiry, Payload: bytes.Repeat([]byte{1}, payload)})
}

func sealed(txs ...*block.Tx) *block.Block {
	return block.New(orderer.SignHeader(block.Draft(network, block.Limits{}, parent, 1000, orderer.Public(), txs)), txs)
}

// refused wants an error of that kind with these words in it.
func refused(t *testing.T, err, kind error, words string) {
	t.Helper()
	if err == nil || !strings.Contains(err.Error(), words) || kind != nil && !errors.Is(err, kind) {
		t.Errorf("error is %v, want %v and %q in it", err, kind, words)
	}
}

func TestBlockCheck(t *testing.T) {
	good := sealed(tx(1, 20, 10), tx(2, 60, 0))
	if err := good.Check(network, limits); err != nil {
		t.Fatal(err)
	}
	if err := good.CheckParent(parent); err != nil {
		t.Fatal(err)
	}
	header := func(change func(h *block.Header)) *block.Block {
		h := good.SignedHeader
		change(&h.Header)
		return block.New(h, good.Txs)
	}
	for _, tc := range []struct {
		name  string
		b     *block.Block
		kind  error
		words string
	}{
		{"another network", header(func(h *block.Header) { h.Genesis = block.ID{8} }), block.ErrMalformed, "belongs to network 08000000"},
		{"parameters", header(func(h *block.Header) { h.Params = 1 }), block.ErrMalformed, "parameters' number is 1"},
		{"height 0", header(func(h *block.Header) { h.Height = 0 }), block.ErrMalformed, "height must be 1 to"},
		{"height too great", header(func(h *block.Header) { h.Height = block.MaxHeight + 1 }), block.ErrMalformed, "height must be 1 to"},
		{"time 0", header(func(h *block.Header) { h.TimeNano = 0 }), block.ErrMalformed, "time 0"},
		{"time below 0", header(func(h *block.Header) { h.TimeNano = -1 }), block.ErrMalformed, "time -1"},
		{"empty", sealed(), block.ErrMalformed, "no transactions"},
		{"too many", sealed(tx(1, 20, 0), tx(2, 20, 0), tx(3, 20, 0), tx(4, 20, 0), tx(5, 20, 0)), block.ErrMalformed, "5 transactions, the network's limit is 4"},
		{"too large a body", sealed(tx(1, 20, 182), tx(2, 20, 182), tx(3, 20, 182), tx(4, 20, 182)), block.ErrMalformed, "body of 1200 bytes"},
		{"impossible body size", header(func(h *block.Header) { h.BodySize = 2*block.TxOverhead - 1 }), block.ErrMalformed, "cannot hold 2"},
		{"coding", header(func(h *block.Header) { h.Coding = 1 }), block.ErrMalformed, "coding 1"},
		{"version", header(func(h *block.Header) { h.Version = 2 }), block.ErrMalformed, "version 2, the network's is 1"},
		{"shard root", header(func(h *block.Header) { h.ShardRoot = block.ID{1} }), block.ErrMalformed, "shard root without coding"},
		{"count", header(func(h *block.Header) { h.TxCount = 1 }), block.ErrMalformed, "2 transactions, the header says 1"},
		{"body size", header(func(h *block.Header) { h.BodySize++ }), block.ErrMalformed, "body of 246 bytes, the header says 247"},
		{"root", header(func(h *block.Header) { h.TxRoot[0]++ }), block.ErrMalformed, "transaction root"},
		{"short-ID list", header(func(h *block.Header) { h.ShortHash[0]++ }), block.ErrMalformed, "short-ID list"},
		{"twice", sealed(tx(1, 20, 0), tx(2, 20, 0), tx(1, 20, 0)), block.ErrMalformed, "stands in it twice"},
		{"too large a transaction", sealed(tx(1, 20, 183)), block.ErrTooLarge, "301 bytes, the network's limit is 300"},
		{"configuration", sealed(sender.SignTx(network, block.TxFields{Kind: block.KindConfig, Expiry: 20})), block.ErrUnsupported, "configuration"},
		{"no expiry", sealed(tx(1, 0, 0)), block.ErrMalformed, "expiry height is required"},
		{"expired", sealed(tx(1, 9, 0)), block.ErrExpired, "expiry height 9 is below 10"},
		{"expires too far ahead", sealed(tx(1, 61, 0)), block.ErrMalformed, "51 ahead of 10"},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.b.Check(network, limits), tc.kind, tc.words) })
	}
}

func TestCheckParent(t *testing.T) {
	h := sealed(tx(1, 20, 0)).Header
	for _, tc := range []struct {
		parent block.Tip
		words  string
	}{
		{block.Tip{Height: 8, ID: parent.ID, TimeNano: 900}, "does not follow height 8"},
		{block.Tip{Height: 10, ID: parent.ID, TimeNano: 900}, "does not follow height 10"},
		{block.Tip{Height: 9, ID: block.ID{1}, TimeNano: 900}, "stands on 09000000"},
		{block.Tip{Height: 9, ID: parent.ID, TimeNano: h.TimeNano}, "not after its parent's"},
	} {
		refused(t, h.CheckParent(tc.parent), nil, tc.words)
	}
}

func TestCheckList(t *testing.T) {
	b := sealed(tx(1, 20, 0), tx(2, 20, 0))
	list := b.List()
	if err := b.CheckList(list); err != nil {
		t.Fatal(err)
	}
	refused(t, b.CheckList(list[1:]), block.ErrList, "11 bytes for 2")
	list[3]++
	refused(t, b.CheckList(list), block.ErrList, "not the one")
}

// A header's time is the clock's, unless the parent's is later.
func TestDraftTimeIncreases(t *testing.T) {
	txs := []*block.Tx{tx(1, 20, 0)}
	for _, tc := range []struct{ now, want int64 }{{5000, 5000}, {901, 901}, {900, 901}, {3, 901}} {
		if h := block.Draft(network, block.Limits{}, parent, tc.now, orderer.Public(), txs); h.TimeNano != tc.want {
			t.Errorf("at %d on a parent of %d the time is %d, want %d", tc.now, parent.TimeNano, h.TimeNano, tc.want)
		}
	}
	if tip := sealed(txs...).Tip(); tip.Height != 10 || tip.TimeNano != 1000 || tip.ID != sealed(txs...).ID() {
		t.Errorf("tip is %+v", tip)
	}
}

// A transaction's signature covers every byte before it, and its ID those and the
// signature.
func TestEveryByteCounts(t *testing.T) {
	good := tx(1, 20, 5)
	for i := range good.Bytes() {
		raw := bytes.Clone(good.Bytes())
		raw[i] ^= 1
		bad, err := block.DecodeTx(raw)
		if err != nil {
			continue
		}
		if bad.ID() == good.ID() || sig.VerifyTx(network, bad) == nil {
			t.Errorf("byte %d can be changed", i)
		}
	}
	h := sealed(good).SignedHeader
	for i := range h.Bytes() {
		raw := h.Bytes()
		raw[i] ^= 1
		bad, err := block.DecodeSignedHeader(raw)
		if err == nil && sig.VerifyHeader(&bad) == nil {
			t.Errorf("byte %d of the header can be changed", i)
		}
	}
}
