package api

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"sync"
)

const (
	// maxConns leaves most of the usual 1,024 file descriptors to peers and ledger.
	maxConns = 256
	// maxConnsEach bounds the connections from one address: it takes four to take all
	// places. Loopback is one address for all who are on this machine, and for whoever
	// comes through a proxy here, so it may have more; a quarter is left to the others.
	maxConnsEach, maxConnsLoopback = maxConns / 4, maxConns * 3 / 4
	// maxReserve is for connections beyond: a few, for their one request takes
	// milliseconds.
	maxReserve = 8
)

// places is a listener that bounds the connections, and never keeps one waiting. Where
// all places are taken, the connection that has waited longest for a request makes room;
// where all are at work, the new one comes in the reserve, and is answered once: by the
// pages that supervise the node, or by a refusal. In the reserve the oldest makes room,
// whatever it does.
type places struct {
	net.Listener

	mu    sync.Mutex
	clock uint64               // guarded by mu: counts what happens
	conns map[*placed]struct{} // guarded by mu
}

// placed is a connection that has a place until it is closed.
type placed struct {
	net.Conn
	places  *places
	from    netip.Addr
	reserve bool
	idle    bool   // guarded by the places' mu: it waits for a request
	since   uint64 // guarded by the places' mu: when it came, or began to wait
}

func newPlaces(l net.Listener) *places {
	return &places{Listener: l, conns: map[*placed]struct{}{}}
}

// Accept implements net.Listener.
func (p *places) Accept() (net.Conn, error) {
	conn, err := p.Listener.Accept()
	if err != nil {
		return nil, err
	}
	c, instead := p.admit(conn)
	if instead != nil {
		instead.Close()
	}
	return c, nil
}

// admit gives a connection a place, and returns who has to go for it.
func (p *places) admit(conn net.Conn) (c, instead *placed) {
	c = &placed{Conn: conn, places: p, from: sourceOf(conn.RemoteAddr().String()), idle: true}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.clock++
	c.since = p.clock
	ordinary := func(o *placed) bool { return !o.reserve }
	kin := func(o *placed) bool { return !o.reserve && o.from == c.from }
	most := maxConnsEach
	if c.from.IsLoopback() {
		most = maxConnsLoopback
	}
	among := kin
	if p.count(kin) < most {
		among = ordinary
	}
	if p.count(kin) >= most || p.count(ordinary) >= maxConns {
		instead = p.oldest(func(o *placed) bool { return o.idle && among(o) })
		c.reserve = instead == nil
	}
	if reserve := func(o *placed) bool { return o.reserve }; c.reserve && p.count(reserve) >= maxReserve {
		instead = p.oldest(reserve)
	}
	delete(p.conns, instead)
	p.conns[c] = struct{}{}
	return c, instead
}

func (p *places) count(which func(*placed) bool) (n int) {
	for c := range p.conns {
		if which(c) {
			n++
		}
	}
	return n
}

// oldest returns one that came, or began to wait, before all others; nil if there is none.
func (p *places) oldest(which func(*placed) bool) (first *placed) {
	for c := range p.conns {
		if which(c) && (first == nil || c.since < first.since) {
			first = c
		}
	}
	return first
}

// note is told of what the server does with a connection: see http.Server.ConnState.
func (p *places) note(conn net.Conn, state http.ConnState) {
	c := conn.(*placed)
	p.mu.Lock()
	defer p.mu.Unlock()
	if idle := state == http.StateIdle || state == http.StateNew; idle != c.idle {
		p.clock++
		c.idle, c.since = idle, p.clock
	}
}

// Close implements net.Conn.
func (c *placed) Close() error {
	c.places.mu.Lock()
	delete(c.places.conns, c)
	c.places.mu.Unlock()
	return c.Conn.Close()
}

type reserveKey struct{}

// mark lets requests know that their connection is in the reserve: see
// http.Server.ConnContext.
func mark(ctx context.Context, conn net.Conn) context.Context {
	return context.WithValue(ctx, reserveKey{}, conn.(*placed).reserve)
}

func inReserve(ctx context.Context) bool { return ctx.Value(reserveKey{}).(bool) }
