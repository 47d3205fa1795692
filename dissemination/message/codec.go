package message

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	pb "grapevine/dissemination/message/messagepb"
	"grapevine/p2p/wire"
)

// Message is any of this package's message values.
type Message interface {
	// Lane says on which lane the message travels.
	Lane() wire.Lane
	// Kind is the message's name, as metrics spell it.
	Kind() string
	envelope() proto.Message
}

// Lane implements Message. What announces a body travels in front of it.
func (m *Announce) Lane() wire.Lane {
	if m.Body {
		return wire.Bodies
	}
	return wire.Blocks
}

// Lane implements Message.
func (*Pull) Lane() wire.Lane      { return wire.Blocks }
func (*Tip) Lane() wire.Lane       { return wire.Blocks }
func (*Evidence) Lane() wire.Lane  { return wire.Blocks }
func (*Fetch) Lane() wire.Lane     { return wire.Bodies }
func (*Part) Lane() wire.Lane      { return wire.Bodies }
func (*GetRange) Lane() wire.Lane  { return wire.Catchup }
func (*Chunk) Lane() wire.Lane     { return wire.Catchup }
func (*Inventory) Lane() wire.Lane { return wire.Txs }
func (*Want) Lane() wire.Lane      { return wire.Txs }
func (*Txs) Lane() wire.Lane       { return wire.Txs }

// Kind implements Message.
func (*Announce) Kind() string  { return "announce" }
func (*Pull) Kind() string      { return "pull" }
func (*Tip) Kind() string       { return "tip" }
func (*Evidence) Kind() string  { return "evidence" }
func (*Fetch) Kind() string     { return "fetch" }
func (*Part) Kind() string      { return "part" }
func (*GetRange) Kind() string  { return "get-range" }
func (*Chunk) Kind() string     { return "chunk" }
func (*Inventory) Kind() string { return "inventory" }
func (*Want) Kind() string      { return "want" }
func (*Txs) Kind() string       { return "txs" }

// Encode returns the message's bytes.
func Encode(m Message) []byte {
	b, err := proto.Marshal(m.envelope())
	if err != nil {
		panic(err) // only invalid UTF-8 and missing required fields fail, and there are none
	}
	return b
}

func (m *Announce) envelope() proto.Message {
	a := &pb.Announce{
		Header: m.Header.Bytes(), ShortIds: m.Shorts, Hop: uint32(m.Hop), Complete: m.Complete, Pulled: m.Pulled,
		PrefillAt: packPlaces(m.PrefillAt), Prefill: PackTxs(m.Prefill), Body: m.Body,
	}
	if m.Body {
		return &pb.Bodies{Message: &pb.Bodies_Announce{Announce: a}}
	}
	return &pb.Blocks{Message: &pb.Blocks_Announce{Announce: a}}
}

func (m *Pull) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Pull{Pull: &pb.Pull{Tip: m.Tip, Upto: m.Upto, Have: packIDs(m.Have)}}}
}

func (m *Tip) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Tip{Tip: &pb.Tip{Height: m.Height, Base: m.Base}}}
}

func (m *Evidence) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Evidence{Evidence: m.Proof}}
}

func (m *Fetch) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Fetch{Fetch: &pb.Fetch{
		Number: m.Number, Block: m.Block[:], At: packPlaces(m.At), WaitMs: uint32(m.Wait / time.Millisecond),
	}}}
}

func (m *Part) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Part{Part: &pb.Part{
		Number: m.Number, Block: m.Block[:], At: packPlaces(m.At), Txs: PackTxs(m.Txs),
		Ids: packIDs(m.IDs), IdsFrom: uint32(m.IDsFrom), Missing: m.Missing,
	}}}
}

func (m *GetRange) envelope() proto.Message {
	return &pb.Catchup{Message: &pb.Catchup_GetRange{GetRange: &pb.GetRange{
		Number: m.Number, From: m.From, To: m.Upto, MaxBytes: uint32(m.MaxBytes),
	}}}
}

func (m *Chunk) envelope() proto.Message {
	return &pb.Catchup{Message: &pb.Catchup_Chunk{Chunk: &pb.Chunk{
		Number: m.Number, Height: m.Height, Offset: uint32(m.Offset), Data: m.Data, Size: uint32(m.Size),
		Last: m.Last, Tip: m.Tip, Base: m.Base,
	}}}
}

func (m *Inventory) envelope() proto.Message {
	return &pb.Pool{Message: &pb.Pool_Inventory{Inventory: &pb.Inventory{
		Salt0: m.Salt.K0, Salt1: m.Salt.K1, Low: m.Low, High: m.High, Hashes: packHashes(m.Hashes), Reply: m.Reply,
	}}}
}

func (m *Want) envelope() proto.Message {
	return &pb.Pool{Message: &pb.Pool_Want{Want: &pb.Want{Salt0: m.Salt.K0, Salt1: m.Salt.K1, Hashes: packHashes(m.Hashes)}}}
}

func (m *Txs) envelope() proto.Message {
	return &pb.Pool{Message: &pb.Pool_Txs{Txs: &pb.Txs{Txs: PackTxs(m.Txs)}}}
}

