package wire

import (
	"fmt"
	"math"
	"time"

	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/p2p/wire/wirepb"
)

// MaxControl bounds a message of the control lane.
const MaxControl = 64 << 10

// The caps of what people read in messages of the control lane.
const (
	MaxSoftware = 64
	MaxText     = 256
)

// Hello is the first message of each side of a connection.
type Hello struct {
	Genesis     block.ID  // the network's identity
	VersionLow  uint32    // lowest protocol version spoken
	VersionHigh uint32    // highest protocol version spoken
	Software    string    // name and version, for people; at most MaxSoftware bytes
	Tip         uint64    // height of the sender's ledger
	Base        uint64    // lowest height it can serve
	Clock       time.Time // the sender's wall clock
	Instance    uint64    // random per start: tells two nodes with one identity apart
	Started     time.Time // when the sender started
}

// Goodbye says why its sender closes the connection.
type Goodbye struct {
	Code  Code
	Text  string // for people; at most MaxText bytes
	Rival *Alive // with SameIdentity: proof of the other node
}

// Begin says that the connection it comes over is the one to use.
type Begin struct{}

// Beat says nothing: it is something new to send.
type Beat struct{}

// BeatEvery is how often each side of a link says something at least. What QUIC has
// sent and not seen acknowledged it repeats ever more rarely, so that a cut of 20
// seconds could last until the idle time-out of 30; anything new it sends at once.
const BeatEvery = 3 * time.Second

// Code is the reason of a Goodbye, for programs.
type Code uint32

// The codes. A code that a peer does not know is treated as Unspecified.
const (
	Unspecified  Code = iota
	Leaving           // the sender stops
	WrongNetwork      // the genesis differs
	WrongVersion      // no protocol version in common
	SameIdentity      // another live node has the receiver's identity; Rival proves it
	Misbehaved        // the receiver's score is too low
	TooSlow           // the receiver did not take the control lane's messages in time
	Full              // the sender has no room for another neighbour
	Surplus           // another connection between the two is in use
	numCodes
)

// String returns the code's name, as logs and metrics spell it.
func (c Code) String() string {
	if c >= numCodes {
		c = Unspecified
	}
	return [...]string{"unspecified", "leaving", "wrong network", "wrong version",
		"same identity", "misbehaved", "too slow", "full", "surplus connection"}[c]
}

// ControlMessage is what a message of the control lane holds: a Hello, Goodbye,
// Membership, Begin, Probe, Alive or Beat.
//
//sumtype:decl
type ControlMessage interface{ control() }

// Membership is a message of the membership protocol, which only p2p/membership
// reads.
type Membership []byte

func (Hello) control()      {}
func (Goodbye) control()    {}
func (Membership) control() {}
func (Begin) control()      {}
func (Probe) control()      {}
func (Alive) control()      {}
func (Beat) control()       {}

// Field numbers of wirepb.Control.
const (
	fieldHello      protowire.Number = 1
	fieldGoodbye    protowire.Number = 2
	fieldMembership protowire.Number = 3
	fieldBegin      protowire.Number = 4
	fieldProbe      protowire.Number = 5
	fieldAlive      protowire.Number = 6
	fieldBeat       protowire.Number = 7
)

var controlRules = []FieldRule{
	{fieldHello, protowire.BytesType, 256},
	{fieldGoodbye, protowire.BytesType, 2 * MaxText},
	{fieldMembership, protowire.BytesType, MaxControl},
	{fieldBegin, protowire.BytesType, 0},
	{fieldProbe, protowire.BytesType, 16},
	{fieldAlive, protowire.BytesType, maxAlive},
	{fieldBeat, protowire.BytesType, 0},
}

var helloRules = []FieldRule{
	{1, protowire.BytesType, 32},
	{2, protowire.VarintType, math.MaxUint32},
	{3, protowire.VarintType, math.MaxUint32},
	{4, protowire.BytesType, MaxSoftware},
	{5, protowire.VarintType, math.MaxUint64},
	{6, protowire.VarintType, math.MaxUint64},
	{7, protowire.VarintType, math.MaxUint64},
	{8, protowire.Fixed64Type, 0},
	{9, protowire.VarintType, math.MaxUint64},
}

var goodbyeRules = []FieldRule{
	{1, protowire.VarintType, math.MaxUint32},
	{2, protowire.BytesType, MaxText},
	{3, protowire.BytesType, maxAlive},
}

