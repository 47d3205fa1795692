package api

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"connectrpc.com/connect"
)

// guard lets requests through to next that come from somebody who may ask, and
// bounds what they cost.
func (s *Server) guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("Cache-Control", "no-store")
		from := sourceOf(r.RemoteAddr)
		held := &holdings{body: s.bodies.account(from), least: s.small.account(from), small: s.small.account(from), large: s.large.account(from), stall: s.cfg.Stall}
		defer held.close()
		p := &pacedWriter{ResponseWriter: w, control: http.NewResponseController(w), stall: s.cfg.Stall, made: held.keep}
		defer p.last()
		if err := s.admit(p, r, held); err != nil {
			s.refuse(p, r, err)
			return
		}
		next.ServeHTTP(p, r.WithContext(context.WithValue(r.Context(), holdingsKey{}, held)))
		if p.stalled {
			s.cfg.Logger.Info("api reader cut off: it takes nothing", "remote", r.RemoteAddr, "path", r.URL.Path, "stall", s.cfg.Stall)
		}
	})
}

// refuse answers with an error in the form that the asker's protocol has for it.
func (s *Server) refuse(w http.ResponseWriter, r *http.Request, err error) {
	if werr := s.errors.Write(w, r, err); werr != nil {
		s.cfg.Logger.Debug("api answer not written", "path", r.URL.Path, "err", werr)
	}
}

// checkHost refuses a name that is not the node's own. A page whose name has been
// pointed at this address is of the same origin to its browser, and only its Host
// header tells. Addresses cannot be pointed elsewhere; on loopback, where nobody
// else asks, only loopback's are right.
func (s *Server) checkHost(r *http.Request) error {
	host := hostName(r.Host)
	if ip := net.ParseIP(host); ip != nil && (s.cfg.Public || ip.IsLoopback()) {
		return nil
	}
	if host == "localhost" || host != "" && host == hostName(s.cfg.Listen) {
		return nil
	}
	named := func(name string) bool { return strings.EqualFold(name, host) }
	if slices.ContainsFunc(s.cfg.Hosts, named) {
		return nil
	}
	return fmt.Errorf("host %q is not a name of this node: ask for it by its address, as %s, or start it with this name in its setting api_hosts", r.Host, s.places.Addr())
}

// hostName returns a host and port's host, in lower case and without brackets.
func hostName(hostPort string) string {
	host, _, err := net.SplitHostPort(hostPort)
	if err != nil {
		host = strings.Trim(hostPort, "[]") // no port
	}
	return strings.ToLower(strings.TrimSuffix(host, "."))
}

// checkOrigin refuses what a browser says comes from a page of another origin.
// Browsers name the origin of every request but plain GETs, which newer ones mark
// with Sec-Fetch-Site; other clients send neither. Following a link is no harm.
func checkOrigin(r *http.Request) error {
	if origin := r.Header.Get("Origin"); origin != "" {
		if u, err := url.Parse(origin); err != nil || u.Host != r.Host {
			return fmt.Errorf("origin %q: pages of other origins may not use this API", origin)
		}
		return nil
	}
	site := r.Header.Get("Sec-Fetch-Site")
	if site == "" || site == "none" || site == "same-origin" {
		return nil
	}
	if r.Method == http.MethodGet && r.Header.Get("Sec-Fetch-Mode") == "navigate" {
		return nil
	}
	return fmt.Errorf("%s request: pages of other origins may not use this API", site)
}

// supervises says whether a request is one of those that are answered however busy the
// node is, for they tell why.
func supervises(r *http.Request) bool {
	return r.Method == http.MethodGet && (r.URL.Path == "/healthz" || r.URL.Path == "/readyz" || r.URL.Path == "/metrics")
}

// admit lets a request in, with its body, or says why not.
func (s *Server) admit(w http.ResponseWriter, r *http.Request, held *holdings) error {
	reserve := inReserve(r.Context())
	if reserve {
		w.Header().Set("Connection", "close")
	}
	hasBody := r.Body != nil && r.Body != http.NoBody
	control := http.NewResponseController(w)
	if hasBody { // before any refusal: the server reads what a refused request still sends
		control.SetReadDeadline(time.Now().Add(s.cfg.Stall))
	}
	for _, check := range []func(*http.Request) error{s.checkHost, checkOrigin} {
		if err := check(r); err != nil {
			return connect.NewError(connect.CodePermissionDenied, err)
		}
	}
	switch {
	case supervises(r):
		return nil
	case reserve:
		return held.busy("connections")
	}
	// What is not there is refused at once: who converses does not end its request first.
	_, pattern := s.mux.Handler(r)
	if hasBody && pattern != nothing && !converses(pattern) {
		body, err := s.readBody(control, r.Body, held)
		if err != nil {
			return err
		}
		control.SetReadDeadline(time.Time{})
		r.Body = io.NopCloser(bytes.NewReader(body))
	}
	if !held.least.try(leastAnswer) {
		return held.busy("requests")
	}
	return nil
}

