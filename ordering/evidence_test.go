package ordering

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"reflect"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/coding"
	"grapevine/genesis"
)

// resign signs a block whose header was changed by f.
func (n network) resign(b *block.Block, f func(h *block.Header)) *block.Block {
	h := b.Header
	f(&h)
	return block.New(n.key.SignHeader(h), b.Txs)
}

// of makes a signed block of whatever transactions.
func (n network) of(txs ...*block.Tx) *block.Block {
	return block.New(n.key.SignHeader(block.Draft(n.ID(), block.Limits{}, n.start(), 1, n.key.Public(), txs)), txs)
}

func TestEvidence(t *testing.T) {
	n := newNetwork()
	a, b := n.on(n.start(), 1), n.on(n.start(), 2)
	user := sig.NewKey([32]byte{100})
	forged := block.TxFields{Sender: user.Public(), Expiry: 9}.Seal(block.Signature{1})
	stranger := network{n.Genesis, sig.NewKey([32]byte{66})}
	unsigned := block.New(block.SignedHeader{Header: n.of(forged).Header}, []*block.Tx{forged})
	elsewhere := n.on(block.Tip{Height: 4, ID: block.ID{4}}, 4)

	tests := []struct {
		name     string
		evidence *Evidence
		want     string // "": it convicts
	}{
		{"two blocks at one height", Equivocation(a.SignedHeader, b.SignedHeader), ""},
		{"two heights", Equivocation(a.SignedHeader, elsewhere.SignedHeader), "one header is at height"},
		{"one header twice", &Evidence{First: a.SignedHeader, Second: &a.SignedHeader}, "the same"},
		{"one unsigned", Equivocation(a.SignedHeader, unsigned.SignedHeader), "wrong signature"},
		{"one by another", Equivocation(a.SignedHeader, stranger.on(n.start(), 2).SignedHeader), "not by the orderer"},
		{"one of another network", Equivocation(a.SignedHeader, n.resign(b, func(h *block.Header) { h.Genesis = block.ID{5} }).SignedHeader), "belongs to network"},

		{"a good block", InvalidBlock(a), "breaks no rule"},
		{"no transactions", InvalidBlock(n.resign(a, func(h *block.Header) { h.TxCount = 0 })), ""},
		{"a header that no block can have, alone", &Evidence{First: n.resign(a, func(h *block.Header) { h.Params = 3 }).SignedHeader}, ""},
		{"wrong body size", InvalidBlock(n.resign(a, func(h *block.Header) { h.BodySize++ })), ""},
		{"wrong count", InvalidBlock(n.resign(n.of(n.tx(1), n.tx(2)), func(h *block.Header) { h.TxCount = 1 })), ""},
		{"wrong list of short IDs", InvalidBlock(n.resign(a, func(h *block.Header) { h.ShortHash = block.ID{1} })), ""},
		{"a transaction twice", InvalidBlock(n.of(n.tx(1), n.tx(1))), ""},
		{"an expired transaction", InvalidBlock(n.of(user.SignTx(n.ID(), block.TxFields{Expiry: 100_000}))), ""},
		{"a forged transaction", InvalidBlock(n.of(n.tx(1), forged)), ""},
		{"an invalid block, unsigned", InvalidBlock(unsigned), "wrong signature"},
		{"an invalid block of another", InvalidBlock(stranger.of(forged)), "not by the orderer"},
		{"a good header with a forged body", &Evidence{First: a.SignedHeader, Txs: []*block.Tx{forged}}, "does not commit"},
		{"a good header without its body", &Evidence{First: a.SignedHeader}, "does not commit"},
		{"a bad header with another body", &Evidence{First: n.of(forged).SignedHeader, Txs: a.Txs}, "does not commit"},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if err := tt.evidence.Verify(n.Genesis); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
				t.Errorf("error is %v, want %q", err, tt.want)
			}
			raw := tt.evidence.Encode()
			got, err := DecodeEvidence(raw)
			if tt.name == "one header twice" {
				if !errors.Is(err, block.ErrMalformed) {
					t.Errorf("decoded: %v", err)
				}
				return
			}
			if err != nil || !bytes.Equal(got.Encode(), raw) || got.Height() != tt.evidence.First.Height || !reflect.DeepEqual(got.Second, tt.evidence.Second) {
				t.Fatalf("through its bytes: %v", err)
			}
			if err := got.Verify(n.Genesis); (err == nil) != (tt.want == "") {
				t.Errorf("through its bytes, error is %v", err)
			}
		})
	}
	if x, y := Equivocation(a.SignedHeader, b.SignedHeader).Encode(), Equivocation(b.SignedHeader, a.SignedHeader).Encode(); !bytes.Equal(x, y) {
		t.Error("the bytes depend on the order of the headers")
	}
}

