package message

import (
	"time"

	"google.golang.org/protobuf/proto"

	pb "grapevine/dissemination/message/messagepb"
	"grapevine/p2p/wire"
)

// Lane implements Message.
func (*Announce) Lane() wire.Lane  { return wire.Blocks }
func (*Pull) Lane() wire.Lane      { return wire.Blocks }
func (*Tip) Lane() wire.Lane       { return wire.Blocks }
func (*Evidence) Lane() wire.Lane  { return wire.Blocks }
func (*Ordering) Lane() wire.Lane  { return wire.Blocks }
func (*Fetch) Lane() wire.Lane     { return wire.Bodies }
func (*Part) Lane() wire.Lane      { return wire.Bodies }
func (*Shards) Lane() wire.Lane    { return wire.Bodies }
func (*Ask) Lane() wire.Lane       { return wire.Bodies }
func (*Enough) Lane() wire.Lane    { return wire.Bodies }
func (*Got) Lane() wire.Lane       { return wire.Bodies }
func (*Stripes) Lane() wire.Lane   { return wire.Bodies }
func (*Graft) Lane() wire.Lane     { return wire.Bodies }
func (*Need) Lane() wire.Lane      { return wire.Bodies }
func (*Have) Lane() wire.Lane      { return wire.Bodies }
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
func (*Ordering) Kind() string  { return "ordering" }
func (*Fetch) Kind() string     { return "fetch" }
func (*Part) Kind() string      { return "part" }
func (*Shards) Kind() string    { return "shards" }
func (*Ask) Kind() string       { return "ask" }
func (*Enough) Kind() string    { return "enough" }
func (*Got) Kind() string       { return "got" }
func (*Stripes) Kind() string   { return "stripes" }
func (*Graft) Kind() string     { return "graft" }
func (*Need) Kind() string      { return "need" }
func (*Have) Kind() string      { return "have" }
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
	return &pb.Blocks{Message: &pb.Blocks_Announce{Announce: &pb.Announce{
		Header: m.Header.Bytes(), List: m.List, Hop: uint32(m.Hop), Complete: m.Complete, Pulled: m.Pulled,
		PrefillAt: packPlaces(m.At), Prefill: PackTxs(m.Txs), Coming: uint32(m.Coming),
	}}}
}

func (m *Pull) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Pull{Pull: &pb.Pull{Tip: m.Tip, Upto: m.Upto, Have: packIDs(m.Have), Headers: m.Headers}}}
}

func (m *Tip) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Tip{Tip: &pb.Tip{Height: m.Height}}}
}

func (m *Evidence) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Evidence{Evidence: m.Proof}}
}

func (m *Ordering) envelope() proto.Message {
	return &pb.Blocks{Message: &pb.Blocks_Ordering{Ordering: m.Data}}
}

func (m *Fetch) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Fetch{Fetch: &pb.Fetch{
		Number: m.Number, Block: m.Block[:], At: packPlaces(m.At), WaitMs: uint32(m.Wait / time.Millisecond),
	}}}
}

func (m *Part) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Part{Part: &pb.Part{
		Number: m.Number, Block: m.Block[:], At: packPlaces(m.At), Txs: PackTxs(m.Txs),
		Ids: packIDs(m.IDs), IdsFrom: uint32(m.From), Refused: m.Refused,
	}}}
}

func (m *Shards) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Shards{Shards: &pb.Shards{
		Block: m.Ref, Body: m.Body, First: uint32(m.Span.First), Leaves: uint32(m.Span.Leaves), Data: m.Data, Proof: packNodes(m.Proof), Pass: m.Pass, Striped: m.Striped,
	}}}
}

func (m *Ask) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Ask{Ask: &pb.Ask{
		Block: m.Ref, Body: m.Body, Spans: packRuns(m.Leaves), WaitMs: uint32(m.Wait / time.Millisecond),
	}}}
}

func (m *Got) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Got{Got: &pb.Got{Block: m.Ref, Body: m.Body, First: uint32(m.First)}}}
}

func (m *Stripes) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Stripes{Stripes: &pb.Stripes{Ages: m.Ages[:], Load: uint32(m.Load)}}}
}

func (m *Graft) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Graft{Graft: &pb.Graft{Stripes: m.Stripes, Prune: m.Prune, Urgent: m.Urgent}}}
}

func (m *Need) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Need{Need: &pb.Need{Block: m.Ref, Body: m.Body, Leaves: packRuns(m.Leaves)}}}
}

func (m *Have) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Have{Have: &pb.Have{Block: m.Ref, Body: m.Body, Leaves: packRuns(m.Leaves)}}}
}

func (m *Enough) envelope() proto.Message {
	return &pb.Bodies{Message: &pb.Bodies_Enough{Enough: &pb.Enough{Block: m.Ref, Lacked: uint32(m.Lacked), Absent: packRuns(m.Absent)}}}
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
