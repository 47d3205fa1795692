package api

import (
	"bufio"
	"context"
	"encoding/base64"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
)

// dials opens n connections and says something on each.
func (w *world) dials(n int, say string) []net.Conn {
	w.t.Helper()
	dial := w.dial
	if dial == nil {
		dial = (&net.Dialer{}).DialContext
	}
	conns := make([]net.Conn, n)
	for i := range conns {
		conn, err := dial(w.t.Context(), "tcp", w.server.Addr())
		if err != nil {
			w.t.Fatal(err)
		}
		w.t.Cleanup(func() { conn.Close() })
		if _, err := io.WriteString(conn, say); err != nil {
			w.t.Fatal(err)
		}
		conns[i] = conn
	}
	return conns
}

// busyConns waits until n connections in ordinary places have a request.
func (w *world) busyConns(n int) {
	w.t.Helper()
	for p := w.server.places; ; time.Sleep(time.Millisecond) {
		p.mu.Lock()
		got := p.count(func(c *placed) bool { return !c.reserve && !c.idle })
		p.mu.Unlock()
		if got == n {
			return
		}
	}
}

// headersOnly announces a body: 84 of them the whole budget.
const headersOnly = "POST /v1/txs HTTP/1.1\r\nHost: localhost\r\nContent-Length: 1597830\r\n\r\n"

// supervised fails unless the pages that say how the node is doing answer.
func (w *world) supervised(when string) {
	w.t.Helper()
	for _, path := range []string{"/healthz", "/readyz", "/metrics"} {
		status, body := w.get(path)
		w.want(when+": "+path, status, body, http.StatusOK)
	}
}

func (w *world) submitOne(when string) {
	w.t.Helper()
	status, body := w.post("/v1/txs", fmt.Sprintf(`{"txs":[%q]}`, base64.StdEncoding.EncodeToString(w.tx("x").Bytes())))
	w.want(when, status, body, http.StatusOK, StatusAccepted)
}

func TestIdleConnectionsMakeRoom(t *testing.T) {
	w := newWorld(t, nil)
	conns := w.dials(maxConns+50, "")
	w.supervised("idle connections")
	w.submitOne("idle connections")
	if _, err := conns[0].Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the one that waited longest: %v", err)
	}
	last := conns[len(conns)-1]
	fmt.Fprint(last, "GET /healthz HTTP/1.1\r\nHost: localhost\r\n\r\n")
	if res, err := http.ReadResponse(bufio.NewReader(last), nil); err != nil || res.StatusCode != http.StatusOK {
		t.Errorf("the one that came last: %v, %v", res, err)
	}
}

// TestHeadersAloneHoldNothing opens more connections than the budget of requests would
// be enough for if what their headers say counted, and then takes all places.
func TestHeadersAloneHoldNothing(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Stall = time.Hour })
	w.dials(84, headersOnly)
	w.busyConns(84)
	w.submitOne("84 bodies that do not come")
	w.dials(maxConnsLoopback-84, headersOnly)
	w.busyConns(maxConnsLoopback)
	w.supervised("no place")
	status, body := w.get("/v1/status")
	w.want("no place", status, body, http.StatusServiceUnavailable, "unavailable", "try again in 3600 s")
	w.dials(3*maxReserve, headersOnly)
	w.dials(3*maxReserve, "")
	w.supervised("no place in the reserve")
}

// TestBodiesThatStopAreCutOff is over HTTP/2 too: a connection has many requests there.
// Refused requests are read to their end as well, so they may not take longer.
func TestBodiesThatStopAreCutOff(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		t, stall := w.t, w.server.cfg.Stall
		second := new(http.Protocols)
		second.SetUnencryptedHTTP2(true)
		client := w.newClient(second)
		for _, host := range []string{"localhost", "evil.example"} {
			begun := time.Now()
			conn := w.dials(1, "POST /v1/txs HTTP/1.1\r\nHost: "+host+"\r\nContent-Length: 1000\r\n\r\n{")[0]
			io.Copy(io.Discard, conn)
			if took := time.Since(begun); took != stall {
				t.Errorf("HTTP/1, %s: ended after %v", host, took)
			}
			body, feed := io.Pipe()
			go io.WriteString(feed, "{")
			r, _ := http.NewRequest(http.MethodPost, w.url("/v1/txs"), body)
			r.ContentLength, r.Host = 1000, host
			begun = time.Now()
			if res, err := client.Do(r); err == nil {
				res.Body.Close()
			}
			if took := time.Since(begun); took > stall {
				t.Errorf("HTTP/2, %s: answered after %v", host, took)
			}
			feed.Close()
		}
		time.Sleep(stall)
		synctest.Wait()
		p := w.server.places
		p.mu.Lock()
		if n := p.count(func(c *placed) bool { return !c.idle }); n > 0 {
			t.Errorf("%d connections are still at work", n)
		}
		p.mu.Unlock()
		w.allFree()
	})
}

func TestBodiesAreTakenAsTheyArrive(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		conn := w.dials(1, headersOnly)[0]
		for sent, piece := 0, make([]byte, 256<<10); sent < 1<<20; sent += len(piece) {
			synctest.Wait()
			b := w.server.bodies
			free := b.size - int64(max(512, 2*sent))
			if !b.whole.TryAcquire(free) {
				w.t.Fatalf("%d bytes came, and more than twice as many are held", sent)
			}
			if b.whole.TryAcquire(int64(max(512, sent)) + 1) {
				w.t.Fatalf("%d bytes came, and fewer are held", sent)
			}
			b.whole.Release(free)
			if _, err := conn.Write(piece); err != nil {
				w.t.Fatal(err)
			}
		}
	})
}

