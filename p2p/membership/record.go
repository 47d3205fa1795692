package membership

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"unicode/utf8"

	"grapevine/block"
)

// Bounds of a record. With all of them at their largest it would not fit into
// MaxRecord, which therefore is checked as well.
const (
	MaxRecord   = 1 << 10
	MaxAddrs    = 8
	MaxAddr     = 128
	MaxSoftware = 64
	MaxAPI      = 128
)

// ErrRecord is matched by every error about a record's bytes.
var ErrRecord = errors.New("malformed member record")

// Info is what an owner says about itself.
type Info struct {
	Addrs    []string // multiaddrs without the peer ID, best first
	Orderer  bool     // it makes blocks
	Base     uint64   // lowest height of its ledger
	Height   uint64   // of its ledger's tip
	Tip      block.ID // ID of the block there
	Pool     uint64   // transactions in its pool
	Software string   // name and version, for people
	API      string   // base URL of its API, if others may use it
}

// Record is an owner's whole state, under one version and one signature.
//
// Its bytes, numbers big endian:
//
//	 0         1    format version, 1
//	 1        32    owner's key
//	33         8    incarnation
//	41         8    version, from 1
//	49         1    flags: 1 orderer, 2 left
//	50        32    anchor of the chain of heartbeats
//	82         8    base
//	90         8    height
//	98        32    tip
//	130        8    pool
//	138        1+n  software
//	           1+n  API
//	           1    number of addresses
//	           1+n  each address
//	           64   signature over DomainRecord ‖ genesis ID ‖ all of the above
type Record struct {
	Owner       block.PublicKey
	Incarnation uint64
	Version     uint64
	Left        bool     // the owner has left
	Anchor      [32]byte // of its heartbeats
	Info
	Signature block.Signature
}

const (
	formatVersion  = 1
	flagOrderer    = 1
	flagLeft       = 2
	fixedSize      = 138
	minRecord      = fixedSize + 3 + len(block.Signature{})
	maxRecordGuess = 320 // of a usual record
)

