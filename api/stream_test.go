package api

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptrace"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/mempool"
)

// lines opens a page of lines and returns what reads the next one, and what hangs up.
func (w *world) lines(path string) (next func() (string, error), hangUp func()) {
	w.t.Helper()
	ctx, cancel := context.WithCancel(w.t.Context())
	res, err := w.client.Do(w.request(http.MethodGet, path, "").WithContext(ctx))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() { cancel(); res.Body.Close() })
	if res.StatusCode != http.StatusOK || res.Header.Get("Content-Type") != "application/x-ndjson" {
		w.t.Fatalf("%s: %s, %s", path, res.Status, res.Header.Get("Content-Type"))
	}
	r := bufio.NewReader(res.Body)
	return func() (string, error) {
		line, err := r.ReadString('\n')
		return strings.TrimSuffix(line, "\n"), err
	}, cancel
}

// noStreams waits until no stream is open.
func (w *world) noStreams() {
	w.t.Helper()
	w.server.streams.whole.Acquire(context.Background(), maxStreams) // only ctx could make it fail
	w.server.streams.whole.Release(maxStreams)
}

func TestLinesFollowTheChain(t *testing.T) {
	for _, tt := range []struct {
		query string
		first uint64
	}{{"", 3}, {"?from=0", 3}, {"?from=1", 1}, {"?from=2&txs=ids", 2}, {"?from=4", 4}} {
		w := newWorld(t, func(c *Config) {
			c.Facts = func(height uint64) (arrival.Accepted, bool) {
				h, err := c.Ledger.Header(height)
				return arrival.Accepted{Height: height, ID: h.Header.ID(), Facts: arrival.Facts{Via: arrival.Pull}}, err == nil
			}
		})
		w.grow(w.tx("1"))
		w.grow(w.tx("2"))
		next, _ := w.lines("/v1/blocks" + tt.query)
		w.grow(w.tx("3"))
		w.grow(w.tx("4"))
		for want := tt.first; want <= 4; want++ {
			line, err := next()
			var b struct {
				Header struct{ Height uint64 }
				Fact   struct{ Via string }
			}
			if err = errors.Join(err, json.Unmarshal([]byte(line), &b)); err != nil {
				t.Fatalf("%q: %v", tt.query, err)
			}
			if b.Header.Height != want || b.Fact.Via != "pull" {
				t.Errorf("%q: got %+v, want height %d and its fact", tt.query, b, want)
			}
			if strings.Contains(line, "tx_ids") != strings.Contains(tt.query, "ids") {
				t.Errorf("%q: %s", tt.query, line)
			}
		}
		w.stop()
	}
}

func TestForgottenAndForeignFactsAreLeftOut(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Facts = func(height uint64) (arrival.Accepted, bool) { return arrival.Accepted{ID: block.ID{9}}, height == 1 }
	})
	w.grow(w.tx("1"))
	w.grow(w.tx("2"))
	next, _ := w.lines("/v1/blocks?from=1")
	for range 2 {
		if line, err := next(); err != nil || strings.Contains(line, "fact") {
			t.Errorf("%s, %v", line, err)
		}
	}
}

func TestStreamsEndWithTheirReader(t *testing.T) {
	w := newWorld(t, nil)
	for range 3 {
		_, hangUp := w.lines("/v1/blocks")
		hangUp()
	}
	for name, c := range protocols(w) {
		ctx, cancel := context.WithCancel(t.Context())
		if _, err := c.WatchBlocks(ctx, connect.NewRequest(&apipb.WatchBlocksRequest{})); err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		cancel()
	}
	w.noStreams()
}