// farConn is a connection from an address of one's choice.
type farConn struct {
	net.Conn
	from   string
	closed bool
}

func (c *farConn) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", c.from); return a }
func (c *farConn) Close() error         { c.closed = true; return nil }

func TestPlacesOfOneAddress(t *testing.T) {
	p := newPlaces(nil)
	take := func(from string, n int) (last, instead *placed) {
		for range n {
			last, instead = p.admit(&farConn{from: from})
			p.note(last, http.StateActive)
		}
		return last, instead
	}
	if c, _ := take("192.0.2.1:1", maxConnsEach+1); !c.reserve {
		t.Error("one address takes more than its share")
	}
	first, _ := take("192.0.2.2:1", 1)
	p.note(first, http.StateIdle)
	if c, instead := take("192.0.2.2:2", maxConnsEach); c.reserve || instead != first {
		t.Error("its own that is idle does not make room")
	}
	if c, _ := take("127.0.0.1:1", maxConns-2*maxConnsEach); c.reserve {
		t.Error("loopback does not get more than others")
	}
	if c, _ := take("192.0.2.3:1", 1); !c.reserve {
		t.Error("there are more places than places")
	}
	old, _ := take("192.0.2.3:1", maxReserve-2)
	if _, instead := take("192.0.2.3:1", 1); instead == nil || !instead.reserve || instead == old {
		t.Error("the reserve's oldest does not make room")
	}
	for c := range p.conns {
		c.Close()
		c.Close()
	}
	if len(p.conns) != 0 {
		t.Errorf("%d places are still taken", len(p.conns))
	}
}

// TestStreamsKeepTheirPlace opens streams over all protocols, and then so many
// connections that whoever is idle has to go.
func TestStreamsKeepTheirPlace(t *testing.T) {
	w := newWorld(t, nil)
	streams := map[string]*connect.ServerStreamForClient[apipb.WatchBlocksResponse]{}
	for name, c := range protocols(w) {
		ctx, cancel := context.WithCancel(t.Context())
		defer cancel()
		stream, err := c.WatchBlocks(ctx, connect.NewRequest(&apipb.WatchBlocksRequest{}))
		if err != nil {
			t.Fatalf("%s: %v", name, err)
		}
		streams[name] = stream
	}
	w.dials(2*maxConns, "")
	w.supervised("many idle connections")
	w.grow(w.tx("x"))
	for name, stream := range streams {
		if !stream.Receive() {
			t.Errorf("%s: %v", name, stream.Err())
		}
	}
}

// farListener gives its connections an address of one's choice.
type farListener struct {
	*Memory
	from atomic.Pointer[string]
}

func (l *farListener) Accept() (net.Conn, error) {
	conn, err := l.Memory.Accept()
	if err != nil {
		return nil, err
	}
	return remote{conn, *l.from.Load()}, nil
}

type remote struct {
	net.Conn
	from string
}

func (r remote) RemoteAddr() net.Addr { a, _ := net.ResolveTCPAddr("tcp", r.from); return a }

// TestOneAddressLeavesStreamsToOthers opens as many as it may, over HTTP/2.
func TestOneAddressLeavesStreamsToOthers(t *testing.T) {
	far := &farListener{Memory: NewMemory()}
	w := newWorld(t, func(c *Config) { c.Listener, c.Public = far, true })
	w.dial = far.DialContext
	watch := func(h2 *http.Client) error {
		ctx, cancel := context.WithCancel(t.Context())
		c := connect.NewClient[apipb.WatchBlocksRequest, apipb.WatchBlocksResponse](h2, w.url("/grapevine.v1.Node/WatchBlocks"), connect.WithGRPC())
		stream, err := c.CallServerStream(ctx, connect.NewRequest(&apipb.WatchBlocksRequest{From: 1}))
		t.Cleanup(cancel)
		if err == nil && !stream.Receive() {
			err = stream.Err()
		}
		return err
	}
	w.grow(w.tx("x"))
	for _, from := range []string{"192.0.2.1:1", "[2001:db8::1]:1"} {
		far.from.Store(&from)
		one, another := w.second(), w.second()
		for range maxStreams / 2 {
			if err := watch(one); err != nil {
				t.Fatalf("%s: %v", from, err)
			}
		}
		if err := watch(another); connect.CodeOf(err) != connect.CodeResourceExhausted || !strings.Contains(err.Error(), "one address may have 64") {
			t.Fatalf("%s: one too many: %v", from, err)
		}
	}
}

// TestConnectionsOfHTTP2AreIdleBetweenRequests: they make room as others do.
func TestConnectionsOfHTTP2AreIdleBetweenRequests(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		res, err := w.second().Do(w.request(http.MethodGet, "/v1/status", ""))
		if err != nil {
			w.t.Fatal(err)
		}
		res.Body.Close()
		w.dials(1, "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\x00\x00\x00\x04\x00\x00\x00\x00\x00") // and no request
		synctest.Wait()
		p := w.server.places
		p.mu.Lock()
		defer p.mu.Unlock()
		if n := p.count(func(c *placed) bool { return c.idle }); n != 2 || len(p.conns) != 2 {
			w.t.Errorf("%d of %d connections are idle, want both of two", n, len(p.conns))
		}
	})
}
