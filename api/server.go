package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"sync"

	"connectrpc.com/connect"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"grapevine/api/apipb/apipbconnect"
	"grapevine/api/codec"
)

// Server is the API of a node.
type Server struct {
	cfg     Config
	places  *places
	mux     *http.ServeMux
	http    http.Server
	errors  *connect.ErrorWriter
	bodies  *budget         // of requests
	large   *budget         // of answers above smallSize
	small   *budget         // of the others
	streams *budget         // one for each that is open
	scrapes *budget         // one for each reader of /metrics
	ending  context.Context // ends when streams are to end
	end     func()          // ends it
}

// Listen opens the API's socket. Nothing is served until Run.
func Listen(cfg Config) (*Server, error) {
	if err := cfg.validate(); err != nil {
		return nil, err
	}
	cfg = cfg.withDefaults()
	l := cfg.Listener
	if l == nil {
		var err error
		if l, err = cfg.listen(); err != nil {
			return nil, err
		}
	}
	s := &Server{
		cfg:     cfg,
		places:  newPlaces(l),
		errors:  connect.NewErrorWriter(),
		bodies:  newBudget(maxBudget),
		large:   newBudget(maxLarge),
		small:   newBudget(maxSmall),
		streams: newBudget(maxStreams),
		scrapes: newBudget(maxScrapes),
	}
	s.ending, s.end = context.WithCancel(context.Background())
	s.mux = s.routes()
	s.http = http.Server{
		ConnContext:       mark,
		ConnState:         s.places.note,
		Handler:           s.guard(s.mux),
		ReadHeaderTimeout: headerTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    32 << 10,
		ErrorLog:          slog.NewLogLogger(cfg.Logger.Handler(), slog.LevelDebug),
		Protocols:         new(http.Protocols),
		HTTP2: &http.HTTP2Config{
			MaxConcurrentStreams: maxPerConn,
			SendPingTimeout:      idleTimeout,
			WriteByteTimeout:     cfg.Stall,
		},
	}
	s.http.Protocols.SetHTTP1(true)
	s.http.Protocols.SetUnencryptedHTTP2(true)
	return s, nil
}

// CheckListen refuses an address that is no host:port, or one that other machines can reach
// without public saying that they may.
func CheckListen(address string, public bool) error {
	_, err := Config{Listen: address, Public: public}.address()
	return err
}

// address is where to listen.
func (c Config) address() (*net.TCPAddr, error) {
	addr, err := net.ResolveTCPAddr("tcp", c.Listen)
	if err != nil {
		return nil, fmt.Errorf("api address %q: %w: want host:port", c.Listen, err)
	}
	if !addr.IP.IsLoopback() && !c.Public {
		return nil, fmt.Errorf("api address %q is not on loopback, and the API has no passwords: listen on 127.0.0.1, or say --api-public to let the network in", c.Listen)
	}
	return addr, nil
}

// listen opens the socket.
func (c Config) listen() (net.Listener, error) {
	addr, err := c.address()
	if err != nil {
		return nil, err
	}
	l, err := net.ListenTCP("tcp", addr)
	if err != nil {
		return nil, fmt.Errorf("opening the api: %w: is another node running? choose another port with --api", err)
	}
	return l, nil
}

// Addr returns the address that the API listens on.
func (s *Server) Addr() string { return s.places.Addr().String() }

// Close gives up the socket of a server that never ran.
func (s *Server) Close() error {
	if err := s.places.Close(); !errors.Is(err, net.ErrClosed) {
		return err
	}
	return nil // Run has closed it
}

// Run serves until ctx ends. Then it takes no more connections, ends the streams,
// waits Config.Grace for the other requests, and returns nil. It is called once.
func (s *Server) Run(ctx context.Context) error {
	var down sync.WaitGroup
	served := make(chan struct{})
	down.Go(func() {
		select {
		case <-ctx.Done():
			s.shutdown(context.WithoutCancel(ctx))
		case <-served:
			s.end()
		}
	})
	err := s.http.Serve(s.places)
	close(served)
	down.Wait()
	if errors.Is(err, http.ErrServerClosed) {
		return nil
	}
	return fmt.Errorf("serving the api: %w", err)
}

func (s *Server) shutdown(ctx context.Context) {
	s.end()
	ctx, cancel := context.WithTimeout(ctx, s.cfg.Grace)
	defer cancel()
	if err := s.http.Shutdown(ctx); err != nil {
		s.cfg.Logger.Warn("api requests cut off at shutdown", "after", s.cfg.Grace)
		s.http.Close()
	}
}

// openStream takes one of the streams that may be open at once, until done.
func (s *Server) openStream(ctx context.Context) (done func(), err error) {
	a := s.streams.account(holdingsOf(ctx).body.from)
	if a.try(1) {
		return a.close, nil
	}
	a.close()
	return nil, connect.NewError(connect.CodeResourceExhausted, fmt.Errorf(
		"%d streams are open already, of which one address may have %d: close one first", s.streams.size, a.source.size))
}

// metrics shows the node's, to a few at a time: gathering them takes a while.
func (s *Server) metrics() http.HandlerFunc {
	show := promhttp.HandlerFor(s.cfg.Gatherer, promhttp.HandlerOpts{DisableCompression: true})
	return func(w http.ResponseWriter, r *http.Request) {
		held := holdingsOf(r.Context())
		a := s.scrapes.account(held.body.from)
		defer a.close()
		if !a.try(1) {
			s.refuse(w, r, held.busy("readers of /metrics"))
			return
		}
		show.ServeHTTP(w, r)
	}
}

func (s *Server) routes() *http.ServeMux {
	mux := http.NewServeMux()
	n := &node{cfg: s.cfg, openStream: s.openStream, ending: s.ending}
	_, methods := apipbconnect.NewNodeHandler(n,
		connect.WithCodec(codec.JSON{}),
		connect.WithCodec(codec.Proto{}),
		connect.WithReadMaxBytes(maxRequestBytes),
		connect.WithCompression("gzip", nil, nil), // transactions and blocks do not shrink
	)
	for _, name := range procedures() {
		mux.Handle(name, methods)
	}
	s.reflection(mux)
	s.pages(mux, n)
	mux.HandleFunc("GET /metrics", s.metrics())
	if !s.cfg.Public { // profiles cost CPU time and show what the process does
		mux.HandleFunc("GET /debug/pprof/", pprof.Index)
		mux.HandleFunc("GET /debug/pprof/profile", pprof.Profile)
		mux.HandleFunc("GET /debug/pprof/trace", pprof.Trace)
	}
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintln(w, "ok")
	})
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) {
		if err := s.cfg.Ready(); err != nil {
			http.Error(w, err.Error(), http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintln(w, "ok")
		// Another's death is no reason to take this node out of service, or to start it
		// again: it takes transactions and serves the chain.
		if note := s.cfg.Note(); note != "" {
			fmt.Fprintln(w, "note: "+note)
		}
	})
	return mux
}
