package api

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/api/codec"
	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
)

// Config is what the API needs of its node. Genesis, Ledger, Pool and Submit are
// required.
type Config struct {
	// Listen is the address, host:port; "" means DefaultListen, port 0 any port.
	Listen string
	// Public allows other addresses than loopback.
	Public bool
	// Listener is served instead of a socket at Listen: a Memory, say. Nil opens the
	// socket.
	Listener net.Listener
	// Hosts are further names under which the node is reached, without ports: a service's
	// in a cluster, say. Localhost and addresses need none.
	Hosts []string

	Genesis *genesis.Genesis
	Ledger  *ledger.Ledger
	Pool    *mempool.Pool
	// Submit takes decoded transactions, checks everything else about them, and
	// returns a verdict on each.
	Submit func(ctx context.Context, txs []*block.Tx) ([]mempool.Verdict, error)

	// Status, Members and Facts tell what the node knows; nil: nothing.
	Status  func() Status
	Members func() []Member
	Facts   func(height uint64) (arrival.Accepted, bool)
	// Ready says why the node is not ready; nil: it always is.
	Ready func() error
	// Note says what keeps transactions from being ordered though the node is ready; nil:
	// nothing ever does.
	Note func() string
	// Gatherer is what /metrics shows; nil: nothing.
	Gatherer prometheus.Gatherer
	// Logger gets what goes wrong; nil: nobody does.
	Logger *slog.Logger

	// Stall is how long a reader may take nothing of an answer, and a sender send
	// nothing of a request; zero means 10 s.
	Stall time.Duration
	// Grace is how long requests have to finish at shutdown; zero means 5 s.
	Grace time.Duration
}

// DefaultListen is where the API listens when nobody says otherwise.
const DefaultListen = "127.0.0.1:9700"

// What one SubmitTxs may hold. They bound the memory that a request can take, and
// are far above what is worth sending at once.
const (
	MaxSubmitTxs   = codec.MaxTxs
	MaxSubmitBytes = 4 << 20
)

const (
	// maxRequestBytes leaves room for MaxSubmitBytes in base64, and JSON around it.
	maxRequestBytes = MaxSubmitBytes*4/3 + 64<<10
	// maxAnswerBytes bounds what a client reads of one answer: the largest block
	// that any genesis allows, raw and as 100,000 full transactions.
	maxAnswerBytes = 128 << 20
	// maxScrapes bounds those who read /metrics at once, half of them from one address.
	maxScrapes = 8
	// maxStreams bounds the open streams of all connections, half of them from one address:
	// they may be silent for as long as they like.
	maxStreams = 128
	// maxPerConn bounds the requests at once on an HTTP/2 connection. One whose body
	// does not come counts in no budget, but takes some 10 KiB: from one address 40 MB.
	maxPerConn = 64
	// headerTimeout bounds the wait for a request's headers, bodyTimeout that for
	// its body: MaxSubmitBytes at 1.5 Mbit/s. Between a body's bytes pass Config.Stall
	// at most.
	headerTimeout = 10 * time.Second
	bodyTimeout   = 30 * time.Second
	idleTimeout   = 2 * time.Minute
)

// Status is what the node tells of itself. Height, pool and limits come from
// ledger, pool and genesis.
type Status struct {
	PeerID     string
	Software   string
	Mode       string
	Addrs      []string // multiaddrs it listens on, with its peer ID
	Neighbours int
	Started    time.Time
}

// Member is a peer that the node knows of.
type Member struct {
	PeerID       string
	State        string
	Neighbour    bool
	Addrs        []string
	Height, Base uint64
	Software     string
	Silent       time.Duration // how long it has not been heard of, where that is too long
}

// The status of a submitted transaction.
const (
	StatusAccepted  = "accepted"  // journalled here, and on its way to all pools
	StatusDuplicate = "duplicate" // in the pool already
	StatusCommitted = "committed" // in the chain already; also a looked-up transaction's
	StatusRefused   = "refused"
)

// The status of a looked-up transaction, besides StatusCommitted.
const (
	StatusPending = "pending"
	StatusUnknown = "unknown"
)

// How much of a block's transactions a request asks for.
const (
	TxsNone = "none"
	TxsIDs  = "ids"
	TxsFull = "full"
)

func (c Config) withDefaults() Config {
	if c.Listen == "" {
		c.Listen = DefaultListen
	}
	if c.Status == nil {
		c.Status = func() Status { return Status{} }
	}
	if c.Members == nil {
		c.Members = func() []Member { return nil }
	}
	if c.Facts == nil {
		c.Facts = func(uint64) (arrival.Accepted, bool) { return arrival.Accepted{}, false }
	}
	if c.Ready == nil {
		c.Ready = func() error { return nil }
	}
	if c.Note == nil {
		c.Note = func() string { return "" }
	}
	if c.Gatherer == nil {
		c.Gatherer = prometheus.NewRegistry()
	}
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Stall == 0 {
		c.Stall = 10 * time.Second
	}
	if c.Grace == 0 {
		c.Grace = 5 * time.Second
	}
	return c
}

func (c Config) validate() error {
	switch {
	case c.Genesis == nil:
		return errors.New("api: Config.Genesis is nil")
	case c.Ledger == nil:
		return errors.New("api: Config.Ledger is nil")
	case c.Pool == nil:
		return errors.New("api: Config.Pool is nil")
	case c.Submit == nil:
		return errors.New("api: Config.Submit is nil")
	}
	return CheckHosts(c.Hosts)
}

// CheckHosts refuses what is no name of a host, as a Host header has it: the error names
// it, and says what to write instead.
func CheckHosts(hosts []string) error {
	for _, h := range hosts {
		switch {
		case strings.ContainsAny(h, "/ *") || h == "":
			return fmt.Errorf("api_hosts: %q is no name of a host: want one such as peer0 or peer0.example.com", h)
		case net.ParseIP(h) != nil:
			return fmt.Errorf("api_hosts: %q is an address, which needs no name here: leave it out", h)
		case h != hostName(h) && !strings.EqualFold(h, hostName(h)):
			return fmt.Errorf("api_hosts: %q: write the name alone, as %s", h, hostName(h))
		}
	}
	return nil
}