// DecodeControl reads a message of the control lane. All of its errors are the
// sender's fault.
func DecodeControl(b []byte) (ControlMessage, error) {
	if len(b) > MaxControl {
		return nil, fmt.Errorf("control: %w: %d bytes, want at most %d", ErrOversize, len(b), MaxControl)
	}
	field, inner, err := ScanOneof(b, controlRules)
	if err != nil {
		return nil, fmt.Errorf("control: %w", err)
	}
	switch field {
	case fieldHello:
		return decodeHello(inner)
	case fieldGoodbye:
		return decodeGoodbye(inner)
	case fieldBegin:
		return Begin{}, nil
	case fieldProbe:
		return decodeProbe(inner)
	case fieldAlive:
		return asMessage(decodeAlive(inner))
	case fieldBeat:
		return Beat{}, nil
	default:
		return Membership(inner), nil
	}
}

// EncodeControl writes a message of the control lane. Text that is too long, or
// not UTF-8, is cut to what a receiver takes.
func EncodeControl(c ControlMessage) []byte {
	switch c := c.(type) {
	case Hello:
		return wrap(fieldHello, marshal(c.proto()))
	case Goodbye:
		return wrap(fieldGoodbye, marshal(c.proto()))
	case Begin:
		return wrap(fieldBegin, nil)
	case Probe:
		return wrap(fieldProbe, marshal(&wirepb.Probe{Rival: c.Rival}))
	case Alive:
		return wrap(fieldAlive, marshal(c.proto()))
	case Beat:
		return wrap(fieldBeat, nil)
	case Membership:
		return wrap(fieldMembership, c)
	default:
		panic(fmt.Sprintf("wire: control message of type %T", c))
	}
}

func wrap(n protowire.Number, inner []byte) []byte {
	b := protowire.AppendTag(make([]byte, 0, len(inner)+8), n, protowire.BytesType)
	return protowire.AppendBytes(b, inner)
}

func marshal(m proto.Message) []byte {
	b, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(err) // only a string that is not UTF-8 can fail, and cut has seen to that
	}
	return b
}

func (h Hello) proto() *wirepb.Hello {
	return &wirepb.Hello{
		Genesis:     h.Genesis[:],
		VersionLow:  h.VersionLow,
		VersionHigh: h.VersionHigh,
		Software:    cut(h.Software, MaxSoftware),
		Tip:         h.Tip,
		Base:        h.Base,
		Clock:       h.Clock.UnixNano(),
		Instance:    h.Instance,
		Started:     h.Started.UnixNano(),
	}
}

func decodeHello(b []byte) (ControlMessage, error) {
	if err := Scan(b, helloRules); err != nil {
		return nil, fmt.Errorf("hello: %w", err)
	}
	var m wirepb.Hello
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("hello: %w: %w", ErrMalformed, err)
	}
	if len(m.Genesis) != len(block.ID{}) {
		return nil, fmt.Errorf("hello: %w: genesis of %d bytes, want 32", ErrMalformed, len(m.Genesis))
	}
	if m.VersionLow == 0 || m.VersionLow > m.VersionHigh {
		return nil, fmt.Errorf("hello: %w: versions %d to %d", ErrMalformed, m.VersionLow, m.VersionHigh)
	}
	return Hello{
		Genesis:     block.ID(m.Genesis),
		VersionLow:  m.VersionLow,
		VersionHigh: m.VersionHigh,
		Software:    m.Software,
		Tip:         m.Tip,
		Base:        m.Base,
		Clock:       time.Unix(0, m.Clock),
		Instance:    m.Instance,
		Started:     time.Unix(0, m.Started),
	}, nil
}

func (g Goodbye) proto() *wirepb.Goodbye {
	m := &wirepb.Goodbye{Code: uint32(g.Code), Text: cut(g.Text, MaxText)}
	if g.Rival != nil {
		m.Rival = marshal(g.Rival.proto())
	}
	return m
}

func decodeGoodbye(b []byte) (ControlMessage, error) {
	if err := Scan(b, goodbyeRules); err != nil {
		return nil, fmt.Errorf("goodbye: %w", err)
	}
	var m wirepb.Goodbye
	if err := proto.Unmarshal(b, &m); err != nil {
		return nil, fmt.Errorf("goodbye: %w: %w", ErrMalformed, err)
	}
	g := Goodbye{Code: Code(m.Code), Text: m.Text}
	if len(m.Rival) > 0 {
		rival, err := decodeAlive(m.Rival)
		if err != nil {
			return nil, fmt.Errorf("goodbye: %w", err)
		}
		g.Rival = &rival
	}
	return g, nil
}
