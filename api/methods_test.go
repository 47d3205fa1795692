package api

import (
	"errors"
	"io"
	"net/http"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"
	"connectrpc.com/grpcreflect"
	"google.golang.org/protobuf/reflect/protodesc"
	"google.golang.org/protobuf/types/descriptorpb"

	"grapevine/api/apipb"
)

// second makes a client of HTTP/2.
func (w *world) second() *http.Client {
	p := new(http.Protocols)
	p.SetUnencryptedHTTP2(true)
	return w.newClient(p)
}

// without keeps requests for a path from the server.
type without struct {
	prefix string
	next   http.RoundTripper
}

func (o without) RoundTrip(r *http.Request) (*http.Response, error) {
	if strings.HasPrefix(r.URL.Path, o.prefix) {
		return &http.Response{StatusCode: http.StatusNotFound, Header: http.Header{}, Body: http.NoBody, Request: r}, nil
	}
	return o.next.RoundTrip(r)
}

func TestReflectionTellsOfTheService(t *testing.T) {
	w := newWorld(t, nil)
	for _, old := range []string{"/none", "/grpc.reflection.v1."} {
		h2 := w.second()
		h2.Transport = without{old, h2.Transport}
		stream := grpcreflect.NewClient(h2, w.url(""), connect.WithGRPC()).NewStream(t.Context())
		names, err := stream.ListServices()
		if err != nil || !slices.Equal(asText(names), []string{"grapevine.v1.Node"}) {
			t.Fatalf("services %v, %v", names, err)
		}
		files, err := stream.FileContainingSymbol(names[0])
		if err != nil || len(files) != 1 {
			t.Fatalf("%d files, %v", len(files), err)
		}
		f, err := protodesc.NewFiles(&descriptorpb.FileDescriptorSet{File: files})
		if err != nil {
			t.Fatal(err)
		}
		if d, err := f.FindDescriptorByName("grapevine.v1.Node.WatchBlocks"); err != nil || d == nil {
			t.Error(err)
		}
		if _, err := stream.FileByFilename("google/protobuf/descriptor.proto"); err == nil {
			t.Error("it tells of what is not the API's")
		}
		stream.Close()
	}
	w.noStreams()
}

func asText[T ~string](in []T) (out []string) {
	for _, x := range in {
		out = append(out, string(x))
	}
	return out
}

// TestWhatIsNotThereIsRefusedAtOnce asks and does not end its request: in a bubble, where
// waiting takes time.
func TestWhatIsNotThereIsRefusedAtOnce(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		t := w.t
		for _, path := range []string{"/nobody.v1.Nothing/Do", "/grapevine.v1.Node/Nothing", "/nothing/Do"} {
			c := connect.NewClient[apipb.GetStatusRequest, apipb.GetStatusResponse](w.second(), w.url(path), connect.WithGRPC())
			begun := time.Now()
			stream := c.CallBidiStream(t.Context())
			if err := stream.Send(&apipb.GetStatusRequest{}); err != nil && !errors.Is(err, io.EOF) { // it may be refused before it has spoken
				t.Fatal(err)
			}
			_, err := stream.Receive()
			if connect.CodeOf(err) != connect.CodeUnimplemented || !strings.Contains(err.Error(), "no method "+path+": there are /grapevine.v1.Node/SubmitTxs, ") {
				t.Errorf("%s: %v", path, err)
			}
			if took := time.Since(begun); took != 0 {
				t.Errorf("%s: refused after %v", path, took)
			}
			stream.CloseRequest()
			stream.CloseResponse()
		}
	})
}

func TestConversationsEnd(t *testing.T) {
	for _, stop := range []bool{false, true} {
		inBubble(t, nil, func(w *world) {
			begun := time.Now()
			stream := grpcreflect.NewClient(w.second(), w.url(""), connect.WithGRPC()).NewStream(w.t.Context())
			if _, err := stream.ListServices(); err != nil {
				w.t.Fatal(err)
			}
			if w.server.streams.whole.TryAcquire(maxStreams) {
				w.t.Error("it counts as no stream")
			}
			if stop {
				w.stop()
			}
			w.noStreams()
			if took := time.Since(begun); !stop && took != talkTimeout || stop && took >= w.server.cfg.Grace {
				w.t.Errorf("stopped %v: it ended after %v", stop, took)
			}
			stream.Close()
			synctest.Wait()
		})
	}
}
