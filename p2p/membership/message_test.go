package membership

import (
	"bytes"
	"errors"
	"reflect"
	"testing"

	"google.golang.org/protobuf/encoding/protowire"

	"grapevine/block"
	"grapevine/p2p/membership/memberpb"
	"grapevine/p2p/wire"
)

func entryOf(b byte) Entry { return Entry{block.PublicKey{b}, uint64(b), 1 << b, [16]byte{b}} }

func someMessages() []Message {
	beats := []Beat{{entryOf(1), 1, [32]byte{9}}, {entryOf(2), chainLength, [32]byte{8}}}
	return []Message{
		&Check{},
		&Check{Sum: Sum{1, 1 << 63}, Count: 7, Beats: beats, Reply: true},
		&Digest{High: highest, Entries: []Entry{entryOf(1), entryOf(2)}, Beats: beats},
		&Digest{Low: block.PublicKey{9}, High: block.PublicKey{3}, Entries: []Entry{entryOf(10), entryOf(11), entryOf(2)}},
		&Delta{},
		&Delta{Records: []*Record{someRecord(), {Version: 1}}, Want: []block.PublicKey{{1}, {2}}},
	}
}

func TestMessagesRoundTrip(t *testing.T) {
	for _, m := range someMessages() {
		got, err := Decode(Encode(m))
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%#v came back as %#v, %v", m, got, err)
		}
	}
}

func TestDecodeRefuses(t *testing.T) {
	digest := func(d *Digest) []byte { return Encode(d) }
	tests := map[string][]byte{
		"nothing":            nil,
		"another message":    protowire.AppendBytes(protowire.AppendTag(nil, 4, protowire.BytesType), nil),
		"two":                append(Encode(&Delta{}), Encode(&Delta{})...),
		"short sum":          wrap(fieldCheck, &memberpb.Check{Sum: make([]byte, 15)}),
		"half a heartbeat":   wrap(fieldCheck, &memberpb.Check{Sum: make([]byte, 16), Beats: make([]byte, 40)}),
		"heartbeat 0":        wrap(fieldCheck, &memberpb.Check{Sum: make([]byte, 16), Beats: appendBeats(nil, []Beat{{Entry: entryOf(1)}})}),
		"heartbeat too high": wrap(fieldCheck, &memberpb.Check{Sum: make([]byte, 16), Beats: appendBeats(nil, []Beat{{Entry: entryOf(1), Index: chainLength + 1}})}),
		"long number":        wrap(fieldDigest, &memberpb.Digest{Low: make([]byte, 32), High: highest[:], Entries: append(make([]byte, 32), 0x80, 0, 1)}),
		"no range":           wrap(fieldDigest, &memberpb.Digest{}),
		"entries descend":    digest(&Digest{High: highest, Entries: []Entry{entryOf(2), entryOf(1)}}),
		"entry twice":        digest(&Digest{High: highest, Entries: []Entry{entryOf(2), entryOf(2)}}),
		"entry out of range": digest(&Digest{High: block.PublicKey{1}, Entries: []Entry{entryOf(2)}}),
		"not around":         digest(&Digest{Low: block.PublicKey{9}, High: block.PublicKey{3}, Entries: []Entry{entryOf(2), entryOf(10)}}),
		"record cut":         wrap(fieldDelta, &memberpb.Delta{Records: []byte{200, 1, 1}}),
		"not a record":       wrap(fieldDelta, &memberpb.Delta{Records: append([]byte{205, 1}, make([]byte, 205)...)}),
		"half a want":        wrap(fieldDelta, &memberpb.Delta{Want: make([]byte, 33)}),
		"too many wants":     wrap(fieldDelta, &memberpb.Delta{Want: make([]byte, maxWant+32)}),
		"too many records":   wrap(fieldDelta, &memberpb.Delta{Records: make([]byte, maxRecords+1)}),
	}
	for name, in := range tests {
		if m, err := Decode(in); !errors.Is(err, wire.ErrMalformed) {
			t.Errorf("%s: %#v, %v", name, m, err)
		}
	}
}

// Full messages of each kind fit into one of the control lane.
func TestBudgetsFit(t *testing.T) {
	if n := maxBeats + maxEntries + 256; n > wire.MaxControl {
		t.Errorf("a digest may have %d bytes", n)
	}
	if n := maxRecords + maxWant + 256; n > wire.MaxControl {
		t.Errorf("a delta may have %d bytes", n)
	}
}

func TestSizes(t *testing.T) {
	for _, n := range []uint64{0, 1, 127, 128, 16383, 16384, 1<<63 - 1, 1 << 63} {
		e := Entry{Incarnation: n, Version: n + 1}
		if got, want := e.size(), len(appendEntry(nil, e)); got != want {
			t.Errorf("entry with %d: %d bytes, want %d", n, got, want)
		}
		b := Beat{Entry: e, Index: uint32(n) % chainLength}
		if got, want := b.size(), len(appendBeats(nil, []Beat{b})); got != want {
			t.Errorf("heartbeat with %d: %d bytes, want %d", n, got, want)
		}
	}
}

func fuzzMessage(f *testing.F, kind Message) {
	for _, m := range someMessages() {
		if reflect.TypeOf(m) == reflect.TypeOf(kind) {
			f.Add(Encode(m))
		}
	}
	f.Fuzz(func(t *testing.T, in []byte) {
		m, err := Decode(in)
		if err != nil {
			return
		}
		again := Encode(m)
		back, err := Decode(again)
		if err != nil || !bytes.Equal(Encode(back), again) {
			t.Fatalf("%#v came back as %#v, %v", m, back, err)
		}
	})
}

func FuzzCheck(f *testing.F)  { fuzzMessage(f, &Check{}) }
func FuzzDigest(f *testing.F) { fuzzMessage(f, &Digest{}) }
func FuzzDelta(f *testing.F)  { fuzzMessage(f, &Delta{}) }