// Decoder reads messages of a network with these limits.
type Decoder struct{ Limits block.Limits }

// Decode reads a message of a lane. What it returns keeps b. The error matches
// wire.ErrMalformed: no honest peer sends such a message.
func (d Decoder) Decode(lane wire.Lane, b []byte) (Message, error) {
	l := d.Limits
	whole := uint64(math.MaxUint32) // the lane's cap bounds it
	var kinds []kind
	switch lane {
	case wire.Blocks:
		kinds = []kind{
			{decodeAnnounce, []wire.FieldRule{
				bytesOf(1, block.SignedHeaderSize), bytesOf(2, block.ShortSize*uint64(l.MaxBlockTxs)), varint(3, maxHop), varint(4, 1), varint(5, 1),
				bytesOf(6, 5*uint64(l.MaxBlockTxs)), bytesOf(7, PrefillBytes+uint64(l.MaxTxBytes)),
			}},
			{decodePull, []wire.FieldRule{varint(1, block.MaxHeight), bytesOf(2, MaxHave*32), varint(3, block.MaxHeight)}},
			{decodeTip, []wire.FieldRule{varint(1, block.MaxHeight), varint(2, block.MaxHeight)}},
			{decodeEvidence, nil},
		}
	case wire.Bodies:
		kinds = []kind{
			{decodeFetch, []wire.FieldRule{fixed32(1), bytesOf(2, 32), bytesOf(3, 5*uint64(l.MaxBlockTxs)), varint(4, uint64(maxWait/time.Millisecond))}},
			{decodePart, []wire.FieldRule{
				fixed32(1), bytesOf(2, 32), bytesOf(3, 5*uint64(l.MaxBlockTxs)), bytesOf(4, PartBytes+uint64(l.MaxTxBytes)),
				bytesOf(5, 32*uint64(l.MaxBlockTxs)), varint(6, uint64(l.MaxBlockTxs)), varint(7, 1),
			}},
			{decodeBody, []wire.FieldRule{bytesOf(1, block.SignedHeaderSize), varint(3, maxHop), varint(4, 1), varint(8, 1)}},
		}
	case wire.Catchup:
		maxBlock := uint64(block.SignedHeaderSize + l.MaxBodyBytes)
		kinds = []kind{
			{decodeGetRange, []wire.FieldRule{fixed32(1), varint(2, block.MaxHeight), varint(3, block.MaxHeight), varint(4, math.MaxInt32)}},
			{decodeChunk, []wire.FieldRule{
				fixed32(1), varint(2, block.MaxHeight), varint(3, maxBlock), bytesOf(4, PartBytes), varint(5, maxBlock), varint(6, 1),
				varint(7, block.MaxHeight), varint(8, block.MaxHeight),
			}},
		}
	case wire.Txs:
		kinds = []kind{
			{decodeInventory, []wire.FieldRule{fixed64(1), fixed64(2), fixed64(3), fixed64(4), bytesOf(5, 8*MaxHashes), varint(6, 1)}},
			{decodeWant, []wire.FieldRule{fixed64(1), fixed64(2), bytesOf(3, 8*MaxHashes)}},
			{decodeTxs, []wire.FieldRule{bytesOf(1, PartBytes+uint64(l.MaxTxBytes))}},
		}
	default:
		return nil, malformed("lane %d carries no such messages", lane)
	}
	outer := make([]wire.FieldRule, len(kinds))
	for i := range kinds {
		outer[i] = bytesOf(protowire.Number(i+1), whole)
	}
	n, inner, err := wire.ScanOneof(b, outer)
	if err != nil {
		return nil, err
	}
	k := kinds[n-1]
	if k.rules != nil {
		if err := wire.Scan(inner, k.rules); err != nil {
			return nil, err
		}
	}
	return k.decode(inner, l)
}

type kind struct {
	decode func([]byte, block.Limits) (Message, error)
	rules  []wire.FieldRule
}

func bytesOf(n protowire.Number, most uint64) wire.FieldRule {
	return wire.FieldRule{Number: n, Type: protowire.BytesType, Max: most}
}

func varint(n protowire.Number, most uint64) wire.FieldRule {
	return wire.FieldRule{Number: n, Type: protowire.VarintType, Max: most}
}

func fixed32(n protowire.Number) wire.FieldRule {
	return wire.FieldRule{Number: n, Type: protowire.Fixed32Type}
}

func fixed64(n protowire.Number) wire.FieldRule {
	return wire.FieldRule{Number: n, Type: protowire.Fixed64Type}
}

func unmarshal(b []byte, m proto.Message) error {
	if err := proto.Unmarshal(b, m); err != nil {
		return malformed("%v", err)
	}
	return nil
}

