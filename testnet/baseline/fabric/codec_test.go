package fabric

import (
	"bytes"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/p2p/wire"
)

const largest = 5000 // body

// every returns messages of every kind.
func every() []Message {
	list := blocks(maxItems)
	heights := []uint64{1, 5, 6, block.MaxHeight}
	return []Message{
		Push{list[1], 3}, Push{list[0], maxHop}, Hello{1 << 63}, Digest{7, heights}, Digest{7, []uint64{}}, Request{8, heights},
		Response{9, list[:2]}, Response{9, list}, Advert{5, 9}, Want{6, 0}, Answer{list[2], 4}, StateInfo{12}, StateRequest{1, 2, 3},
		StateResponse{4, []Block{}}, StateResponse{4, list[3:5]},
	}
}

// encode returns a message with bodies of the right sizes.
func encode(m Message) []byte {
	b := m.AppendTo(nil)
	for _, x := range m.Bodies() {
		b = append(b, bytes.Repeat(x.ID[:1], x.Size)...)
	}
	return b
}

func TestEncoding(t *testing.T) {
	kinds := map[byte]bool{}
	for _, m := range every() {
		b := encode(m)
		kinds[b[0]] = true
		if len(b) != m.Size() {
			t.Errorf("%T takes %d bytes, and says %d", m, len(b), m.Size())
		}
		if most := MaxMessage(m.Lane(), largest); len(b) > most {
			t.Errorf("%T takes %d bytes: the most in lane %s is %d", m, len(b), m.Lane(), most)
		}
		got, bodies, err := Decode(b, largest)
		if err != nil || !reflect.DeepEqual(got, m) {
			t.Errorf("%+v comes back as %+v, %v", m, got, err)
			continue
		}
		for i, x := range m.Bodies() {
			if len(bodies) != len(m.Bodies()) || !bytes.Equal(bodies[i], bytes.Repeat(x.ID[:1], x.Size)) {
				t.Errorf("%T: %d bodies come back", m, len(bodies))
			}
		}
		for n := range b {
			if _, _, err := Decode(b[:n], largest); !errors.Is(err, ErrMalformed) {
				t.Errorf("%T: error of its first %d bytes is %v", m, n, err)
			}
		}
		if _, _, err := Decode(append(b, 0), largest); !errors.Is(err, ErrMalformed) {
			t.Errorf("%T: error with a byte too many is %v", m, err)
		}
	}
	for k := range numKinds {
		if !kinds[k] {
			t.Errorf("no message here is of kind %d", k)
		}
	}
}

func TestVectors(t *testing.T) {
	x := blocks(2)[1]
	x.Size = 3
	one, zeros := "01"+strings.Repeat("00", 31), strings.Repeat("00", 31)
	for want, m := range map[string]Message{
		"0003" + "02" + zeros + one + "0000000000000002" + "00000003":         Push{x, 3},
		"020000000000000009" + "02" + "0000000000000001" + "0000000000000200": Digest{9, []uint64{1, 512}},
		"05000000000000000507":                                                             Advert{5, 7},
		"09000000000000000100000000000000020000000000000003":                               StateRequest{1, 2, 3},
		"0a0000000000000009" + "01" + "02" + zeros + one + "0000000000000002" + "00000003": StateResponse{9, []Block{x}},
	} {
		if got := hex.EncodeToString(m.AppendTo(nil)); got != want {
			t.Errorf("%+v is %s, want %s", m, got, want)
		}
	}
}

func TestMalformed(t *testing.T) {
	list := blocks(maxItems + 1)
	fat := list[0]
	fat.Size = largest + 1
	none := list[0]
	none.Height = 0
	for want, m := range map[string]Message{
		"12 items":                   Response{1, list},
		"13 items":                   Digest{1, make([]uint64, 13)},
		"height 5 after 5":           Request{1, []uint64{5, 5}},
		"height 0":                   Push{none, 0},
		"height 9007199254740992":    Advert{block.MaxHeight + 1, 0},
		"a body of 5001 bytes, want": Push{fat, 0},
	} {
		if _, _, err := Decode(encode(m), largest); !errors.Is(err, ErrMalformed) || !strings.Contains(err.Error(), want) {
			t.Errorf("%T: error is %v, want one with %q", m, err, want)
		}
	}
	for _, b := range [][]byte{nil, {numKinds}, {255, 1, 2}} {
		if _, _, err := Decode(b, largest); !errors.Is(err, ErrMalformed) {
			t.Errorf("%v: error is %v", b, err)
		}
	}
}

// A message of the largest size is one that the lane takes.
func TestLargestMessages(t *testing.T) {
	list := blocks(maxItems)
	for i := range list {
		list[i].Size = largest
	}
	if m := (Response{1, list}); m.Size() != MaxMessage(wire.Bodies, largest) {
		t.Errorf("a response takes %d bytes, the lane %d", m.Size(), MaxMessage(wire.Bodies, largest))
	}
}

func FuzzDecode(f *testing.F) {
	for _, m := range every() {
		f.Add(encode(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m, bodies, err := Decode(b, largest)
		if err != nil {
			return
		}
		again := m.AppendTo(nil)
		for _, x := range bodies {
			again = append(again, x...)
		}
		if !bytes.Equal(again, b) || m.Size() != len(b) {
			t.Errorf("%x is read as %+v, which is written as %x", b, m, again)
		}
	})
}
