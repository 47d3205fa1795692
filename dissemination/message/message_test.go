package message

import (
	"bytes"
	"errors"
	"reflect"
	"runtime"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/coding"
	pb "grapevine/dissemination/message/messagepb"
	"grapevine/p2p/wire"
)

var limits = block.Limits{MaxTxBytes: 4 << 10, MaxBodyBytes: 64 << 10, MaxBlockTxs: 100, MaxLifetime: 1000}

func testTx(n byte) *block.Tx {
	return sig.NewKey([32]byte{n}).SignTx(block.ID{1}, block.TxFields{Expiry: 5, Payload: []byte{n, n}})
}

func samples() []Message {
	txs := []*block.Tx{testTx(1), testTx(2), testTx(3)}
	h := block.Draft(block.ID{1}, block.Limits{}, block.Tip{Height: 4, ID: block.ID{7}, TimeNano: 9}, 10, block.PublicKey{3}, txs)
	ids := []block.ID{txs[0].ID(), txs[1].ID(), txs[2].ID()}
	header, b, shorts := block.SignedHeader{Header: h}, Describe(&h), h.ShortKey().List(ids)
	return []Message{
		&Announce{Block: b, Header: header, Listed: true, List: shorts, Hop: 3, Complete: true, At: []uint32{0, 2}, Sizes: sizesOf(txs[:2]), Txs: txs[:2]},
		&Announce{Block: b, Header: header, Listed: true, List: shorts, Pulled: true},
		&Announce{Block: b, Header: header, Coming: 300},
		&Announce{Block: b, Header: header, Listed: true, List: shorts, Hop: 200},
		&Pull{Tip: 9, Upto: 12, Have: ids, Headers: true},
		&Tip{Height: 4},
		&Evidence{Proof: []byte{1, 2, 3}},
		&Ordering{Data: []byte{1, 2, 3}},
		&Fetch{Number: 7, Block: ids[0], At: []uint32{0, 1, 5, 99}, Wait: 500 * time.Millisecond},
		&Part{Number: 7, Block: ids[0], At: []uint32{5}, Sizes: sizesOf(txs[2:]), Txs: txs[2:]},
		&Part{Number: 7, Block: ids[0], From: 3, IDs: ids},
		&Part{Number: 7, Block: ids[0], Refused: true},
		&Shards{Ref: 9, Body: true, Span: coding.Span{First: 300, Leaves: 2}, Pass: true, Bytes: 5, Hashes: 2, Data: []byte{1, 2, 3, 4, 5}, Proof: []coding.Hash{{1}, {2}}},
		&Shards{Ref: 9, Span: coding.Span{First: 0, Leaves: 1}},
		&Ask{Ref: 1 << 60, Body: true, Leaves: []Run{{0, 3}, {4, 1}, {300, 200}}, Wait: time.Second},
		&Enough{Ref: 1, Lacked: 300, Absent: []Run{{7, 1}}},
		&Enough{Ref: 1},
		&Got{Ref: 1, Body: true, First: 500},
		&Got{Ref: 1},
		&Stripes{Ages: Ages{0: 3, 7: NoAge, 63: 1}, Load: 80},
		&Stripes{},
		&Graft{Stripes: 1 << 63, Prune: 5, Urgent: true},
		&Graft{Stripes: 1},
		&Need{Ref: 1, Body: true, Leaves: []Run{{0, 5}, {9, 300}}},
		&Have{Ref: 1, Leaves: []Run{{7, 1}}},
		&GetRange{Number: 1, From: 2, Upto: 3, MaxBytes: 1000},
		&Chunk{Number: 1, Height: 2, Offset: 3, Length: 2, Size: 10, Data: []byte{1, 2}, Last: true, Tip: 9, Base: 1},
		&Chunk{Number: 1, Height: 300, Length: 3, Size: 1234, Data: []byte{1, 2, 3}},
		&Inventory{Salt: block.SipKey{K0: 1, K1: 2}, Low: 5, High: 100, Hashes: []uint64{5, 7, 100}, Reply: true},
		&Want{Salt: block.SipKey{K0: 1, K1: 2}, Hashes: []uint64{1, 9}},
		&Txs{Txs: txs},
	}
}

