package message

import (
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/coding"
	pb "grapevine/dissemination/message/messagepb"
	"grapevine/p2p/wire"
)

// Decoder reads messages of a network with these limits.
type Decoder struct{ Limits block.Limits }

// Decode reads a message of a lane. What it returns keeps b. The error matches
// wire.ErrMalformed: no honest peer sends such a message.
func (d Decoder) Decode(lane wire.Lane, b []byte) (Message, error) {
	l := d.Limits
	whole := uint64(math.MaxUint32) // the lane's cap bounds it
	var kinds []kind                // the place of each is its number in the lane's oneof, less one
	switch lane {
	case wire.Blocks:
		kinds = []kind{
			{decodeAnnounce, []wire.FieldRule{
				field(1, block.SignedHeaderSize), field(2, block.MaxListBytes(l.MaxBlockTxs)), varint(3, MaxHop), varint(4, 1), varint(5, 1),
				field(6, 5*uint64(l.MaxBlockTxs)), field(7, PrefillBytes+uint64(l.MaxTxBytes)), varint(8, maxLeaves),
			}},
			{decodePull, []wire.FieldRule{varint(1, block.MaxHeight), field(2, MaxHave*32), varint(3, block.MaxHeight), varint(4, 1)}},
			{decodeTip, []wire.FieldRule{varint(1, block.MaxHeight)}},
			{decodeEvidence, nil},
			{decodeOrdering, nil},
		}
	case wire.Bodies:
		kinds = []kind{
			{decodeFetch, []wire.FieldRule{fixed32(1), field(2, 32), field(3, 5*uint64(l.MaxBlockTxs)), varint(4, uint64(MaxWait/time.Millisecond))}},
			{decodePart, []wire.FieldRule{
				fixed32(1), field(2, 32), field(3, 5*uint64(l.MaxBlockTxs)), field(4, PartBytes+uint64(l.MaxTxBytes)),
				field(5, 32*uint64(l.MaxBlockTxs)), varint(6, uint64(l.MaxBlockTxs)), varint(7, 1),
			}},
			{decodeShards, []wire.FieldRule{
				fixed64(1), varint(2, 1), varint(3, maxLeaves), varint(4, maxLeaves), field(5, ShardBytes), field(6, 32*maxShardProof), varint(7, 1),
				varint(8, 1),
			}},
			{decodeAsk, []wire.FieldRule{fixed64(1), varint(2, 1), field(3, 6*MaxRuns), varint(4, uint64(MaxWait/time.Millisecond))}},
			{decodeEnough, []wire.FieldRule{fixed64(1), varint(2, maxLeaves), field(3, 6*MaxRuns)}},
			{decodeGot, []wire.FieldRule{fixed64(1), varint(2, 1), varint(3, maxLeaves)}},
			{decodeStripes, []wire.FieldRule{field(1, NumStripes), varint(2, maxLoad)}},
			{decodeGraft, []wire.FieldRule{fixed64(1), fixed64(2), varint(3, 1)}},
			{decodeNeed, []wire.FieldRule{fixed64(1), varint(2, 1), field(3, 6*MaxRuns)}},
			{decodeHave, []wire.FieldRule{fixed64(1), varint(2, 1), field(3, 6*MaxRuns)}},
		}
	case wire.Catchup:
		maxBlock := uint64(block.SignedHeaderSize + l.MaxBodyBytes)
		kinds = []kind{
			{decodeGetRange, []wire.FieldRule{fixed32(1), varint(2, block.MaxHeight), varint(3, block.MaxHeight), varint(4, math.MaxInt32)}},
			{decodeChunk, []wire.FieldRule{
				fixed32(1), varint(2, block.MaxHeight), varint(3, maxBlock), field(4, PartBytes), varint(5, maxBlock), varint(6, 1),
				varint(7, block.MaxHeight), varint(8, block.MaxHeight),
			}},
		}
	case wire.Txs:
		kinds = []kind{
			{decodeInventory, []wire.FieldRule{fixed64(1), fixed64(2), fixed64(3), fixed64(4), field(5, 8*MaxHashes), varint(6, 1)}},
			{decodeWant, []wire.FieldRule{fixed64(1), fixed64(2), field(3, 8*MaxHashes)}},
			{decodeTxs, []wire.FieldRule{field(1, PartBytes+uint64(l.MaxTxBytes))}},
		}
	default:
		return nil, malformed("lane %d carries no such messages", lane)
	}
	outer := make([]wire.FieldRule, len(kinds))
	for i := range kinds {
		outer[i] = field(protowire.Number(i+1), whole)
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

func field(n protowire.Number, most uint64) wire.FieldRule {
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
	if len(txs) != len(at) || len(at) > 0 && at[len(at)-1] >= h.TxCount {
		return nil, malformed("prefill of %d transactions at %d places of %d", len(txs), len(at), h.TxCount)
	}
	return &Announce{
		Block: Describe(&h.Header), Hop: int(m.Hop), Complete: m.Complete, Pulled: m.Pulled, At: at, Sizes: sizesOf(txs),
		Listed: len(m.List) > 0, Coming: int(m.Coming), Header: h, List: m.List, Txs: txs,
	}, nil
}

func sizesOf(txs []*block.Tx) []int {
	sizes := make([]int, len(txs))
	for i, t := range txs {
		sizes[i] = t.Size()
	}
	return sizes
}

func decodePull(b []byte, _ block.Limits) (Message, error) {
	var m pb.Pull
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	have, err := unpackIDs(m.Have)
	return &Pull{Tip: m.Tip, Upto: m.Upto, Have: have, Headers: m.Headers}, err
}

func decodeTip(b []byte, _ block.Limits) (Message, error) {
	var m pb.Tip
	err := unmarshal(b, &m)
	return &Tip{Height: m.Height}, err
}

func decodeEvidence(b []byte, _ block.Limits) (Message, error) {
	if len(b) > MaxProof {
		return nil, malformed("evidence of %d bytes, want at most %d", len(b), MaxProof)
	}
	return &Evidence{Proof: b}, nil
}

func decodeOrdering(b []byte, _ block.Limits) (Message, error) {
	if len(b) > MaxOrdering {
		return nil, malformed("%d bytes of ordering, want at most %d", len(b), MaxOrdering)
	}
	return &Ordering{Data: b}, nil
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
	if len(txs) != len(at) || (len(ids) > 0 && len(at) > 0) || (m.Refused && len(ids)+len(at) > 0) || int(m.IdsFrom)+len(ids) > l.MaxBlockTxs {
		return nil, malformed("part with %d transactions at %d places and %d IDs from %d", len(txs), len(at), len(ids), m.IdsFrom)
	}
	return &Part{
		Number: m.Number, Block: id, At: at, Sizes: sizesOf(txs), From: int(m.IdsFrom), IDs: ids, Refused: m.Refused, Txs: txs,
	}, nil
}

func decodeShards(b []byte, _ block.Limits) (Message, error) {
	var m pb.Shards
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	proof, err := unpackIDs(m.Proof)
	if err != nil {
		return nil, err
	}
	if m.Leaves == 0 || m.First+m.Leaves > maxLeaves || len(m.Data) == 0 && len(proof) > 0 {
		return nil, malformed("%d bytes for %d leaves from %d on, with %d hashes", len(m.Data), m.Leaves, m.First, len(proof))
	}
	nodes := make([]coding.Hash, len(proof))
	for i, id := range proof {
		nodes[i] = id
	}
	return &Shards{
		Ref: m.Block, Body: m.Body, Span: coding.Span{First: int(m.First), Leaves: int(m.Leaves)}, Pass: m.Pass, Striped: m.Striped,
		Bytes: len(m.Data), Hashes: len(nodes), Data: m.Data, Proof: nodes,
	}, nil
}

func decodeAsk(b []byte, _ block.Limits) (Message, error) {
	var m pb.Ask
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	runs, err := unpackRuns(m.Spans)
	if err == nil && len(runs) == 0 {
		err = malformed("it asks for nothing")
	}
	return &Ask{Ref: m.Block, Body: m.Body, Leaves: runs, Wait: time.Duration(m.WaitMs) * time.Millisecond}, err
}

func decodeEnough(b []byte, _ block.Limits) (Message, error) {
	var m pb.Enough
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	absent, err := unpackRuns(m.Absent)
	return &Enough{Ref: m.Block, Lacked: int(m.Lacked), Absent: absent}, err
}

func decodeGot(b []byte, _ block.Limits) (Message, error) {
	var m pb.Got
	err := unmarshal(b, &m)
	return &Got{Ref: m.Block, Body: m.Body, First: int(m.First)}, err
}

// maxLoad bounds what a Stripes says of its sender's receivers: all stripes to as many as a
// peer may have for neighbours, and many more.
const maxLoad = 1 << 16

func decodeStripes(b []byte, _ block.Limits) (Message, error) {
	var m pb.Stripes
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	if len(m.Ages) != NumStripes {
		return nil, malformed("ages of %d stripes, want %d", len(m.Ages), NumStripes)
	}
	return &Stripes{Ages: Ages(m.Ages), Load: int(m.Load)}, nil
}

func decodeGraft(b []byte, _ block.Limits) (Message, error) {
	var m pb.Graft
	err := unmarshal(b, &m)
	if err == nil && (m.Stripes|m.Prune == 0 || m.Stripes&m.Prune != 0) {
		err = malformed("stripes %x are grafted and %x pruned", m.Stripes, m.Prune)
	}
	return &Graft{Stripes: m.Stripes, Prune: m.Prune, Urgent: m.Urgent}, err
}

func decodeNeed(b []byte, _ block.Limits) (Message, error) {
	var m pb.Need
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	runs, err := unpackRuns(m.Leaves)
	if err == nil && len(runs) == 0 {
		err = malformed("it needs nothing")
	}
	return &Need{Ref: m.Block, Body: m.Body, Leaves: runs}, err
}

func decodeHave(b []byte, _ block.Limits) (Message, error) {
	var m pb.Have
	if err := unmarshal(b, &m); err != nil {
		return nil, err
	}
	runs, err := unpackRuns(m.Leaves)
	if err == nil && len(runs) == 0 {
		err = malformed("it has nothing")
	}
	return &Have{Ref: m.Block, Body: m.Body, Leaves: runs}, err
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
		Number: m.Number, Height: m.Height, Offset: int(m.Offset), Length: len(m.Data), Size: int(m.Size),
		Last: m.Last, Tip: m.Tip, Base: m.Base, Data: m.Data,
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
