package mempool

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"io"
	"testing"

	"grapevine/block"
)

// Whatever a segment holds, reading it ends, and what it gives is what stands
// there to the byte.
func FuzzSegment(f *testing.F) {
	one := appendRecord(nil, newTx(1, 2, 3, 4), t0)
	segment := append(head{genesis: block.ID{9}, number: 5, base: 4}.bytes(), one...)
	f.Add(segment)
	f.Add(segment[:headSize])
	marked := bytes.Clone(segment)
	endBatch(marked[headSize:], 0)
	f.Add(marked)
	f.Add(append(head{number: 5, unmarked: true}.bytes(), one...))
	f.Add(segment[:len(segment)-1])
	f.Add(append(bytes.Clone(segment), make([]byte, 100)...))
	f.Add(appendRecord(bytes.Clone(segment), newTx(7, 7, 7, 300), t0.Add(1)))
	f.Fuzz(func(t *testing.T, raw []byte) {
		r := bufio.NewReader(bytes.NewReader(raw))
		h, err := readHead(r)
		if err != nil {
			return
		}
		out := h.bytes()
		for {
			rec, n, err := readRecord(r)
			if errors.Is(err, io.EOF) {
				if !bytes.Equal(out, raw) {
					t.Fatalf("read %x, which is written %x", raw, out)
				}
				return
			}
			if err != nil {
				break
			}
			before := len(out)
			out = appendRecord(out, rec.tx, rec.at)
			if rec.end {
				endBatch(out[before:], 0)
			}
			if len(out)-before != n {
				t.Fatalf("a record of %d bytes is said to have %d", len(out)-before, n)
			}
		}
		if !bytes.HasPrefix(raw, out) {
			t.Fatalf("read %x, which is written %x", raw, out)
		}
	})
}

func TestImpossibleRecordLengths(t *testing.T) {
	for _, n := range []uint32{0, 3, 7, 8, 8 + block.TxOverhead - 1, maxRecord + 1} {
		b := binary.BigEndian.AppendUint32(nil, n)
		b = append(b, make([]byte, 4+n)...)
		binary.BigEndian.PutUint32(b[4:], recordSum(b))
		if _, _, err := readRecord(bufio.NewReader(bytes.NewReader(b))); !errors.Is(err, errTorn) {
			t.Errorf("length %d: %v", n, err)
		}
	}
}
