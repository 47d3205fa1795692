package block_test

import (
	"bytes"
	"encoding/binary"
	"errors"
	"strings"
	"testing"

	"grapevine/block"
)

func TestDecodeRefusals(t *testing.T) {
	good := tx(1, 20, 5).Bytes()
	change := func(raw []byte, at int, b byte) []byte {
		raw = bytes.Clone(raw)
		raw[at] = b
		return raw
	}
	b := sealed(tx(1, 20, 5), tx(2, 20, 5))
	counted := func(change func(h *block.Header)) []byte {
		h := b.SignedHeader
		change(&h.Header)
		return append(h.Bytes(), b.Body()...)
	}
	decodeTx := func(raw []byte) error { _, err := block.DecodeTx(raw); return err }
	decodeHeader := func(raw []byte) error { _, err := block.DecodeHeader(raw); return err }
	decodeSigned := func(raw []byte) error { _, err := block.DecodeSignedHeader(raw); return err }
	decode := func(raw []byte) error { _, err := block.Decode(raw); return err }
	for _, tc := range []struct {
		name   string
		decode func([]byte) error
		raw    []byte
		kind   error
		words  string
	}{
		{"nothing", decodeTx, nil, block.ErrMalformed, "0 bytes"},
		{"no room for a signature", decodeTx, good[:block.TxOverhead-1], block.ErrMalformed, "117 bytes"},
		{"cut payload", decodeTx, good[:len(good)-1], block.ErrMalformed, "payload of 5 bytes"},
		{"a byte more", decodeTx, append(bytes.Clone(good), 0), block.ErrMalformed, "1 bytes follow"},
		{"version 0", decodeTx, change(good, 0, 0), block.ErrUnsupported, "version 0"},
		{"version 2", decodeTx, change(good, 0, 2), block.ErrUnsupported, "version 2"},
		{"kind 2", decodeTx, change(good, 1, 2), block.ErrUnsupported, "kind 2"},
		{"payload of 4 GiB", decodeTx, change(good, 50, 0xff), block.ErrMalformed, "payload of 4278190085 bytes"},
		{"short header", decodeHeader, b.Header.Bytes()[:221], block.ErrMalformed, "221 bytes"},
		{"long header", decodeHeader, append(b.Header.Bytes(), 0), block.ErrMalformed, "223 bytes"},
		{"header version", decodeHeader, change(b.Header.Bytes(), 0, 9), block.ErrUnsupported, "version 9"},
		{"header without a signature", decodeSigned, b.Header.Bytes(), block.ErrMalformed, "222 bytes, want 286"},
		{"signed header version", decodeSigned, change(b.SignedHeader.Bytes(), 0, 9), block.ErrUnsupported, "version 9"},
		{"short block", decode, b.Bytes()[:285], block.ErrMalformed, "285 bytes, want 286"},
		{"block version", decode, change(b.Bytes(), 0, 9), block.ErrUnsupported, "version 9"},
		{"cut body", decode, b.Bytes()[:len(b.Bytes())-1], block.ErrMalformed, "the header says 246"},
		{"longer body", decode, append(b.Bytes(), 0), block.ErrMalformed, "the header says 246"},
		{"4 billion transactions", decode, counted(func(h *block.Header) { h.TxCount = 1<<32 - 1 }), block.ErrMalformed, "cannot hold"},
		{"one transaction fewer", decode, counted(func(h *block.Header) { h.TxCount = 1 }), block.ErrMalformed, "2 transactions, the header says 1"},
		{"a bad transaction", decode, change(b.Bytes(), len(b.Bytes())-int(b.BodySize)+123, 7), block.ErrUnsupported, "transaction 1: unsupported transaction version 7"},
	} {
		t.Run(tc.name, func(t *testing.T) { refused(t, tc.decode(tc.raw), tc.kind, tc.words) })
	}
}

