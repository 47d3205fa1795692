package api

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
)

// world is a node without peers: a chain in memory, a pool, and the API before them.
type world struct {
	t       testing.TB
	cfg     Config
	orderer sig.Key
	sender  sig.Key
	server  *Server
	client  *http.Client                                            // of HTTP/1
	dial    func(context.Context, string, string) (net.Conn, error) // nil: over sockets
	stop    func()                                                  // ends Run and waits for it
	nonce   uint64
}

// newWorld starts an API whose Config edit may change, until the test ends.
func newWorld(t testing.TB, edit func(*Config)) *world {
	t.Helper()
	w := &world{t: t, orderer: sig.NewKey([32]byte{1}), sender: sig.NewKey([32]byte{2})}
	g, err := genesis.New(genesis.Genesis{
		ChainID:   "api-test",
		Ordering:  genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(w.orderer.Public())},
		Admission: genesis.Admission{Type: "open"},
	})
	if err != nil {
		t.Fatal(err)
	}
	l, err := ledger.Open(ledger.Config{Genesis: g})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	pool, err := mempool.Open(mempool.Config{Limits: g.BlockLimits(), Committed: l.HasTx})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { pool.Close() })
	w.cfg = Config{Listen: "127.0.0.1:0", Genesis: g, Ledger: l, Pool: pool, Submit: w.submit}
	if edit != nil {
		edit(&w.cfg)
	}
	if m, ok := w.cfg.Listener.(*Memory); ok {
		w.dial = m.DialContext
	}
	w.client = w.newClient(nil)
	w.run()
	return w
}

// newClient makes a client of these protocols, nil for HTTP/1, until the test ends.
func (w *world) newClient(p *http.Protocols) *http.Client {
	transport := &http.Transport{Protocols: p, DialContext: w.dial, ExpectContinueTimeout: time.Hour}
	w.t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport}
}

func (w *world) run() {
	w.t.Helper()
	var err error
	if w.server, err = Listen(w.cfg); err != nil {
		w.t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- w.server.Run(ctx) }()
	w.stop = sync.OnceFunc(func() {
		cancel()
		if err := <-done; err != nil {
			w.t.Errorf("Run: %v", err)
		}
	})
	w.t.Cleanup(w.stop)
}

// submit does what a node does with submitted transactions.
func (w *world) submit(_ context.Context, txs []*block.Tx) ([]mempool.Verdict, error) {
	g := w.cfg.Genesis
	out := make([]mempool.Verdict, len(txs))
	for i, t := range txs {
		err := errors.Join(t.Check(g.BlockLimits()), t.CheckExpiry(w.cfg.Ledger.Tip().Height+1, g.BlockLimits()), sig.VerifyTx(g.ID(), t))
		if err != nil {
			out[i] = mempool.Verdict{Status: mempool.Refused, Err: err}
			continue
		}
		v, err := w.cfg.Pool.Submit(time.Now(), []*block.Tx{t})
		if err != nil {
			return nil, err
		}
		out[i] = v[0]
	}
	return out, nil
}

// tx makes a transaction that nobody made before.
func (w *world) tx(payload string) *block.Tx {
	w.nonce++
	return w.sender.SignTx(w.cfg.Genesis.ID(), block.TxFields{Nonce: w.nonce, Expiry: 1000, Payload: []byte(payload)})
}

// grow puts the next block on the chain.
func (w *world) grow(txs ...*block.Tx) *block.Block {
	w.t.Helper()
	h := block.Draft(w.cfg.Genesis.ID(), block.Limits{}, w.cfg.Ledger.Tip(), time.Now().UnixNano(), w.orderer.Public(), txs)
	b := block.New(w.orderer.SignHeader(h), txs)
	if err := w.cfg.Ledger.Append(b); err != nil {
		w.t.Fatal(err)
	}
	w.cfg.Pool.Committed(time.Now(), b.Height, txs)
	return b
}

func (w *world) url(path string) string { return "http://" + w.server.Addr() + path }

// get fetches a page, as curl would.
func (w *world) get(path string) (status int, body string) {
	w.t.Helper()
	return w.do(w.request(http.MethodGet, path, ""))
}

// post sends JSON, as curl would.
func (w *world) post(path, body string) (status int, answer string) {
	w.t.Helper()
	r := w.request(http.MethodPost, path, body)
	r.Header.Set("Content-Type", "application/json")
	return w.do(r)
}

func (w *world) request(method, path, body string) *http.Request {
	w.t.Helper()
	r, err := http.NewRequest(method, w.url(path), strings.NewReader(body))
	if err != nil {
		w.t.Fatal(err)
	}
	return r
}

func (w *world) do(r *http.Request) (status int, body string) {
	w.t.Helper()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	res, err := client.Do(r)
	if err != nil {
		w.t.Fatal(err)
	}
	defer res.Body.Close()
	b, err := io.ReadAll(res.Body)
	if err != nil {
		w.t.Fatal(err)
	}
	return res.StatusCode, string(b)
}

// want fails unless an answer has the status, and holds every one of the parts.
func (w *world) want(what string, status int, body string, wantStatus int, parts ...string) {
	w.t.Helper()
	if status != wantStatus {
		w.t.Errorf("%s: status %d, want %d: %s", what, status, wantStatus, body)
	}
	for _, part := range parts {
		if !strings.Contains(body, part) {
			w.t.Errorf("%s: answer %s\nlacks %s", what, body, part)
		}
	}
}