func TestDecodeGivesWhatWasEncoded(t *testing.T) {
	d := Decoder{limits}
	for _, m := range samples() {
		got, err := d.Decode(m.Lane(), Encode(m))
		if err != nil {
			t.Errorf("%T: %v", m, err)
			continue
		}
		if !bytes.Equal(Encode(got), Encode(m)) {
			t.Errorf("%T came back as\n%+v, was\n%+v", m, got, m)
		}
	}
}

// What the simulator reckons with is what the encoding takes, to the byte.
func TestSizesAreTheEncodings(t *testing.T) {
	list := append(samples(), &Pull{Upto: 64}, &Fetch{Number: 900, At: []uint32{0, 1, 7, 200, 299}}, &Tip{Height: 70000})
	for _, m := range list {
		if got, want := Size(m), wire.FramedSize(len(Encode(m))); got != want {
			t.Errorf("%T%+v: size is %d, its encoding has %d", m, m, got, want)
		}
	}
}

// Every kind of message that the .proto files declare stands among the samples, so that
// the tests of encoding, decoding and size forget none.
func TestEveryKindIsSampled(t *testing.T) {
	sampled := map[string]bool{}
	for _, m := range samples() {
		envelope := m.envelope().ProtoReflect()
		one := envelope.Descriptor().Oneofs().Get(0)
		sampled[string(envelope.WhichOneof(one).FullName())] = true
	}
	for _, envelope := range []proto.Message{&pb.Blocks{}, &pb.Bodies{}, &pb.Catchup{}, &pb.Pool{}} {
		fields := envelope.ProtoReflect().Descriptor().Oneofs().Get(0).Fields()
		for i := range fields.Len() {
			if name := string(fields.Get(i).FullName()); !sampled[name] {
				t.Errorf("%s has no sample: its decoding and its size are not tested", name)
			}
		}
	}
}

func TestWhatNoHonestPeerSendsIsRefused(t *testing.T) {
	d := Decoder{limits}
	big := block.TxFields{Expiry: 1, Payload: make([]byte, limits.MaxTxBytes)}.Seal(block.Signature{})
	config := block.TxFields{Kind: block.KindConfig, Expiry: 1}.Seal(block.Signature{})
	two := append(Encode(&Tip{Height: 1}), Encode(&Pull{Tip: 1})...)
	many := make([]uint32, 101)
	for i := range many {
		many[i] = uint32(i)
	}
	for _, c := range []struct {
		name string
		lane wire.Lane
		b    []byte
	}{
		{"empty", wire.Blocks, nil},
		{"two messages", wire.Blocks, two},
		{"on the wrong lane", wire.Bodies, Encode(&Inventory{})},
		{"on the control lane", wire.Control, Encode(&Tip{})},
		{"unknown field", wire.Blocks, append(Encode(&Tip{Height: 1}), 0x78, 1)},
		{"transaction over the limit", wire.Txs, Encode(&Txs{Txs: []*block.Tx{big}})},
		{"configuration transaction", wire.Txs, Encode(&Txs{Txs: []*block.Tx{config}})},
		{"places over the limit", wire.Bodies, Encode(&Fetch{At: many})},
		{"places descending", wire.Bodies, Encode(&Fetch{At: []uint32{5, 5}})},
		{"more transactions than places", wire.Bodies, Encode(&Part{At: []uint32{1}, Txs: []*block.Tx{testTx(1), testTx(2)}})},
		{"prefill beyond the count", wire.Blocks, Encode(&Announce{At: []uint32{3}, Txs: []*block.Tx{testTx(1)}})},
		{"IDs beyond the count", wire.Bodies, Encode(&Part{From: 100, IDs: []block.ID{{}}})},
		{"too many known blocks", wire.Blocks, Encode(&Pull{Have: make([]block.ID, MaxHave+1)})},
		{"hashes out of order", wire.Txs, Encode(&Want{Hashes: []uint64{2, 1}})},
		{"hashes out of range", wire.Txs, Encode(&Inventory{Low: 5, High: 6, Hashes: []uint64{7}})},
		{"range backwards", wire.Catchup, Encode(&GetRange{From: 5, Upto: 4})},
		{"chunk beyond the block", wire.Catchup, Encode(&Chunk{Height: 1, Size: 1, Data: []byte{1, 2}})},
		{"block over the limit", wire.Catchup, Encode(&Chunk{Height: 1, Size: 1 << 20, Data: []byte{1}})},
		{"hop over the limit", wire.Blocks, Encode(&Announce{Hop: 256})},
	} {
		m, err := d.Decode(c.lane, c.b)
		if err == nil {
			t.Errorf("%s: decoded as %+v", c.name, m)
		} else if !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: error %q does not match ErrMalformed", c.name, err)
		}
	}
}

