package wire

import (
	"encoding/binary"
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/p2p/wire/wirepb"
)

// DomainAlive is what an Alive is signed for.
const DomainAlive block.Domain = "grapevine alive 1\x00"

// Probe asks whether anybody is at the other end of a connection, when another
// connection of the same identity has appeared.
type Probe struct {
	Rival uint64 // the instance that the other connection's Hello gave
}

// Alive answers a Probe. It is signed, so that it can be shown to the rival: since
// instances are random, it cannot have been made before the rival started, and so
// proves to it that another node has its identity, whatever any clock says.
type Alive struct {
	Instance  uint64
	Started   time.Time
	Rival     uint64
	Signature block.Signature
}

// SignedBytes returns what the signature covers, besides domain and genesis.
func (a *Alive) SignedBytes() []byte {
	b := binary.BigEndian.AppendUint64(make([]byte, 0, 24), a.Instance)
	b = binary.BigEndian.AppendUint64(b, uint64(a.Started.UnixNano()))
	return binary.BigEndian.AppendUint64(b, a.Rival)
}

// maxAlive bounds an Alive's bytes: two fixed integers, a varint, a signature.
const maxAlive = 96

var probeRules = []FieldRule{{1, protowire.Fixed64Type, 0}}

var aliveRules = []FieldRule{
	{1, protowire.Fixed64Type, 0},
	{2, protowire.VarintType, math.MaxUint64},
	{3, protowire.Fixed64Type, 0},
	{4, protowire.BytesType, 64},
}

func (a *Alive) proto() *wirepb.Alive {
	return &wirepb.Alive{
		Instance:  a.Instance,
		Started:   a.Started.UnixNano(),
		Rival:     a.Rival,
		Signature: a.Signature[:],
	}
}

func decodeProbe(b []byte) (ControlMessage, error) {
	if err := Scan(b, probeRules); err != nil {
		return nil, fmt.Errorf("probe: %w", err)
	}
	var m wirepb.Probe
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("probe: %w: %w", ErrMalformed, err)
	}
	return Probe{Rival: m.Rival}, nil
}

func decodeAlive(b []byte) (Alive, error) {
	if err := Scan(b, aliveRules); err != nil {
		return Alive{}, fmt.Errorf("alive: %w", err)
	}
	var m wirepb.Alive
	if err := proto.Unmarshal(b, &m); err != nil {
		return Alive{}, fmt.Errorf("alive: %w: %w", ErrMalformed, err)
	}
	if len(m.Signature) != len(block.Signature{}) {
		return Alive{}, fmt.Errorf("alive: %w: signature of %d bytes, want 64", ErrMalformed, len(m.Signature))
	}
	return Alive{
		Instance:  m.Instance,
		Started:   time.Unix(0, m.Started),
		Rival:     m.Rival,
		Signature: block.Signature(m.Signature),
	}, nil
}

// asMessage keeps an Alive that could not be decoded from looking like a message.
func asMessage(a Alive, err error) (ControlMessage, error) {
	if err != nil {
		return nil, err
	}
	return a, nil
}