func decodeAnnounce(b []byte, l block.Limits) (Message, error) {
	var m pb.Announce
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	h, err := block.DecodeSignedHeader(m.Header)
	if err != nil {
		return nil, malformed("%v", err)
	}
	at, err := unpackPlaces(m.PrefillAt, l.MaxBlockTxs)
	if err != nil {
		return nil, err
	}
	txs, err := unpackTxs(m.Prefill, l)
	if err != nil {
		return nil, err
	}
	if len(txs) != len(at) || (len(at) > 0 && (at[len(at)-1] >= h.TxCount || len(m.ShortIds) == 0)) {
		return nil, malformed("prefill of %d transactions at %d places of %d, %d bytes of short IDs", len(txs), len(at), h.TxCount, len(m.ShortIds))
	}
	return &Announce{
		Header: h, Shorts: m.ShortIds, Hop: int(m.Hop), Complete: m.Complete, Pulled: m.Pulled, PrefillAt: at, Prefill: txs,
	}, nil
}

// decodeBody reads what announces a body, on its lane.
func decodeBody(b []byte, _ block.Limits) (Message, error) {
	var m pb.Announce
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	h, err := block.DecodeSignedHeader(m.Header)
	if err != nil {
		return nil, malformed("%v", err)
	}
	if !m.Body {
		return nil, malformed("an announcement without a body on the lane of bodies")
	}
	return &Announce{Header: h, Hop: int(m.Hop), Complete: m.Complete, Body: true}, nil
}

func decodePull(b []byte, _ block.Limits) (Message, error) {
	var m pb.Pull
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	have, err := unpackIDs(m.Have)
	return &Pull{Tip: m.Tip, Upto: m.Upto, Have: have}, err
}

func decodeTip(b []byte, _ block.Limits) (Message, error) {
	var m pb.Tip
	err := unmarshal(b, &m)
	return &Tip{Height: m.Height, Base: m.Base}, err
}

func decodeEvidence(b []byte, _ block.Limits) (Message, error) {
	if len(b) > maxEvidence {
		return nil, malformed("evidence of %d bytes, want at most %d", len(b), maxEvidence)
	}
	return &Evidence{Proof: b}, nil
}

func decodeFetch(b []byte, l block.Limits) (Message, error) {
	var m pb.Fetch
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	id, err := unpackID(m.Block)
	if err != nil {
		return nil, err
	}
	at, err := unpackPlaces(m.At, l.MaxBlockTxs)
	return &Fetch{Number: m.Number, Block: id, At: at, Wait: time.Duration(m.WaitMs) * time.Millisecond}, err
}

func decodePart(b []byte, l block.Limits) (Message, error) {
	var m pb.Part
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	id, err := unpackID(m.Block)
	if err != nil {
		return nil, err
	}
	at, err := unpackPlaces(m.At, l.MaxBlockTxs)
	if err != nil {
		return nil, err
	}
	txs, err := unpackTxs(m.Txs, l)
	if err != nil {
		return nil, err
	}
	ids, err := unpackIDs(m.Ids)
	if err != nil {
		return nil, err
	}
	if len(txs) != len(at) || (len(ids) > 0 && len(at) > 0) || (m.Missing && len(ids)+len(at) > 0) || int(m.IdsFrom)+len(ids) > l.MaxBlockTxs {
		return nil, malformed("part with %d transactions at %d places and %d IDs from %d", len(txs), len(at), len(ids), m.IdsFrom)
	}
	return &Part{Number: m.Number, Block: id, At: at, Txs: txs, IDs: ids, IDsFrom: int(m.IdsFrom), Missing: m.Missing}, nil
}

func decodeGetRange(b []byte, _ block.Limits) (Message, error) {
	var m pb.GetRange
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	if m.From == 0 || m.From > m.To {
		return nil, malformed("range from %d to %d", m.From, m.To)
	}
	return &GetRange{Number: m.Number, From: m.From, Upto: m.To, MaxBytes: int(m.MaxBytes)}, nil
}

func decodeChunk(b []byte, _ block.Limits) (Message, error) {
	var m pb.Chunk
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	if uint64(m.Offset)+uint64(len(m.Data)) > uint64(m.Size) {
		return nil, malformed("chunk of %d bytes at %d in a block of %d", len(m.Data), m.Offset, m.Size)
	}
	return &Chunk{
		Number: m.Number, Height: m.Height, Offset: int(m.Offset), Size: int(m.Size), Data: m.Data,
		Last: m.Last, Tip: m.Tip, Base: m.Base,
	}, nil
}

func decodeInventory(b []byte, _ block.Limits) (Message, error) {
	var m pb.Inventory
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	hashes, err := unpackHashes(m.Hashes, m.Low, m.High)
	return &Inventory{Salt: block.SipKey{K0: m.Salt0, K1: m.Salt1}, Low: m.Low, High: m.High, Hashes: hashes, Reply: m.Reply}, err
}

func decodeWant(b []byte, _ block.Limits) (Message, error) {
	var m pb.Want
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	hashes, err := unpackHashes(m.Hashes, 0, math.MaxUint64)
	return &Want{Salt: block.SipKey{K0: m.Salt0, K1: m.Salt1}, Hashes: hashes}, err
}

func decodeTxs(b []byte, l block.Limits) (Message, error) {
	var m pb.Txs
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	txs, err := unpackTxs(m.Txs, l)
	return &Txs{Txs: txs}, err
}
