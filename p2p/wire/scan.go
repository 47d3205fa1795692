package wire

import (
	"errors"
	"fmt"

	"google.golang.org/protobuf/encoding/protowire"
)

// ErrMalformed is matched by every error that says that what a peer sent is not a
// message of the protocol.
var ErrMalformed = errors.New("malformed message")

// FieldRule says what may stand in one field of a protobuf message.
type FieldRule struct {
	Number protowire.Number
	Type   protowire.Type
	// Max bounds what the field holds: the length of a field of bytes, or the value
	// of a varint, which is math.MaxUint64 for an int64. Fixed-size fields ignore it.
	Max uint64
}

// Scan checks a protobuf message's outer form before it is unmarshalled: only
// fields that have a rule, of the type that the rule says, within its bound and at
// most once each. What passes costs no more memory to unmarshal than a small
// multiple of its length. Fields that are messages themselves are scanned by a
// call of their own, on their bytes.
func Scan(b []byte, rules []FieldRule) error {
	var seen uint64 // bit i: the field of rules[i] has come
	for len(b) > 0 {
		n, typ, size := protowire.ConsumeTag(b)
		if size < 0 {
			return fmt.Errorf("%w: %w", ErrMalformed, protowire.ParseError(size))
		}
		b = b[size:]
		i := indexOf(rules, n)
		if i < 0 {
			return fmt.Errorf("%w: unknown field %d", ErrMalformed, n)
		}
		if seen&(1<<i) != 0 {
			return fmt.Errorf("%w: field %d is given twice", ErrMalformed, n)
		}
		seen |= 1 << i
		size, err := consume(b, rules[i], typ)
		if err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// ScanOneof checks a message that holds exactly one of several messages, and
// returns that one's field number and bytes, which are part of b.
func ScanOneof(b []byte, rules []FieldRule) (protowire.Number, []byte, error) {
	if err := Scan(b, rules); err != nil {
		return 0, nil, err
	}
	n, typ, size := protowire.ConsumeTag(b)
	if size < 0 || typ != protowire.BytesType {
		return 0, nil, fmt.Errorf("%w: want one message inside", ErrMalformed)
	}
	inner, rest := protowire.ConsumeBytes(b[size:])
	if rest != len(b)-size {
		return 0, nil, fmt.Errorf("%w: more than one message inside", ErrMalformed)
	}
	return n, inner, nil
}

func indexOf(rules []FieldRule, n protowire.Number) int {
	for i := range rules {
		if rules[i].Number == n {
			return i
		}
	}
	return -1
}

// consume checks the value that b begins with against the rule, and returns its
// length in bytes.
func consume(b []byte, r FieldRule, typ protowire.Type) (int, error) {
	if typ != r.Type {
		return 0, fmt.Errorf("%w: field %d has wire type %d, want %d", ErrMalformed, r.Number, typ, r.Type)
	}
	var size int
	var value uint64
	switch typ {
	case protowire.BytesType:
		var v []byte
		v, size = protowire.ConsumeBytes(b)
		value = uint64(len(v))
	case protowire.VarintType:
		value, size = protowire.ConsumeVarint(b)
	default:
		size = protowire.ConsumeFieldValue(r.Number, typ, b)
	}
	if size < 0 {
		return 0, fmt.Errorf("%w: field %d: %w", ErrMalformed, r.Number, protowire.ParseError(size))
	}
	if value > r.Max {
		return 0, fmt.Errorf("%w: field %d is %d, want at most %d", ErrMalformed, r.Number, value, r.Max)
	}
	return size, nil
}