// Lists and bodies that are right under their roots are judged as blocks are.
func TestEvidenceOfCodedStrings(t *testing.T) {
	n := newNetwork()
	coded := n.Genesis.BlockLimits()
	coded.Coding = genesis.ReedSolomon
	g, err := genesis.New(genesis.Genesis{ChainID: "coded", Ordering: n.Ordering, Admission: n.Admission, Coding: genesis.ReedSolomon})
	if err != nil {
		t.Fatal(err)
	}
	user := sig.NewKey([32]byte{100})
	var txs []*block.Tx
	for i := range uint64(10) {
		txs = append(txs, user.SignTx(g.ID(), block.TxFields{Nonce: i, Expiry: 9, Payload: make([]byte, 1000)}))
	}
	start := block.Tip{ID: g.ID()}
	draft := block.Draft(g.ID(), coded, start, 1, n.key.Public(), txs)
	sign := func(f func(h *block.Header)) block.SignedHeader {
		h := draft
		f(&h)
		return n.key.SignHeader(h)
	}
	good := block.New(sign(func(*block.Header) {}), txs)
	other := block.New(n.key.SignHeader(block.Draft(g.ID(), coded, start, 1, n.key.Public(), append(txs[1:10:10], txs[0]))), txs)
	list, body := good.Code().List, good.Code().Body
	garbage := coding.New(body.Geometry, bytes.Repeat([]byte{1}, 5000))
	wrongList := coding.New(list.Geometry, bytes.Repeat([]byte{9}, 60))
	for _, tt := range []struct {
		name     string
		evidence *Evidence
		want     string // "": it convicts
	}{
		{"a good list", MalformedString(&good.SignedHeader, list.Bytes(), false), "breaks no rule"},
		{"a good body", MalformedString(&good.SignedHeader, body.Bytes(), true), "breaks no rule"},
		{"another body than the header's", MalformedString(&good.SignedHeader, garbage.Bytes(), true), "does not commit"},
		{"another list than the header's", MalformedString(&good.SignedHeader, wrongList.Bytes(), false), "does not commit"},
		{"too few bytes", &Evidence{First: good.SignedHeader, Coded: body.Bytes()[1:], IsBody: true}, "does not commit"},
		{"no bytes", &Evidence{First: good.SignedHeader, Coded: []byte{}, IsBody: true}, "does not commit"},
		{"a body that is none", MalformedString(ptr(sign(func(h *block.Header) { h.ShardRoot = garbage.Root() })), garbage.Bytes(), true), ""},
		{"a list that is none", MalformedString(ptr(sign(func(h *block.Header) { h.ShortHash = wrongList.Root() })), wrongList.Bytes(), false), ""},
		{"the transactions in another order", MalformedString(ptr(sign(func(h *block.Header) { h.ShardRoot = other.ShardRoot })), codeOf(g.ID(), coded, start, n, append(txs[1:10:10], txs[0])).Bytes(), true), ""},
		{"good transactions under a wrong root", InvalidBlock(block.New(sign(func(h *block.Header) { h.ShardRoot = block.ID{1} }), txs)), ""},
		{"by another", MalformedString(ptr(sig.NewKey([32]byte{66}).SignHeader(draft)), garbage.Bytes(), true), "wrong signature"},
	} {
		t.Run(tt.name, func(t *testing.T) {
			raw := tt.evidence.Encode()
			got, err := DecodeEvidence(raw)
			if err != nil || !bytes.Equal(got.Encode(), raw) {
				t.Fatalf("through its bytes: %v", err)
			}
			for _, e := range []*Evidence{tt.evidence, got} {
				if err := e.Verify(g); (err == nil) != (tt.want == "") || err != nil && !strings.Contains(err.Error(), tt.want) {
					t.Errorf("error is %v, want %q", err, tt.want)
				}
			}
		})
	}
	small := n.on(n.start(), 1)
	if err := (&Evidence{First: small.SignedHeader, Coded: []byte{1}, IsBody: true}).Verify(n.Genesis); err == nil || !strings.Contains(err.Error(), "has no coding") {
		t.Errorf("of a block without coding: %v", err)
	}
}

func ptr[T any](x T) *T { return &x }

