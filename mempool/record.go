package mempool

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"hash/crc32"
	"io"
	"math/bits"
	"time"

	"grapevine/block"
)

// A segment file is a head and records, integers big-endian, checksums CRC-32C.
//
//	head, 56 bytes:
//	     0     4  "GVJ" and the version, 2; version 1 is read too, in which no bits say
//	              where a batch ends
//	     4    32  genesis ID
//	    36     8  number of this segment
//	    44     8  number of the lowest segment that still counts beside this one
//	    52     4  checksum of bytes 0 … 52
//
//	record, 16 + n bytes:
//	     0     4  length 8 + n of what follows the checksum; its three highest bits are
//	              set in the last record of a batch, which one sync made durable
//	     4     4  checksum of the length and of what follows
//	     8     8  when the transaction came, nanoseconds since 1970
//	    16     n  the transaction's canonical bytes
const (
	headSize       = 56
	recordOverhead = 16
	// maxRecord bounds a record's length field: twice the largest transaction that
	// any genesis may allow.
	maxRecord = 2 << 20
	// batchEnd is set in the length of a batch's last record: three bits, so that it can
	// be read of a damaged record too.
	batchEnd = 7 << 29
)

const (
	journalMagic = "GVJ\x02"
	magicBefore  = "GVJ\x01"
)

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// errTorn says that a record is cut off or damaged. At the end of the last segment
// that is a write that a crash interrupted; anywhere else the disk is at fault.
var errTorn = errors.New("cut off or damaged")

// head is the beginning of a segment.
type head struct {
	genesis      block.ID
	number, base uint64
	unmarked     bool // of version 1: nothing says where a batch ends
}

func (h head) bytes() []byte {
	magic := journalMagic
	if h.unmarked {
		magic = magicBefore
	}
	b := append(make([]byte, 0, headSize), magic...)
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
	magic := string(b[:4])
	if magic != journalMagic && magic != magicBefore {
		return head{}, fmt.Errorf("head begins with %q: this software reads %q and %q", magic, journalMagic, magicBefore)
	}
	h := head{
		genesis: block.ID(b[4:36]), number: binary.BigEndian.Uint64(b[36:]), base: binary.BigEndian.Uint64(b[44:]),
		unmarked: magic == magicBefore,
	}
	if h.base > h.number {
		return head{}, fmt.Errorf("head of segment %d names %d as the lowest that counts", h.number, h.base)
	}
	return h, nil
}

// record is a journalled transaction.
type record struct {
	tx  *block.Tx
	at  time.Time
	end bool // it is the last of its batch
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

// endBatch marks the last of the records in a batch, which begins at start.
func endBatch(b []byte, start int) {
	binary.BigEndian.PutUint32(b[start:], binary.BigEndian.Uint32(b[start:])|batchEnd)
	binary.BigEndian.PutUint32(b[start+4:], recordSum(b[start:]))
}

// ends says whether a length has the mark of a batch's end, by the most of its bits.
func ends(length uint32) bool { return bits.OnesCount32(length&batchEnd) >= 2 }

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
	length := binary.BigEndian.Uint32(h[:])
	n := length &^ batchEnd
	if mark := length & batchEnd; mark != 0 && mark != batchEnd || n < 8+block.TxOverhead || n > maxRecord {
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
	return record{tx: t, at: time.Unix(0, int64(binary.BigEndian.Uint64(b[8:]))), end: ends(length)}, len(b), nil
}

// acknowledged says whether a journal's tail, which begins with a record that is not
// whole, has records of a later batch: then the one that is not whole had been synced.
// Others of its own batch may be there, in whatever order the disk wrote them.
func acknowledged(tail []byte) bool {
	over := len(tail) >= 4 && ends(binary.BigEndian.Uint32(tail))
	for at := 1; at+recordOverhead+block.TxOverhead <= len(tail); {
		length := binary.BigEndian.Uint32(tail[at:])
		n := int(length &^ batchEnd)
		if mark := length & batchEnd; mark != 0 && mark != batchEnd || n < 8+block.TxOverhead || n > len(tail)-at-8 ||
			recordSum(tail[at:at+8+n]) != binary.BigEndian.Uint32(tail[at+4:]) {
			at++
			continue
		}
		if over {
			return true
		}
		over = ends(length)
		at += 8 + n
	}
	return false
}

// atEnd turns the ends that io.ReadFull reports into errTorn and leaves other
// errors as they are.
func atEnd(err error) error {
	if errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF) {
		return errTorn
	}
	return err
}