// leastBody is the room for a body of which nothing has come yet.
const leastBody = 512

// readBody reads a request's body whole, in bounded time. What it takes of the budget is
// the room that it makes, at most twice what has come: what headers say holds nothing.
func (s *Server) readBody(control *http.ResponseController, in io.Reader, held *holdings) ([]byte, error) {
	end := time.Now().Add(bodyTimeout)
	var body []byte
	for {
		if len(body) == cap(body) {
			room := max(leastBody, 2*cap(body))
			// To wait here could be to wait for a request behind this one, on the same
			// connection, whose body does not get past what of this one is unread.
			if !held.body.try(int64(room - cap(body))) {
				return nil, held.busy("requests")
			}
			body = append(make([]byte, 0, room), body...)
		}
		if next := time.Now().Add(s.cfg.Stall); next.Before(end) {
			control.SetReadDeadline(next)
		} else {
			control.SetReadDeadline(end)
		}
		n, err := in.Read(body[len(body):cap(body)])
		body = body[:len(body)+n]
		switch {
		case len(body) > maxRequestBytes:
			return nil, tooLarge(in)
		case err == io.EOF:
			return body, nil
		case err != nil:
			return nil, connect.NewError(connect.CodeInvalidArgument, fmt.Errorf("reading the request: %w", err))
		}
	}
}

// tooLarge lets the asker say some more before it is refused: many hear an answer
// only when they have said everything.
func tooLarge(body io.Reader) error {
	io.CopyN(io.Discard, body, 4*maxRequestBytes) // on error it does not hear the answer either
	return connect.NewError(connect.CodeResourceExhausted, fmt.Errorf(
		"the request is larger than %d bytes: send the transactions in several", maxRequestBytes))
}

// pacedWriter fails when the other side takes nothing for a while. Between writes
// there is no deadline: a stream may be silent for hours.
type pacedWriter struct {
	http.ResponseWriter
	control *http.ResponseController
	stall   time.Duration
	made    func(size int) // is told when an answer of so many bytes begins
	spent   time.Duration  // waiting for the reader
	taken   int            // bytes that it took
	stalled bool           // a write has failed for want of a reader
}

const (
	// pieceSize is what must get through within a stall: small enough that any reader
	// that reads at all makes it.
	pieceSize = 64 << 10
	// leastRate is what a reader must take a second on average, once it has used up a
	// stall: half a Mbit/s, a guess. Slower ones would hold their answers' memory for
	// hours.
	leastRate = 64 << 10
)

// Write implements http.ResponseWriter.
func (p *pacedWriter) Write(b []byte) (written int, err error) {
	if len(b) > pieceSize { // all large answers are written at once, and their source is garbage now
		p.made(len(b) + leastAnswer)
	}
	for err == nil {
		piece := b[:min(len(b), pieceSize)]
		b = b[len(piece):]
		err = p.paced(func() error {
			n, err := p.ResponseWriter.Write(piece)
			written += n
			p.taken += n
			return err
		})
		if len(b) == 0 {
			break
		}
	}
	return written, err
}

// Flush implements http.Flusher.
func (p *pacedWriter) Flush() { p.FlushError() }

// FlushError is what http.ResponseController calls.
func (p *pacedWriter) FlushError() error { return p.paced(p.control.Flush) }

// paced writes under a deadline.
func (p *pacedWriter) paced(write func() error) error {
	begun := time.Now()
	patience := p.stall + time.Duration(p.taken)*time.Second/leastRate - p.spent
	deadline := begun.Add(min(p.stall, patience))
	p.control.SetWriteDeadline(deadline)
	err := write()
	p.spent += time.Since(begun)
	if err != nil {
		p.stalled = p.stalled || !time.Now().Before(deadline)
		return err
	}
	p.control.SetWriteDeadline(time.Time{})
	return nil
}

// Unwrap lets http.ResponseController reach the connection.
func (p *pacedWriter) Unwrap() http.ResponseWriter { return p.ResponseWriter }

// last bounds the writing of what is still buffered when the handler has returned.
func (p *pacedWriter) last() { p.control.SetWriteDeadline(time.Now().Add(p.stall)) }