// Content returns the bytes that the signature covers.
func (r *Record) Content() []byte {
	b := make([]byte, 0, maxRecordGuess)
	b = append(b, formatVersion)
	b = append(b, r.Owner[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Incarnation)
	b = binary.BigEndian.AppendUint64(b, r.Version)
	flags := byte(0)
	if r.Orderer {
		flags |= flagOrderer
	}
	if r.Left {
		flags |= flagLeft
	}
	b = append(b, flags)
	b = append(b, r.Anchor[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Base)
	b = binary.BigEndian.AppendUint64(b, r.Height)
	b = append(b, r.Tip[:]...)
	b = binary.BigEndian.AppendUint64(b, r.Pool)
	b = appendText(b, r.Software)
	b = appendText(b, r.API)
	b = append(b, byte(len(r.Addrs)))
	for _, a := range r.Addrs {
		b = appendText(b, a)
	}
	return b
}

// Bytes returns the record as it is stored and sent.
func (r *Record) Bytes() []byte { return append(r.Content(), r.Signature[:]...) }

// Check refuses a record that its owner must not write: what DecodeRecord of others
// would refuse.
func (r *Record) Check() error {
	switch {
	case r.Version == 0:
		return fmt.Errorf("%w: version 0", ErrRecord)
	case len(r.Addrs) > MaxAddrs:
		return fmt.Errorf("%w: %d addresses, want at most %d", ErrRecord, len(r.Addrs), MaxAddrs)
	}
	if err := errors.Join(checkText("software", r.Software, MaxSoftware), checkText("API", r.API, MaxAPI)); err != nil {
		return err
	}
	size := minRecord + len(r.Software) + len(r.API)
	for i, a := range r.Addrs {
		if a == "" {
			return fmt.Errorf("%w: address %d is empty", ErrRecord, i)
		}
		if err := checkText("address", a, MaxAddr); err != nil {
			return err
		}
		size += 1 + len(a)
	}
	if size > MaxRecord {
		return fmt.Errorf("%w: %d bytes, want at most %d", ErrRecord, size, MaxRecord)
	}
	return nil
}

func checkText(what, s string, limit int) error {
	if len(s) > limit {
		return fmt.Errorf("%w: %s of %d bytes, want at most %d", ErrRecord, what, len(s), limit)
	}
	if !utf8.ValidString(s) {
		return fmt.Errorf("%w: %s is not UTF-8", ErrRecord, what)
	}
	return nil
}

// DecodeRecord reads a record. It accepts exactly what Bytes writes. The signature
// is the caller's to check.
func DecodeRecord(b []byte) (Record, error) {
	if len(b) < minRecord || len(b) > MaxRecord {
		return Record{}, fmt.Errorf("%w: %d bytes, want %d to %d", ErrRecord, len(b), minRecord, MaxRecord)
	}
	if b[0] != formatVersion {
		return Record{}, fmt.Errorf("%w: format version %d, this software reads %d", ErrRecord, b[0], formatVersion)
	}
	if b[49]&^(flagOrderer|flagLeft) != 0 {
		return Record{}, fmt.Errorf("%w: unknown flags %#x", ErrRecord, b[49])
	}
	r := Record{
		Owner:       block.PublicKey(b[1:33]),
		Incarnation: binary.BigEndian.Uint64(b[33:]),
		Version:     binary.BigEndian.Uint64(b[41:]),
		Left:        b[49]&flagLeft != 0,
		Anchor:      [32]byte(b[50:82]),
		Info: Info{
			Orderer: b[49]&flagOrderer != 0,
			Base:    binary.BigEndian.Uint64(b[82:]),
			Height:  binary.BigEndian.Uint64(b[90:]),
			Tip:     block.ID(b[98:130]),
			Pool:    binary.BigEndian.Uint64(b[130:]),
		},
	}
	rest, err := r.decodeTexts(b[fixedSize:])
	if err != nil {
		return Record{}, err
	}
	if len(rest) != len(r.Signature) {
		return Record{}, fmt.Errorf("%w: %d bytes for a signature", ErrRecord, len(rest))
	}
	r.Signature = block.Signature(rest)
	return r, r.Check()
}

func (r *Record) decodeTexts(b []byte) (rest []byte, err error) {
	if r.Software, b, err = cutText(b); err != nil {
		return nil, err
	}
	if r.API, b, err = cutText(b); err != nil {
		return nil, err
	}
	if len(b) == 0 || int(b[0]) > MaxAddrs {
		return nil, fmt.Errorf("%w: no number of addresses, or one above %d", ErrRecord, MaxAddrs)
	}
	n := int(b[0])
	b = b[1:]
	for range n {
		var a string
		if a, b, err = cutText(b); err != nil {
			return nil, err
		}
		r.Addrs = append(r.Addrs, a)
	}
	return b, nil
}

func appendText(b []byte, s string) []byte { return append(append(b, byte(len(s))), s...) }

func cutText(b []byte) (string, []byte, error) {
	if len(b) == 0 || len(b) <= int(b[0]) {
		return "", nil, fmt.Errorf("%w: cut off", ErrRecord)
	}
	return string(b[1 : 1+b[0]]), b[1+b[0]:], nil
}

// entry names the record.
func (r *Record) entry() Entry {
	h := sha256.Sum256(r.Bytes())
	return Entry{r.Owner, r.Incarnation, r.Version, [16]byte(h[:])}
}

// after says whether one comes after another by what their owner counts.
func (e Entry) after(o Entry) bool {
	return e.Incarnation > o.Incarnation || e.Incarnation == o.Incarnation && e.Version > o.Version
}

// newer says whether a record replaces another of the same owner. Of two under one
// version, which no honest owner signs, everybody keeps the same.
func (e Entry) newer(o Entry) bool {
	return e.after(o) || !o.after(e) && bytes.Compare(e.Print[:], o.Print[:]) > 0
}