func TestParseID(t *testing.T) {
	id := block.ID{0xab, 31: 0xcd}
	got, err := block.ParseID(id.String())
	if err != nil || got != id {
		t.Errorf("%s is read as %s, %v", id, got, err)
	}
	text, err := id.MarshalText()
	if err != nil || string(text) != id.String() || got.UnmarshalText(text) != nil || got != id {
		t.Errorf("text form is %s, %v", text, err)
	}
	if id.Short() != "ab000000" || id.IsZero() || !(block.ID{}).IsZero() {
		t.Errorf("Short is %s, IsZero %v", id.Short(), id.IsZero())
	}
	for _, bad := range []string{"", "ab", id.String() + "00", strings.Repeat("g", 64)} {
		if _, err := block.ParseID(bad); err == nil || !strings.Contains(err.Error(), "want 64 hexadecimal digits") {
			t.Errorf("%q: %v", bad, err)
		}
		if got := id; got.UnmarshalText([]byte(bad)) == nil || got != id {
			t.Errorf("%q is unmarshalled as %s", bad, got)
		}
	}
}

// seeds are the vectors, and what the refusals begin with.
func seeds(f *testing.F) vectors {
	v := loadVectors(f)
	f.Add([]byte{})
	f.Add([]byte(v.Header))
	f.Add([]byte(v.Block))
	f.Add(sealed(tx(1, 20, 0)).Bytes())
	for _, t := range v.Transactions {
		f.Add([]byte(t.Bytes))
	}
	return v
}

// known says whether an error is one of those that callers tell apart.
func known(err error) bool {
	return errors.Is(err, block.ErrMalformed) || errors.Is(err, block.ErrUnsupported)
}

func FuzzDecodeTx(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		tx, err := block.DecodeTx(raw)
		if err != nil {
			if tx != nil || !known(err) {
				t.Fatalf("%v with %v", err, tx)
			}
			return
		}
		if again := tx.Seal(tx.Signature); !bytes.Equal(again.Bytes(), raw) || again.ID() != tx.ID() {
			t.Fatalf("%x is written as %x", raw, again.Bytes())
		}
		if !bytes.Equal(tx.UnsignedBytes(), tx.TxFields.UnsignedBytes()) || tx.Size() != len(raw) {
			t.Fatalf("%x: unsigned bytes are %x", raw, tx.UnsignedBytes())
		}
		_ = tx.Check(limits)
		_ = tx.CheckExpiry(1, limits)
	})
}

func FuzzDecodeHeader(f *testing.F) {
	v := seeds(f)
	f.Add(append(bytes.Clone(v.Header), v.HeaderSignature...))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if h, err := block.DecodeHeader(raw); err == nil && !bytes.Equal(h.Bytes(), raw) {
			t.Fatalf("%x is written as %x", raw, h.Bytes())
		} else if err != nil && !known(err) {
			t.Fatal(err)
		}
		h, err := block.DecodeSignedHeader(raw)
		if err != nil {
			if !known(err) {
				t.Fatal(err)
			}
			return
		}
		if !bytes.Equal(h.Bytes(), raw) {
			t.Fatalf("%x is written as %x", raw, h.Bytes())
		}
		_ = h.Check(network, limits)
		_ = h.CheckParent(parent)
	})
}

func FuzzDecodeBlock(f *testing.F) {
	seeds(f)
	f.Fuzz(func(t *testing.T, raw []byte) {
		if b, err := block.Decode(fixed(raw)); err == nil {
			compare(t, b, fixed(raw))
		}
		b, err := block.Decode(raw)
		if err != nil {
			if b != nil || !known(err) {
				t.Fatalf("%v with %v", err, b)
			}
			return
		}
		compare(t, b, raw)
	})
}

// fixed is raw with the body size that it has, so that the fuzzer gets beyond that
// check.
func fixed(raw []byte) []byte {
	head := block.SignedHeaderSize
	if len(raw) > 0 && raw[0] == 1 {
		head -= 8
	}
	if len(raw) < head {
		return raw
	}
	raw = bytes.Clone(raw)
	binary.BigEndian.PutUint32(raw[89:], uint32(len(raw)-head))
	return raw
}

func compare(t *testing.T, b *block.Block, raw []byte) {
	t.Helper()
	if !bytes.Equal(b.Bytes(), raw) {
		t.Fatalf("%x is written as %x", raw, b.Bytes())
	}
	if int(b.TxCount) != len(b.Txs) || int(b.BodySize) != len(b.Body()) || b.ID() != b.Header.ID() {
		t.Fatalf("%x has %d transactions of %d bytes, its header says %d of %d", raw, len(b.Txs), len(b.Body()), b.TxCount, b.BodySize)
	}
	_ = b.Check(network, limits)
}
