package mempool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"time"

	"grapevine/block"
)

// A segment file is a head and records, integers big-endian, checksums CRC-32C.
//
//	head, 56 bytes:
//	     0     4  "GVJ" and the version, 1
//	     4    32  genesis ID
//	    36     8  number of this segment
//	    44     8  number of the lowest segment that still counts beside this one
//	    52     4  checksum of bytes 0 … 52
//
//	record, 16 + n bytes:
//	     0     4  length 8 + n of what follows the checksum
//	     4     4  checksum of the length and of what follows
//	     8     8  when the transaction came, nanoseconds since 1970
//	    16     n  the transaction's canonical bytes
const (
	headSize       = 56
	recordOverhead = 16
	// maxRecord bounds a record's length field: twice the largest transaction that
	// any genesis may allow.
	maxRecord = 2 << 20
)

const journalMagic = "GVJ\x01"

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that a record is cut off or damaged. At the end of the last segment
// that is a write that a crash interrupted; anywhere else the disk is at fault.
var errTorn = errors.New("cut off or damaged")

// head is the beginning of a segment.
type head struct {
	genesis      block.ID
	number, base uint64
}

func (h head) bytes() []byte {
	b := append(make([]byte, 0, headSize), journalMagic...)
	b = append(b, h.genesis[:]...)
	b = binary.BigEndian.AppendUint64(b, h.number)
	b = binary.BigEndian.AppendUint64(b, h.base)
	return binary.BigEndian.AppendUint32(b, crc32.Checksum(b, castagnoli))
}

func readHead(r io.Reader) (head, error) {
	var b [headSize]byte
	if _, err := io.ReadFull(r, b[:]); err != nil {
		return head{}, fmt.Errorf("head: %w", atEnd(err))
	}
	if binary.BigEndian.Uint32(b[52:]) != crc32.Checksum(b[:52], castagnoli) {
		return head{}, fmt.Errorf("head: %w", errTorn)
	}
	if string(b[:4]) != journalMagic {
		return head{}, fmt.Errorf("head begins with %q: this software reads %q", b[:4], journalMagic)
	}
	h := head{genesis: block.ID(b[4:36]), number: binary.BigEndian.Uint64(b[36:]), base: binary.BigEndian.Uint64(b[44:])}
	if h.base > h.number {
		return head{}, fmt.Errorf("head of segment %d names %d as the lowest that counts", h.number, h.base)
	}
	return h, nil
}

// record is a journalled transaction.
type record struct {
	tx *block.Tx
	at time.Time
}

// appendRecord appends a record's bytes to b.
func appendRecord(b []byte, t *block.Tx, at time.Time) []byte {
	start := len(b)
	b = binary.BigEndian.AppendUint32(b, uint32(8+t.Size()))
	b = append(b, 0, 0, 0, 0)
	b = binary.BigEndian.AppendUint64(b, uint64(at.UnixNano()))
	b = append(b, t.Bytes()...)
	binary.BigEndian.PutUint32(b[start+4:], recordSum(b[start:]))
	return b
}

// recordSum is the checksum of a whole record, but for the checksum itself.
func recordSum(b []byte) uint32 {
	return crc32.Update(crc32.Checksum(b[:4], castagnoli), castagnoli, b[8:])
}

// readRecord reads the next record and says how long it is. At the end it returns
// io.EOF, and errTorn where no whole record stands.
func readRecord(r *bufio.Reader) (record, int, error) {
	var h [8]byte
	if _, err := io.ReadFull(r, h[:]); errors.Is(err, io.EOF) {
		return record{}, 0, io.EOF
	} else if err != nil {
		return record{}, 0, atEnd(err)
	}
	n := binary.BigEndian.Uint32(h[:])
	if n < 8+block.TxOverhead || n > maxRecord {
		return record{}, 0, errTorn
	}
	b := make([]byte, 8+n)
	copy(b, h[:])
	if _, err := io.ReadFull(r, b[8:]); err != nil {
		return record{}, 0, atEnd(err)
	}
	if recordSum(b) != binary.BigEndian.Uint32(h[4:]) {
		return record{}, 0, errTorn
	}
	t, err := block.DecodeTx(b[recordOverhead:])
	if err != nil {
		return record{}, 0, err
	}
	return record{tx: t, at: time.Unix(0, int64(binary.BigEndian.Uint64(b[8:])))}, len(b), nil
}

// atEnd turns the ends that io.ReadFull reports into errTorn and leaves other
// errors as they are.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}
