package membership

import (
	"encoding/binary"
	"fmt"
	"math"
	"math/bits"
	"slices"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/p2p/membership/memberpb"
	"grapevine/p2p/wire"
)

// Message is what peers say to each other: a Check, a Digest or a Delta.
//
//sumtype:decl
type Message interface{ message() }

// Check begins an exchange with a checksum of the sender's view.
type Check struct {
	Sum   Sum
	Count uint32
	Beats []Beat
	Reply bool // it answers a Check, and the sums agree
}

// Digest answers a Check with the versions of what the sender knows in a range.
type Digest struct {
	Low, High block.PublicKey // both inclusive; High below Low: the range wraps around
	Entries   []Entry         // ascending from Low
	Beats     []Beat
}

// Delta carries records, and asks for others.
type Delta struct {
	Records []*Record
	Want    []block.PublicKey
}

// Entry names a record: of two under one version each has a name of its own.
type Entry struct {
	Owner                block.PublicKey
	Incarnation, Version uint64
	Print                [16]byte // of SHA-256 over the record's bytes
}

// Beat is a heartbeat: a link of the chain of one version of an owner's record.
type Beat struct {
	Entry
	Index uint32
	Link  [32]byte
}

func (*Check) message()  {}
func (*Digest) message() {}
func (*Delta) message()  {}

// Budgets of a message's lists, in bytes. Any message fits into one of the control
// lane.
const (
	maxBeats   = 16 << 10
	maxEntries = 40 << 10
	maxRecords = 56 << 10
	maxWant    = 128 * 32
)

const (
	fieldCheck  protowire.Number = 1
	fieldDigest protowire.Number = 2
	fieldDelta  protowire.Number = 3
)

var messageRules = []wire.FieldRule{
	{Number: fieldCheck, Type: protowire.BytesType, Max: maxBeats + 64},
	{Number: fieldDigest, Type: protowire.BytesType, Max: maxBeats + maxEntries + 128},
	{Number: fieldDelta, Type: protowire.BytesType, Max: maxRecords + maxWant + 64},
}

var checkRules = []wire.FieldRule{
	{Number: 1, Type: protowire.BytesType, Max: 16},
	{Number: 2, Type: protowire.VarintType, Max: math.MaxUint32},
	{Number: 3, Type: protowire.BytesType, Max: maxBeats},
	{Number: 4, Type: protowire.VarintType, Max: 1},
}

var digestRules = []wire.FieldRule{
	{Number: 1, Type: protowire.BytesType, Max: 32},
	{Number: 2, Type: protowire.BytesType, Max: 32},
	{Number: 3, Type: protowire.BytesType, Max: maxEntries},
	{Number: 4, Type: protowire.BytesType, Max: maxBeats},
}

var deltaRules = []wire.FieldRule{
	{Number: 1, Type: protowire.BytesType, Max: maxRecords},
	{Number: 2, Type: protowire.BytesType, Max: maxWant},
}

// Encode writes a message.
func Encode(m Message) []byte {
	switch m := m.(type) {
	case *Check:
		return wrap(fieldCheck, &memberpb.Check{Sum: m.Sum.bytes(), Count: m.Count, Beats: appendBeats(nil, m.Beats), Reply: m.Reply})
	case *Digest:
		return wrap(fieldDigest, &memberpb.Digest{
			Low: m.Low[:], High: m.High[:], Entries: appendEntries(nil, m.Entries), Beats: appendBeats(nil, m.Beats),
		})
	case *Delta:
		return wrap(fieldDelta, &memberpb.Delta{Records: appendRecords(nil, m.Records), Want: appendKeys(nil, m.Want)})
	default:
		panic(fmt.Sprintf("membership: message of type %T", m))
	}
}

// Decode reads a message. All of its errors are the sender's fault. The records'
// signatures are the caller's to check.
func Decode(b []byte) (Message, error) {
	field, inner, err := wire.ScanOneof(b, messageRules)
	if err != nil {
		return nil, fmt.Errorf("membership: %w", err)
	}
	switch field {
	case fieldCheck:
		return decodeCheck(inner)
	case fieldDigest:
		return decodeDigest(inner)
	default:
		return decodeDelta(inner)
	}
}

