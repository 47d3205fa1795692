package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"reflect"
	"strings"
	"testing"

	"grapevine/block"
)

func someRecord() *Record {
	return &Record{
		Owner: block.PublicKey{1, 31: 2}, Incarnation: 3, Version: 4, Anchor: [32]byte{5},
		Info: Info{
			Addrs: []string{"/ip4/192.0.2.1/udp/7400/quic-v1", "/ip4/192.0.2.1/tcp/7400"}, Orderer: true,
			Base: 1, Height: 99, Tip: block.ID{6}, Pool: 1234, Software: "grapevine 0.1", API: "http://192.0.2.1:7401",
		},
		Signature: block.Signature{7, 63: 8},
	}
}

// The vector changes only with the format's version.
func TestRecordVector(t *testing.T) {
	raw := someRecord().Bytes()
	sum := sha256.Sum256(raw)
	if got, want := hex.EncodeToString(sum[:8]), "5c51bb4185290222"; got != want || len(raw) != 295 {
		t.Errorf("SHA-256 of the %d bytes begins with %s, want %s of 295:\n%x", len(raw), got, want, raw)
	}
}

func TestRecordRoundTrip(t *testing.T) {
	full := someRecord()
	full.Software = strings.Repeat("s", MaxSoftware)
	full.API = strings.Repeat("a", MaxAPI)
	full.Addrs = []string{strings.Repeat("x", MaxAddr), strings.Repeat("y", MaxAddr), strings.Repeat("z", MaxAddr), "/"}
	bare := &Record{Version: 1, Left: true}
	for _, r := range []*Record{someRecord(), full, bare} {
		got, err := DecodeRecord(r.Bytes())
		if err != nil || !reflect.DeepEqual(&got, r) {
			t.Errorf("%+v came back as %+v, %v", r, got, err)
		}
	}
}

func TestDecodeRecordRefuses(t *testing.T) {
	raw := someRecord().Bytes()
	at := func(i int, b byte) []byte {
		out := bytes.Clone(raw)
		out[i] = b
		return out
	}
	long := someRecord()
	long.Addrs = nil
	for range 8 {
		long.Addrs = append(long.Addrs, strings.Repeat("x", MaxAddr))
	}
	many := someRecord()
	many.Addrs = strings.Split(strings.Repeat("x ", 8)+"x", " ")
	blank := someRecord()
	blank.Addrs = []string{""}
	latin := someRecord()
	latin.Software = "\xff"
	for name, in := range map[string][]byte{
		"nothing": nil, "cut": raw[:len(raw)-1], "one more": append(bytes.Clone(raw), 0),
		"format version": at(0, 2), "flag": at(49, 4), "software's length": at(138, 200),
		"version 0": at(48, 0), "number of addresses": at(138+1+13+1+21, 9),
		"too large": long.Bytes(), "nine addresses": many.Bytes(), "blank address": blank.Bytes(), "not UTF-8": latin.Bytes(),
	} {
		if _, err := DecodeRecord(in); !errors.Is(err, ErrRecord) {
			t.Errorf("%s: error %v", name, err)
		}
	}
	if err := long.Check(); err == nil {
		t.Error("Check lets a record pass that is too large")
	}
}

func FuzzDecodeRecord(f *testing.F) {
	f.Add(someRecord().Bytes())
	f.Add((&Record{Version: 1}).Bytes())
	f.Fuzz(func(t *testing.T, in []byte) {
		r, err := DecodeRecord(in)
		if err == nil && !bytes.Equal(r.Bytes(), in) {
			t.Fatal("decoded what it would not have written")
		}
	})
}

func TestChain(t *testing.T) {
	chain := newChain([32]byte{1})
	if len(chain) != chainLength+1 {
		t.Fatalf("%d links", len(chain))
	}
	at := func(i int) beat { return beat{uint32(i), chain[i]} }
	for _, test := range []struct {
		name string
		a, b beat
		want bool
	}{
		{"the first", at(0), at(1), true},
		{"the last", at(0), at(chainLength), true},
		{"a later one", at(7), at(700), true},
		{"the same", at(7), at(7), false},
		{"an earlier one", at(7), at(6), false},
		{"a wrong index", at(7), beat{9, chain[8]}, false},
		{"of another chain", at(7), beat{8, newChain([32]byte{2})[8]}, false},
		{"beyond the end", at(7), beat{chainLength + 1, chain[8]}, false},
	} {
		if got := test.b.follows(test.a); got != test.want {
			t.Errorf("%s: %v", test.name, got)
		}
	}
}

func TestGroup(t *testing.T) {
	for addr, want := range map[string]string{
		"/ip4/10.1.2.3/udp/1/quic-v1":   "10.1.0.0/16",
		"/ip4/10.1.99.3/tcp/1":          "10.1.0.0/16",
		"/ip6/2001:db8:1::1/tcp/1":      "2001:db8::/32",
		"/ip6/::ffff:10.1.2.3/tcp/1":    "10.1.0.0/16",
		"/dns4/Peer.example/udp/1/quic": "peer.example",
		"/ip4/300.1.1.1/tcp/1":          "?",
		"/unix/x":                       "?",
		"":                              "?",
		"/ip4":                          "?",
	} {
		if got := Group(addr); got != want {
			t.Errorf("%q is of group %q, want %q", addr, got, want)
		}
	}
}
