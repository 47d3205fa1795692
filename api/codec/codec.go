// Package codec reads and writes the messages of the API's service, in JSON and in
// protobuf's binary form. It bounds what a request may unfold to before it is decoded.
package codec

import (
	"bytes"
	"fmt"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/encoding/protowire"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/reflect/protoreflect"

	"grapevine/api/apipb"
)

// JSON is protojson with the .proto's names, zero values written out, and
// 64-bit integers as numbers where protojson writes strings. It reads both, and
// refuses fields that it does not know, so that a misspelled one is not a silent
// zero.
type JSON struct{}

// Name implements connect.Codec.
func (JSON) Name() string { return "json" }

// Marshal implements connect.Codec. Its output has no insignificant white space,
// and so no line break: one message is one line.
func (JSON) Marshal(m any) ([]byte, error) {
	msg, err := asMessage(m)
	if err != nil {
		return nil, err
	}
	// Grown piece by piece, a large answer would take several times its size.
	room := make([]byte, 0, proto.Size(msg)*3/2+1024)
	in, err := protojson.MarshalOptions{UseProtoNames: true, EmitDefaultValues: true}.MarshalAppend(room, msg)
	if err != nil {
		return nil, err
	}
	r := rewriter{in: in, out: in[:0]}
	r.message(msg.ProtoReflect().Descriptor())
	return r.out, nil
}

// Line returns a message of the service as the API writes it, in one line.
func Line(m proto.Message) ([]byte, error) { return JSON{}.Marshal(m) }

// MaxTxs is how many transactions one request may hold.
const MaxTxs = 10_000

// maxCommas bounds the elements of a request's list before they are decoded:
// base64 and hexadecimal digits have no commas.
const maxCommas = MaxTxs + 16

// Unmarshal implements connect.Codec. Nothing at all is the empty object.
func (JSON) Unmarshal(data []byte, m any) error {
	msg, err := asMessage(m)
	if err != nil {
		return err
	}
	if len(data) == 0 {
		proto.Reset(msg)
		return nil
	}
	if n := bytes.Count(data, []byte(",")); n > maxCommas {
		return fmt.Errorf("%d commas: want at most %d transactions in a request", n, MaxTxs)
	}
	if err := protojson.Unmarshal(data, msg); err != nil {
		return err
	}
	return nil
}

// Proto is the binary codec, which counts a request's transactions before it
// decodes them: a list of empty ones would take twelve times its size.
type Proto struct{}

// Name implements connect.Codec.
func (Proto) Name() string { return "proto" }

// Marshal implements connect.Codec.
func (Proto) Marshal(m any) ([]byte, error) {
	msg, err := asMessage(m)
	if err != nil {
		return nil, err
	}
	return proto.Marshal(msg)
}

// Unmarshal implements connect.Codec.
func (Proto) Unmarshal(data []byte, m any) error {
	msg, err := asMessage(m)
	if err != nil {
		return err
	}
	if _, ok := m.(*apipb.SubmitTxsRequest); ok {
		if n := countFields(data); n > MaxTxs {
			return fmt.Errorf("%d transactions: want at most %d in a request", n, MaxTxs)
		}
	}
	return proto.Unmarshal(data, msg)
}

// countFields returns how many fields a message's bytes hold, up to the first that
// is malformed.
func countFields(data []byte) int {
	n := 0
	for len(data) > 0 {
		_, _, size := protowire.ConsumeField(data)
		if size < 0 {
			return n
		}
		n, data = n+1, data[size:]
	}
	return n
}

func asMessage(m any) (proto.Message, error) {
	msg, ok := m.(proto.Message)
	if !ok {
		return nil, fmt.Errorf("%T is no protobuf message", m)
	}
	return msg, nil
}

// rewriter copies the JSON that protojson wrote, which is known to be valid, with
// the quotes of 64-bit integers and all white space left out. So out is never longer than
// what has been read, and may stand in the same place. It goes along the
// message's descriptor; where there is none (nil) it only copies.
type rewriter struct {
	in, out []byte
}

// peek skips white space and returns the next byte.
func (r *rewriter) peek() byte {
	r.in = bytes.TrimLeft(r.in, " \t\r\n")
	return r.in[0]
}

// take copies the next n bytes.
func (r *rewriter) take(n int) {
	r.out, r.in = append(r.out, r.in[:n]...), r.in[n:]
}

// list copies an object or an array, whose elements are item's.
func (r *rewriter) list(item func()) {
	r.peek()
	r.take(1)
	for {
		switch r.peek() {
		case '}', ']':
			r.take(1)
			return
		case ',':
			r.take(1)
		default:
			item()
		}
	}
}

// key copies an object's key and colon, and returns the key as it is written.
func (r *rewriter) key() string {
	r.peek()
	n := stringLen(r.in)
	key := string(r.in[1 : n-1])
	r.take(n)
	r.peek()
	r.take(1)
	return key
}

func (r *rewriter) message(d protoreflect.MessageDescriptor) {
	if d != nil && d.FullName().Parent() == "google.protobuf" {
		d = nil // well-known types have a JSON form of their own
	}
	if r.peek() != '{' {
		r.value(nil)
		return
	}
	r.list(func() {
		key := r.key()
		if d == nil {
			r.value(nil)
			return
		}
		r.field(d.Fields().ByTextName(key))
	})
}

func (r *rewriter) field(f protoreflect.FieldDescriptor) {
	switch {
	case f == nil:
		r.value(nil)
	case f.IsMap():
		r.list(func() { r.key(); r.value(f.MapValue()) })
	case f.IsList():
		r.list(func() { r.value(f) })
	default:
		r.value(f)
	}
}

// value copies one value, of field f's type.
func (r *rewriter) value(f protoreflect.FieldDescriptor) {
	switch c := r.peek(); {
	case f != nil && f.Message() != nil:
		r.message(f.Message())
	case c == '{':
		r.message(nil)
	case c == '[':
		r.list(func() { r.value(nil) })
	case c != '"':
		if n := bytes.IndexAny(r.in, ",]} \t\r\n"); n >= 0 {
			r.take(n)
		} else {
			r.take(len(r.in))
		}
	case f != nil && is64bit(f.Kind()):
		n := stringLen(r.in)
		r.out, r.in = append(r.out, r.in[1:n-1]...), r.in[n:]
	default:
		r.take(stringLen(r.in))
	}
}

func is64bit(k protoreflect.Kind) bool {
	switch k {
	case protoreflect.Int64Kind, protoreflect.Sint64Kind, protoreflect.Sfixed64Kind,
		protoreflect.Uint64Kind, protoreflect.Fixed64Kind:
		return true
	}
	return false
}

// stringLen returns the length of the JSON string that b begins with, quotes
// included.
func stringLen(b []byte) int {
	for i := 1; ; i++ {
		switch b[i] {
		case '\\':
			i++
		case '"':
			return i + 1
		}
	}
}