func wrap(n protowire.Number, m proto.Message) []byte {
	inner, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // only strings can fail, and there are none
	}
	b := protowire.AppendTag(make([]byte, 0, len(inner)+8), n, protowire.BytesType)
	return protowire.AppendBytes(b, inner)
}

func unmarshal(what string, b []byte, rules []wire.FieldRule, m proto.Message) error {
	if err := wire.Scan(b, rules); err != nil {
		return fmt.Errorf("membership: %s: %w", what, err)
	}
	if err := proto.Unmarshal(b, m); err != nil {
		return malformed(what, err)
	}
	return nil
}

func malformed(what string, err error) error {
	return fmt.Errorf("membership: %s: %w: %w", what, wire.ErrMalformed, err)
}

func decodeCheck(b []byte) (Message, error) {
	var m memberpb.Check
	if err := unmarshal("check", b, checkRules, &m); err != nil {
		return nil, err
	}
	if len(m.Sum) != 16 {
		return nil, malformed("check", fmt.Errorf("sum of %d bytes", len(m.Sum)))
	}
	beats, err := cutBeats(m.Beats)
	if err != nil {
		return nil, malformed("check", err)
	}
	return &Check{Sum: sumOf(m.Sum), Count: m.Count, Beats: beats, Reply: m.Reply}, nil
}

func decodeDigest(b []byte) (Message, error) {
	var m memberpb.Digest
	if err := unmarshal("digest", b, digestRules, &m); err != nil {
		return nil, err
	}
	if len(m.Low) != 32 || len(m.High) != 32 {
		return nil, malformed("digest", fmt.Errorf("a range from %d to %d bytes", len(m.Low), len(m.High)))
	}
	d := &Digest{Low: block.PublicKey(m.Low), High: block.PublicKey(m.High)}
	var err error
	if d.Entries, err = cutEntries(m.Entries); err != nil {
		return nil, malformed("digest", err)
	}
	if err := d.checkOrder(); err != nil {
		return nil, malformed("digest", err)
	}
	if d.Beats, err = cutBeats(m.Beats); err != nil {
		return nil, malformed("digest", err)
	}
	return d, nil
}

func decodeDelta(b []byte) (Message, error) {
	var m memberpb.Delta
	if err := unmarshal("delta", b, deltaRules, &m); err != nil {
		return nil, err
	}
	d := &Delta{}
	var err error
	if d.Records, err = cutRecords(m.Records); err != nil {
		return nil, malformed("delta", err)
	}
	if len(m.Want)%32 != 0 {
		return nil, malformed("delta", fmt.Errorf("wants of %d bytes", len(m.Want)))
	}
	for w := m.Want; len(w) > 0; w = w[32:] {
		d.Want = append(d.Want, block.PublicKey(w))
	}
	return d, nil
}

func appendKeys(b []byte, keys []block.PublicKey) []byte {
	for _, k := range keys {
		b = append(b, k[:]...)
	}
	return b
}

func appendEntry(b []byte, e Entry) []byte {
	b = append(b, e.Owner[:]...)
	b = binary.AppendUvarint(b, e.Incarnation)
	b = binary.AppendUvarint(b, e.Version)
	return append(b, e.Print[:]...)
}

func appendEntries(b []byte, list []Entry) []byte {
	b = slices.Grow(b, 64*len(list))
	for _, e := range list {
		b = appendEntry(b, e)
	}
	return b
}

// size is how many bytes an entry takes in a list.
func (e Entry) size() int {
	return 32 + uvarintSize(e.Incarnation) + uvarintSize(e.Version) + len(e.Print)
}

// size is how many bytes a heartbeat takes in a list.
func (b Beat) size() int { return b.Entry.size() + uvarintSize(uint64(b.Index)) + 32 }

func uvarintSize(n uint64) int { return (bits.Len64(n|1) + 6) / 7 }

func appendBeats(b []byte, list []Beat) []byte {
	b = slices.Grow(b, 96*len(list))
	for _, x := range list {
		b = appendEntry(b, x.Entry)
		b = binary.AppendUvarint(b, uint64(x.Index))
		b = append(b, x.Link[:]...)
	}
	return b
}

func appendRecords(b []byte, list []*Record) []byte {
	for _, r := range list {
		raw := r.Bytes()
		b = binary.AppendUvarint(b, uint64(len(raw)))
		b = append(b, raw...)
	}
	return b
}
