package api

import (
	"context"
	"net"
	"net/http"
	"sync"
)

// Memory is a listener without a socket, for a node and its clients in one process. Its
// connections hold nothing that has not been read. Unlike a socket it lets virtual time
// go on in a bubble of testing/synctest.
type Memory struct {
	conns  chan net.Conn
	closed chan struct{}
	close  func()
}

// NewMemory makes a listener for Config.Listener.
func NewMemory() *Memory {
	m := &Memory{conns: make(chan net.Conn), closed: make(chan struct{})}
	m.close = sync.OnceFunc(func() { close(m.closed) })
	return m
}

// Accept implements net.Listener.
func (m *Memory) Accept() (net.Conn, error) {
	select {
	case c := <-m.conns:
		return c, nil
	case <-m.closed:
		return nil, net.ErrClosed
	}
}

// Close implements net.Listener.
func (m *Memory) Close() error { m.close(); return nil }

// Addr implements net.Listener. All are called localhost.
func (m *Memory) Addr() net.Addr { return memoryAddr{} }

type memoryAddr struct{}

func (memoryAddr) Network() string { return "memory" }
func (memoryAddr) String() string  { return "localhost" }

// DialContext connects to whoever accepts; it is what an http.Transport wants.
func (m *Memory) DialContext(ctx context.Context, _, _ string) (net.Conn, error) {
	near, far := net.Pipe()
	select {
	case m.conns <- far:
		return near, nil
	case <-m.closed:
		return nil, net.ErrClosed
	case <-ctx.Done():
		return nil, ctx.Err()
	}
}

// Client makes a client of the node that serves the listener.
func (m *Memory) Client() *Client {
	return dial(m.Addr().String(), &http.Transport{DialContext: m.DialContext})
}
