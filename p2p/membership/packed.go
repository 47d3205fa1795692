package membership

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"

	"grapevine/block"
)

// reader takes packed values off the front of its bytes, and remembers the first
// error.
type reader struct {
	b   []byte
	err error
}

var errCut = errors.New("cut off")

func (r *reader) more() bool { return r.err == nil && len(r.b) > 0 }

func (r *reader) bytes(n uint64) []byte {
	if r.err == nil && uint64(len(r.b)) < n {
		r.err = errCut
	}
	if r.err != nil {
		return nil
	}
	out := r.b[:n]
	r.b = r.b[n:]
	return out
}

func (r *reader) key() (k [32]byte) {
	copy(k[:], r.bytes(32))
	return k
}

// uvarint takes a number in its shortest form.
func (r *reader) uvarint() uint64 {
	if r.err != nil {
		return 0
	}
	v, n := binary.Uvarint(r.b)
	if n <= 0 || n > 1 && r.b[n-1] == 0 {
		r.err = errors.New("not a number in its shortest form")
		return 0
	}
	r.b = r.b[n:]
	return v
}

func (r *reader) entry() Entry {
	e := Entry{Owner: block.PublicKey(r.key()), Incarnation: r.uvarint(), Version: r.uvarint()}
	copy(e.Print[:], r.bytes(uint64(len(e.Print))))
	return e
}

func cutEntries(b []byte) ([]Entry, error) {
	var out []Entry
	r := reader{b: b}
	for r.more() {
		out = append(out, r.entry())
	}
	return out, r.err
}

func cutBeats(b []byte) ([]Beat, error) {
	var out []Beat
	r := reader{b: b}
	for r.more() {
		x := Beat{Entry: r.entry()}
		index := r.uvarint()
		if r.err == nil && (index == 0 || index > chainLength) {
			return nil, fmt.Errorf("heartbeat %d, want 1 to %d", index, chainLength)
		}
		x.Index, x.Link = uint32(index), r.key()
		out = append(out, x)
	}
	return out, r.err
}

func cutRecords(b []byte) ([]*Record, error) {
	var out []*Record
	r := reader{b: b}
	for r.more() {
		raw := r.bytes(r.uvarint())
		if r.err != nil {
			break
		}
		rec, err := DecodeRecord(raw)
		if err != nil {
			return nil, err
		}
		out = append(out, &rec)
	}
	return out, r.err
}

// checkOrder refuses a digest whose entries do not ascend within its range.
func (d *Digest) checkOrder() error {
	for i, e := range d.Entries {
		if !within(e.Owner, d.Low, d.High) {
			return errors.New("an entry outside the range")
		}
		if i > 0 && !ascends(d.Low, d.Entries[i-1].Owner, e.Owner) {
			return errors.New("entries out of order")
		}
	}
	return nil
}

// within says whether k lies in a range that may wrap around.
func within(k, low, high block.PublicKey) bool {
	above, below := bytes.Compare(k[:], low[:]) >= 0, bytes.Compare(k[:], high[:]) <= 0
	if bytes.Compare(low[:], high[:]) <= 0 {
		return above && below
	}
	return above || below
}

// ascends says whether b comes after a on the way up from low and around.
func ascends(low, a, b block.PublicKey) bool {
	aWrapped, bWrapped := bytes.Compare(a[:], low[:]) < 0, bytes.Compare(b[:], low[:]) < 0
	if aWrapped != bWrapped {
		return bWrapped
	}
	return bytes.Compare(a[:], b[:]) < 0
}