// A message that repeats an empty field a million times costs less than its bytes.
func TestDecodingCostsNoMoreThanTheBytes(t *testing.T) {
	inner := bytes.Repeat(append(protowire.AppendTag(nil, 7, protowire.BytesType), 0), 500_000)
	b := protowire.AppendBytes(protowire.AppendTag(nil, 1, protowire.BytesType), inner)
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	if _, err := (Decoder{limits}).Decode(wire.Blocks, b); err == nil {
		t.Error("half a million prefills were decoded")
	}
	runtime.ReadMemStats(&after)
	if cost := after.TotalAlloc - before.TotalAlloc; cost > uint64(len(b)) {
		t.Errorf("decoding %d bytes allocated %d", len(b), cost)
	}
}

func TestPlaces(t *testing.T) {
	for _, at := range [][]uint32{nil, {0}, {99}, {0, 1, 2}, {7, 50, 99}} {
		got, err := unpackPlaces(packPlaces(at), 100)
		if err != nil || !reflect.DeepEqual(got, at) {
			t.Errorf("%v came back as %v, %v", at, got, err)
		}
	}
	for _, b := range [][]byte{{100}, {5, 0}, {0x80}, {0x80, 0}, {99, 1}, bytes.Repeat([]byte{0xff}, 11)} {
		if got, err := unpackPlaces(b, 100); err == nil {
			t.Errorf("%x was read as %v", b, got)
		}
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range samples() {
		f.Add(byte(m.Lane()), Encode(m))
	}
	d := Decoder{limits}
	f.Fuzz(func(t *testing.T, lane byte, b []byte) {
		m, err := d.Decode(wire.Lane(lane%byte(wire.NumLanes)), bytes.Clone(b))
		if err != nil {
			if !errors.Is(err, wire.ErrMalformed) {
				t.Fatalf("error %q does not match ErrMalformed", err)
			}
			return
		}
		again, err := d.Decode(m.Lane(), Encode(m))
		if err != nil || !bytes.Equal(Encode(again), Encode(m)) {
			t.Fatalf("%+v came back as %+v, %v", m, again, err)
		}
	})
}

// A stranger's header may say anything of its code: whoever decodes it survives that, and it
// counts as one without.
func TestHeadersOfImpossibleCodes(t *testing.T) {
	for _, h := range []block.Header{
		{Version: 2, Coding: 1},
		{Version: 2, Coding: 1, BodySize: 10_000, Symbols: 1, ListSize: 10},
		{Version: 2, Coding: 1, BodySize: 1<<32 - 1, Symbols: 1<<32 - 1, ListSize: 1<<32 - 1},
		{Version: 2, Coding: 200, BodySize: 10_000, Symbols: 79},
	} {
		m, err := Decoder{limits}.Decode(wire.Blocks, Encode(&Announce{Header: block.SignedHeader{Header: h}}))
		if err != nil {
			t.Errorf("%+v: %v", h, err)
			continue
		}
		if d := m.(*Announce).Block; d.Coded() {
			t.Errorf("%+v: it is taken for a code of %+v", h, d.BodyCode)
		}
	}
}
