package wire

import (
	"bytes"
	"errors"
	"math"
	"reflect"
	"strings"
	"testing"
	"time"

	"google.golang.org/protobuf/encoding/protowire"

	"grapevine/block"
)

func someHello() Hello {
	return Hello{
		Genesis: block.ID{1, 2, 3}, VersionLow: 1, VersionHigh: 3, Software: "grapevine 0.1",
		Tip: 12, Base: 1, Clock: time.Unix(1_700_000_000, 5), Instance: 0xfeedfacecafebeef,
		Started: time.Unix(1_600_000_000, 7),
	}
}

func someAlive() Alive {
	return Alive{Instance: 1, Started: time.Unix(-5, 0), Rival: math.MaxUint64, Signature: block.Signature{1, 63: 2}}
}

func TestControlRoundTrip(t *testing.T) {
	zero := Hello{VersionLow: 1, VersionHigh: math.MaxUint32, Clock: time.Unix(0, 0), Started: time.Unix(0, -1), Tip: math.MaxUint64}
	for _, c := range []ControlMessage{
		someHello(), zero, Goodbye{}, Goodbye{Code: Misbehaved, Text: "score −20"}, Goodbye{Code: 4711}, Membership{}, Membership{1, 2},
		Begin{}, Beat{}, Probe{}, Probe{Rival: 7}, someAlive(), Goodbye{Code: SameIdentity, Text: strings.Repeat("x", MaxText), Rival: new(someAlive())},
	} {
		got, err := DecodeControl(EncodeControl(c))
		if err != nil || !reflect.DeepEqual(got, c) {
			t.Errorf("%#v: came back as %#v, %v", c, got, err)
		}
	}
}

func TestEncodeCutsText(t *testing.T) {
	got, err := DecodeControl(EncodeControl(Goodbye{Text: "\xff" + strings.Repeat("é", MaxText)}))
	if err != nil {
		t.Fatal(err)
	}
	if text := got.(Goodbye).Text; text != "?"+strings.Repeat("é", 127) {
		t.Errorf("%d bytes: %q", len(text), text)
	}
}

func field(n protowire.Number, typ protowire.Type, value ...byte) []byte {
	return append(protowire.AppendTag(nil, n, typ), value...)
}

func TestDecodeControlRefuses(t *testing.T) {
	hello := EncodeControl(someHello())
	inner := func(b ...[]byte) []byte { return wrap(fieldHello, bytes.Join(b, nil)) }
	body := hello[2:]
	if hello[1] >= 0x80 {
		t.Fatal("the hello's length takes two bytes: adapt the test")
	}
	oldGenesis := field(1, protowire.BytesType, append([]byte{31}, make([]byte, 31)...)...)
	noVersions := bytes.Join([][]byte{field(1, protowire.BytesType, append([]byte{32}, make([]byte, 32)...)...)}, nil)
	tests := map[string][]byte{
		"nothing":            nil,
		"unknown message":    field(9, protowire.BytesType, 0),
		"two messages":       append(bytes.Clone(hello), EncodeControl(Goodbye{})...),
		"same message twice": append(bytes.Clone(hello), hello...),
		"number":             field(1, protowire.VarintType, 1),
		"cut":                hello[:len(hello)-1],
		"trailing byte":      append(bytes.Clone(hello), 0),
		"unknown field":      inner(body, field(10, protowire.VarintType, 1)),
		"field twice":        inner(body, field(5, protowire.VarintType, 1)),
		"wrong wire type":    inner(body[:34], field(2, protowire.Fixed32Type, 1, 0, 0, 0)),
		"version too large":  inner(body[:34], field(2, protowire.VarintType, 0x80, 0x80, 0x80, 0x80, 0x10)),
		"short genesis":      inner(oldGenesis),
		"no versions":        inner(noVersions),
		"long software":      inner(body[:34], field(4, protowire.BytesType, append([]byte{65}, make([]byte, 65)...)...)),
		"not UTF-8":          inner(body[:34], field(4, protowire.BytesType, 1, 0xff)),
		"group":              field(1, protowire.StartGroupType, 0x0c),
		"field zero":         {0, 0},
		"endless varint":     inner(field(5, protowire.VarintType, bytes.Repeat([]byte{0xff}, 11)...)),
		"begin with content": wrap(fieldBegin, []byte{1}),
		"probe of a varint":  wrap(fieldProbe, field(1, protowire.VarintType, 1)),
		"unsigned alive":     wrap(fieldAlive, nil),
		"alive within":       wrap(fieldGoodbye, field(3, protowire.BytesType, 2, 8, 1)),
		"text not UTF-8":     wrap(fieldGoodbye, field(2, protowire.BytesType, 1, 0xff)),
		"long text":          wrap(fieldGoodbye, field(2, protowire.BytesType, append([]byte{0x81, 2}, make([]byte, 257)...)...)),
	}
	for name, in := range tests {
		if got, err := DecodeControl(in); !errors.Is(err, ErrMalformed) {
			t.Errorf("%s: decoded as %#v, error %v", name, got, err)
		}
	}
	if _, err := DecodeControl(make([]byte, MaxControl+1)); !errors.Is(err, ErrOversize) {
		t.Errorf("oversize: %v", err)
	}
}

func FuzzDecodeControl(f *testing.F) {
	f.Add(EncodeControl(someHello()))
	f.Add(EncodeControl(Goodbye{Code: Leaving, Text: "bye"}))
	f.Add(EncodeControl(Membership("abc")))
	f.Add(EncodeControl(Goodbye{Rival: new(someAlive())}))
	f.Add(EncodeControl(Probe{Rival: 3}))
	f.Fuzz(func(t *testing.T, in []byte) {
		c, err := DecodeControl(in)
		if err != nil {
			return
		}
		again, err := DecodeControl(EncodeControl(c))
		if err != nil || !reflect.DeepEqual(again, c) {
			t.Fatalf("%#v came back as %#v, %v", c, again, err)
		}
	})
}

func FuzzScan(f *testing.F) {
	f.Add(EncodeControl(someHello())[2:])
	f.Fuzz(func(t *testing.T, in []byte) {
		if Scan(in, helloRules) != nil {
			return
		}
		for rest := in; len(rest) > 0; { // what passes can be walked to its end
			_, _, n := protowire.ConsumeField(rest)
			if n < 0 {
				t.Fatal(protowire.ParseError(n))
			}
			rest = rest[n:]
		}
	})
}