func TestShutdownEndsStreamsFirst(t *testing.T) {
	release := make(chan struct{})
	entered := make(chan struct{})
	w := newWorld(t, func(c *Config) {
		c.Grace = time.Hour
		c.Submit = func(_ context.Context, txs []*block.Tx) ([]mempool.Verdict, error) {
			close(entered)
			<-release
			return []mempool.Verdict{{Status: mempool.Accepted}}, nil
		}
	})
	next, _ := w.lines("/v1/blocks")
	streams := map[string]*connect.ServerStreamForClient[apipb.WatchBlocksResponse]{}
	for name, c := range protocols(w) {
		stream, err := c.WatchBlocks(t.Context(), connect.NewRequest(&apipb.WatchBlocksRequest{}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		streams[name] = stream
	}
	client := Dial(w.server.Addr())
	defer client.Close()
	type answer struct {
		verdicts []*apipb.TxVerdict
		err      error
	}
	submitted := make(chan answer, 1)
	go func() {
		v, err := client.Submit(t.Context(), w.tx("last"))
		submitted <- answer{v, err}
	}()
	<-entered
	stopped := make(chan struct{})
	go func() { w.stop(); close(stopped) }()
	for name, stream := range streams {
		if stream.Receive() || connect.CodeOf(stream.Err()) != connect.CodeUnavailable || !strings.Contains(stream.Err().Error(), "stopping") {
			t.Errorf("%s: %v", name, stream.Err())
		}
	}
	if line, err := next(); err != nil || line != `{"code":"unavailable","message":"the node is stopping"}` {
		t.Errorf("last line %q, %v", line, err)
	}
	if line, err := next(); err != io.EOF {
		t.Errorf("after the last line: %q, %v", line, err)
	}
	select {
	case <-stopped:
		t.Error("Run returned while a request was being served")
	default:
	}
	close(release)
	if a := <-submitted; a.err != nil || len(a.verdicts) != 1 || a.verdicts[0].Status != StatusAccepted {
		t.Errorf("the request that was being served: %v", a)
	}
	<-stopped
}

func TestShutdownEndsStreamsInThePast(t *testing.T) {
	var w *world
	w = newWorld(t, func(c *Config) {
		c.Facts = func(uint64) (arrival.Accepted, bool) { // asked for in the midst of the stream
			go w.stop()
			<-w.server.ending.Done()
			return arrival.Accepted{}, false
		}
	})
	for range 3 {
		w.grow(w.tx("x"))
	}
	next, _ := w.lines("/v1/blocks?from=1")
	for _, want := range []string{`{"header":`, `{"code":"unavailable"`} {
		if line, err := next(); err != nil || !strings.HasPrefix(line, want) {
			t.Errorf("line %q, %v, want %s", line, err, want)
		}
	}
}

func TestShutdownCutsOffAfterGrace(t *testing.T) {
	entered := make(chan struct{})
	w := newWorld(t, func(c *Config) {
		c.Grace = 10 * time.Millisecond
		c.Submit = func(ctx context.Context, _ []*block.Tx) ([]mempool.Verdict, error) {
			close(entered)
			<-ctx.Done()
			return nil, ctx.Err()
		}
	})
	done := make(chan error, 1)
	go func() {
		_, err := Dial(w.server.Addr()).Submit(t.Context(), w.tx("x"))
		done <- err
	}()
	<-entered
	w.stop()
	if err := <-done; err == nil || connect.CodeOf(err) == connect.CodeDeadlineExceeded {
		t.Errorf("the request was not cut off: %v", err)
	}
}

func TestStreamsAreCounted(t *testing.T) {
	w := newWorld(t, nil)
	w.server.streams.whole.TryAcquire(maxStreams)
	status, body := w.get("/v1/blocks")
	w.want("one too many", status, body, http.StatusTooManyRequests, "128 streams are open already")
	w.server.streams.whole.Release(1)
	w.lines("/v1/blocks")
}

// lockedBuffer collects a log.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

// inBubble runs a test in virtual time, over connections in memory.
func inBubble(t *testing.T, edit func(*Config), test func(w *world)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t, func(c *Config) {
			c.Listener = NewMemory()
			if edit != nil {
				edit(c)
			}
		})
		test(w)
	})
}

// TestSlowReadersAreDropped opens streams of 20 MB and reads nothing of them: more
// than the windows of HTTP/2 hold. They are cut off after Stall, to the instant, and a
// reader that reads is not.
func TestSlowReadersAreDropped(t *testing.T) {
	log := &lockedBuffer{}
	inBubble(t, func(c *Config) { c.Logger = slog.New(slog.NewTextHandler(log, nil)) }, func(w *world) {
		t := w.t
		for range 5 {
			txs := make([]*block.Tx, 60)
			for i := range txs {
				txs[i] = w.tx(strings.Repeat("x", 65_000))
			}
			w.grow(txs...)
		}
		begun := time.Now()
		conn, err := w.dial(t.Context(), "", "")
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprintf(conn, "GET /v1/blocks?from=1&raw=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
		if _, err := conn.Read(make([]byte, 1)); err != nil { // it is being served
			t.Fatal(err)
		}
		for name, c := range protocols(w) {
			if _, err := c.WatchBlocks(t.Context(), connect.NewRequest(&apipb.WatchBlocksRequest{From: 1, Raw: true})); err != nil {
				t.Fatalf("%s: %v", name, err)
			}
		}
		next, hangUp := w.lines("/v1/blocks?from=1&raw=true")
		for range 5 {
			if line, err := next(); err != nil || len(line) < 4<<20 {
				t.Fatalf("a reader that reads: %d bytes, %v", len(line), err)
			}
		}
		hangUp()
		w.noStreams()
		if took := time.Since(begun); took != w.server.cfg.Stall {
			t.Errorf("the last stream was cut off after %v, want %v", took, w.server.cfg.Stall)
		}
		w.stop() // and so the handlers have returned
		if n := strings.Count(log.String(), "api reader cut off"); n != 7 {
			t.Errorf("%d streams cut off, want 7:\n%s", n, log)
		}
	})
}

func TestSilenceIsNoStall(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		t := w.t
		next, _ := w.lines("/v1/blocks")
		streams := map[string]*connect.ServerStreamForClient[apipb.WatchBlocksResponse]{}
		for name, c := range protocols(w) {
			stream, err := c.WatchBlocks(t.Context(), connect.NewRequest(&apipb.WatchBlocksRequest{}))
			if err != nil {
				t.Fatal(err)
			}
			streams[name] = stream
		}
		for range 2 {
			time.Sleep(3 * w.server.cfg.Stall)
			w.grow(w.tx("x"))
			if _, err := next(); err != nil {
				t.Errorf("lines: %v", err)
			}
			for name, stream := range streams {
				if !stream.Receive() {
					t.Errorf("%s: %v", name, stream.Err())
				}
			}
		}
	})
}

// TestConnectionOutlivesStall sends a second request over a connection that was
// silent for longer than a stall.
func TestConnectionOutlivesStall(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		t := w.t
		for i := range 2 {
			reused := false
			ctx := httptrace.WithClientTrace(t.Context(), &httptrace.ClientTrace{GotConn: func(c httptrace.GotConnInfo) { reused = c.Reused }})
			r := w.request(http.MethodPost, "/v1/txs", `{"txs":["AA=="]}`).WithContext(ctx)
			r.Header.Set("Expect", "100-continue")
			res, err := w.client.Do(r)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, res.Body)
			res.Body.Close()
			if res.StatusCode != http.StatusOK || reused != (i > 0) {
				t.Errorf("request %d: %s, reused %v", i, res.Status, reused)
			}
			time.Sleep(3 * w.server.cfg.Stall)
		}
	})
}
