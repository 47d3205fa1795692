package codec

import (
	"bytes"
	"encoding/json"
	"math"
	"strings"
	"testing"

	"google.golang.org/protobuf/encoding/protojson"
	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/structpb"
	"google.golang.org/protobuf/types/known/wrapperspb"

	"grapevine/api/apipb"
)

func TestJSONWritesNumbersAndNames(t *testing.T) {
	tests := []struct {
		name string
		msg  proto.Message
		want string
	}{
		{"integers of 64 bits", &apipb.Tx{Nonce: math.MaxUint64, Expiry: 7, Payload: []byte("hi")},
			`{"id":"","kind":0,"sender":"","nonce":18446744073709551615,"expiry":7,"payload":"aGk=","signature":""}`},
		{"negative", &apipb.Fact{Latency: -5, Via: "push"},
			`{"via":"push","from":"","hop":0,"latency":-5,"missing":0,"duplicates":0,"accepted":""}`},
		{"digits in a string stay a string", &apipb.GetTxRequest{Id: "12345"}, `{"id":"12345"}`},
		{"escapes", &apipb.TxVerdict{Reason: "\"a\\\" b\n,}]"},
			`{"id":"","status":"","reason":"\"a\\\" b\n,}]"}`},
		{"lists of messages", &apipb.GetMembersResponse{Members: []*apipb.Member{{Height: 3, Addrs: []string{"a", "b"}}, {}}},
			`{"members":[{"peer_id":"","state":"","neighbour":false,"addrs":["a","b"],"height":3,"base":0,"software":"","silent":0},` +
				`{"peer_id":"","state":"","neighbour":false,"addrs":[],"height":0,"base":0,"software":"","silent":0}],"note":""}`},
		{"empty", &apipb.GetStatusRequest{}, `{}`},
		{"a message inside", &apipb.WatchBlocksResponse{Block: &apipb.Block{Body: &apipb.Body{Raw: []byte{0}}}},
			`{"block":{"body":{"tx_ids":[],"transactions":[],"raw":"AA=="}}}`},
		{"a well-known type has its own form", wrapperspb.UInt64(5), `"5"`},
		{"any value", structpb.NewListValue(&structpb.ListValue{Values: []*structpb.Value{
			structpb.NewStringValue("1"), structpb.NewNumberValue(2), structpb.NewNullValue(), structpb.NewBoolValue(true),
			structpb.NewStructValue(&structpb.Struct{Fields: map[string]*structpb.Value{"height": structpb.NewStringValue("3")}})}}),
			`["1",2,null,true,{"height":"3"}]`},
	}
	for _, tt := range tests {
		got, err := Line(tt.msg)
		if err != nil || string(got) != tt.want {
			t.Errorf("%s: %v\n got %s\nwant %s", tt.name, err, got, tt.want)
		}
	}
}

func TestJSONReadsNumbersAndStrings(t *testing.T) {
	for _, in := range []string{`{"height": 7}`, `{"height": "7"}`, `{"height": 7, "id": ""}`} {
		m := &apipb.GetBlockRequest{}
		if err := (JSON{}).Unmarshal([]byte(in), m); err != nil || m.Height != 7 {
			t.Errorf("%s: height %d, %v", in, m.Height, err)
		}
	}
	m := &apipb.GetBlockRequest{Height: 9}
	if err := (JSON{}).Unmarshal(nil, m); err != nil || m.Height != 0 {
		t.Errorf("nothing: height %d, %v", m.Height, err)
	}
}

func TestCodecsRefuse(t *testing.T) {
	many := proto.Message(&apipb.SubmitTxsRequest{Txs: make([][]byte, MaxTxs+1)})
	binary, err := proto.Marshal(many)
	if err != nil {
		t.Fatal(err)
	}
	tests := []struct {
		name, want string
		err        error
	}{
		{"a misspelled field", "form", JSON{}.Unmarshal([]byte(`{"form": 1}`), &apipb.WatchBlocksRequest{})},
		{"a negative height", "invalid value", JSON{}.Unmarshal([]byte(`{"from": -1}`), &apipb.WatchBlocksRequest{})},
		{"too large a list", "at most 10000", JSON{}.Unmarshal([]byte(`{"txs":[""`+strings.Repeat(`,""`, maxCommas+1)+`]}`), &apipb.SubmitTxsRequest{})},
		{"too large a binary list", "at most 10000", Proto{}.Unmarshal(binary, &apipb.SubmitTxsRequest{})},
		{"broken binary", "cannot parse", Proto{}.Unmarshal([]byte{0x0a, 0x05, 0x00}, &apipb.SubmitTxsRequest{})},
		{"what is no message", "no protobuf message", JSON{}.Unmarshal([]byte(`{}`), new(int))},
	}
	for _, tt := range tests {
		if tt.err == nil || !strings.Contains(tt.err.Error(), tt.want) {
			t.Errorf("%s: error %v, want one with %q", tt.name, tt.err, tt.want)
		}
	}
	full := &apipb.SubmitTxsRequest{Txs: make([][]byte, MaxTxs)}
	text, err := Line(full)
	if err != nil {
		t.Fatal(err)
	}
	if err := (JSON{}).Unmarshal(text, &apipb.SubmitTxsRequest{}); err != nil {
		t.Errorf("the largest list as JSON: %v", err)
	}
}

// FuzzJSON reads a message from its binary form, and wants it back unchanged by way
// of JSON that is valid, that fills one line and that says what protojson says.
func FuzzJSON(f *testing.F) {
	for _, m := range []proto.Message{
		&apipb.Block{Header: &apipb.Header{Id: "ab", Height: 1 << 53}, Fact: &apipb.Fact{Latency: math.MinInt64}},
		&apipb.Block{Body: &apipb.Body{TxIds: []string{`"`, `\`, "\n"}, Transactions: []*apipb.Tx{{Nonce: math.MaxUint64}, {}}}},
	} {
		b, err := proto.Marshal(m)
		if err != nil {
			f.Fatal(err)
		}
		f.Add(b)
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		m := &apipb.Block{}
		if proto.Unmarshal(b, m) != nil {
			return
		}
		m.ProtoReflect().SetUnknown(nil)
		text, err := Line(m)
		if err != nil {
			return // a string that is not UTF-8
		}
		if !json.Valid(text) || bytes.ContainsAny(text, "\n\r") {
			t.Fatalf("no line of JSON: %q", text)
		}
		reference, got := &apipb.Block{}, &apipb.Block{}
		if err := protojson.Unmarshal(text, reference); err != nil {
			t.Fatalf("%s: %v", text, err)
		}
		if err := (JSON{}).Unmarshal(text, got); err != nil {
			if bytes.Count(text, []byte(",")) > maxCommas {
				return
			}
			t.Fatalf("%s: %v", text, err)
		}
		again, err := Line(got)
		if err != nil || !bytes.Equal(again, text) || !proto.Equal(got, reference) {
			t.Fatalf("%s\ncame back as %s, %v", text, again, err)
		}
	})
}