func codeOf(g block.ID, l block.Limits, tip block.Tip, n network, txs []*block.Tx) *coding.Code {
	return block.New(block.SignedHeader{Header: block.Draft(g, l, tip, 1, n.key.Public(), txs)}, txs).Code().Body
}

func TestEvidenceDecoding(t *testing.T) {
	n := newNetwork()
	a, b := n.on(n.start(), 1), n.on(n.start(), 2)
	two, one := Equivocation(a.SignedHeader, b.SignedHeader).Encode(), InvalidBlock(a).Encode()
	edit := func(b []byte, at int, v byte) []byte { b = bytes.Clone(b); b[at] = v; return b }
	swapped := append(bytes.Clone(two[:2]), append(bytes.Clone(two[288:]), two[2:288]...)...)
	for name, tt := range map[string]struct {
		raw  []byte
		want error
	}{
		"nothing":          {nil, block.ErrMalformed},
		"version":          {edit(two, 0, 2), block.ErrUnsupported},
		"kind":             {edit(two, 1, 5), block.ErrUnsupported},
		"cut":              {two[:len(two)-1], block.ErrMalformed},
		"longer":           {append(bytes.Clone(two), 0), block.ErrMalformed},
		"order":            {swapped, block.ErrMalformed},
		"body cut":         {one[:len(one)-1], block.ErrMalformed},
		"body longer":      {append(bytes.Clone(one), 0), block.ErrMalformed},
		"more than a body": {edit(one, 291, 2), block.ErrMalformed},
		"many, no body":    {edit(one[:292], 288, 0xff), block.ErrMalformed},
		"header's version": {edit(one, 2, 9), block.ErrUnsupported},
		"no count":         {one[:291], block.ErrMalformed},
	} {
		if _, err := DecodeEvidence(tt.raw); !errors.Is(err, tt.want) {
			t.Errorf("%s: error is %v, want %v", name, err, tt.want)
		}
	}
}

func FuzzEvidence(f *testing.F) {
	n := newNetwork()
	a, b := n.on(n.start(), 1), n.on(n.start(), 2)
	f.Add(Equivocation(a.SignedHeader, b.SignedHeader).Encode())
	f.Add(InvalidBlock(a).Encode())
	f.Add(InvalidBlock(n.of(n.tx(1), n.tx(1))).Encode())
	f.Fuzz(func(t *testing.T, raw []byte) {
		e, err := DecodeEvidence(raw)
		if err != nil {
			return
		}
		if !bytes.Equal(e.Encode(), raw) {
			t.Fatalf("read %x, which is written %x", raw, e.Encode())
		}
		if e.Verify(n.Genesis) == nil && !bytes.Equal(raw, Equivocation(a.SignedHeader, b.SignedHeader).Encode()) &&
			!bytes.HasPrefix(raw[2:], n.of(n.tx(1), n.tx(1)).SignedHeader.Bytes()) {
			t.Fatalf("evidence out of nothing: %x", raw)
		}
	})
}

func ExampleEvidence() {
	n := newNetwork()
	one, other := n.on(n.start(), 1), n.on(n.start(), 2)
	proof := Equivocation(one.SignedHeader, other.SignedHeader).Encode()

	e, err := DecodeEvidence(proof)
	if err != nil {
		panic(err)
	}
	fmt.Println(e.Height(), e.Verify(n.Genesis))
	// Output: 1 <nil>
}

func TestKeptEvidence(t *testing.T) {
	n, path := newNetwork(), filepath.Join(t.TempDir(), "evidence")
	if e, err := KeptEvidence(path, n.Genesis); e != nil || err != nil {
		t.Fatalf("nothing was kept: %v, %v", e, err)
	}
	proof := Equivocation(n.on(n.start(), 1).SignedHeader, n.on(n.start(), 2).SignedHeader).Encode()
	if err := KeepEvidence(path, proof); err != nil {
		t.Fatal(err)
	}
	if e, err := KeptEvidence(path, n.Genesis); err != nil || !bytes.Equal(e.Encode(), proof) {
		t.Errorf("read back: %v, %v", e, err)
	}
	if err := KeepEvidence(path, proof[:len(proof)-1]); err != nil {
		t.Fatal(err)
	}
	if _, err := KeptEvidence(path, n.Genesis); err == nil || !strings.Contains(err.Error(), path) || !strings.Contains(err.Error(), "move it away") {
		t.Errorf("a damaged proof: error is %v, want the path and what to do", err)
	}
}
