package node

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination"
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/preset"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/ordering"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// Config has all of a node's doors to the outside. Genesis and Key are required;
// the zero value of every other field is valid.
type Config struct {
	Genesis *genesis.Genesis
	Key     sig.Key
	// Dir is the data directory: the ledger, the pool's journal and the orderer's
	// lock live in it. Empty keeps everything in memory, and forgets it at the end.
	Dir string
	// Memory keeps the ledger from one node to the next where Dir is empty, for
	// simulated peers that crash and come back. Nil: it is forgotten too.
	Memory *ledger.Memory

	// Listen, Advertise and Bootstrap are multiaddrs, as in p2p.Config.
	Listen    []string
	Advertise []string
	Bootstrap []string
	// ListenPacket opens the socket for QUIC, and SourceIP is the address to send
	// from: for simulated networks. Nil means the real one.
	ListenPacket func(*net.UDPAddr) (net.PacketConn, error)
	SourceIP     net.IP

	// MaxMembers bounds the peers that are remembered; zero means 16,384.
	MaxMembers int

	// API is the address of the HTTP API; "" means none. APIPublic allows one that is
	// not loopback.
	API       string
	APIPublic bool

	// Preset is "grapevine" (which "" means) or another system whose gossip this node
	// is to imitate, to be measured against: "fabric" or "fabric-enhanced". What is set
	// below counts over what the preset says.
	Preset string
	// Mode is "push-pull", "push" or "pull": how fresh blocks travel; "" means as the
	// preset says, which is push-pull for our own.
	Mode string
	// NoCatchup switches catch-up off, for comparison.
	NoCatchup bool
	// Fanout is how many neighbours an announcement goes to; zero means as the preset
	// says, which is ⌈ln members⌉ + 7 for our own.
	Fanout int
	// PullEvery is the mean time between periodic pulls, and FetchTimeout how long a
	// request for transactions may go without progress at first, at most a minute;
	// zero means as the preset says, which is 2 s and 500 ms for our own.
	PullEvery    time.Duration
	FetchTimeout time.Duration

	// Cutter says when the orderer makes a block. Only the orderer heeds it.
	Cutter ordering.CutterConfig
	// PoolMaxTxs, PoolMaxBytes and PoolMaxPerSender bound the pool; zero means the
	// defaults of mempool.Config.
	PoolMaxTxs       int
	PoolMaxBytes     int
	PoolMaxPerSender int

	// Orderer makes blocks in place of the solo orderer; it is run on every node that
	// has one. Nil: solo, on the node whose key the genesis names.
	Orderer Orderer
	// CheckTx refuses transactions that the application does not want in this node's
	// pool, after all other checks. It may be called from several goroutines. Nil
	// takes all. It binds submitters at this node alone: blocks are valid without it.
	CheckTx func(*block.Tx) error
	// OnBlock is called for every block from height OnBlockFrom on (zero means 1), in
	// order, one at a time, once it is durable; each at least once, since a node does
	// not know what its last life delivered. An error ends the node.
	OnBlock     func(context.Context, *block.Block) error
	OnBlockFrom uint64
	// OnAccepted is told of every block that this node accepts, in height order, with
	// how it came, before it is durable. It is called from the loop that disseminates:
	// it must not block. Nil: nobody listens.
	OnAccepted func(Accepted)

	// OnDropped is told of a peer that was charged so much that it is let go of, and
	// why. It may be called from several goroutines. Nil: nobody is.
	OnDropped func(p wire.PeerID, why string)

	// Seed makes the protocol cores' random choices repeatable; zero draws one.
	Seed uint64
	// Software is what the node calls itself; "" means "grapevine".
	Software string
	// Logger gets what happens; nil discards it.
	Logger *slog.Logger
	// Registry takes the metrics, and is what the API shows; nil makes one.
	Registry *prometheus.Registry
}

// Presets returns the values of Config.Preset, our own first.
func Presets() []string { return preset.Names() }

// Accepted is what a node saw of a block that it accepted.
type Accepted = dissemination.Fact

// Orderer decides the order of transactions. Run proposes signed blocks, each on
// the tip, until ctx ends; propose returns when the block is durable here.
type Orderer interface {
	Run(ctx context.Context, propose func(context.Context, *block.Block) error) error
}

// modes are the ways that fresh blocks travel, as the configuration spells them.
var modes = []string{fresh.PushPull: "push-pull", fresh.PushOnly: "push", fresh.PullOnly: "pull"}

// Modes returns the values of Config.Mode, the default first.
func Modes() []string { return slices.Clone(modes) }

// protocol returns the preset with what is set besides it.
func (c Config) protocol() (preset.Preset, error) {
	p, err := preset.Get(cmp.Or(c.Preset, preset.Grapevine))
	if err != nil {
		return p, err
	}
	if c.Mode != "" {
		mode := slices.Index(modes, c.Mode)
		if mode < 0 {
			return p, fmt.Errorf("mode is %q: want %s", c.Mode, strings.Join(modes, ", "))
		}
		p.Fresh.Mode = fresh.Mode(mode)
	}
	if c.Fanout < 0 {
		return p, fmt.Errorf("fanout is %d: want 0 for the default, or more", c.Fanout)
	}
	if c.PullEvery < 0 {
		return p, fmt.Errorf("pull_every is %v: want 0 for the default, or more", c.PullEvery)
	}
	if c.FetchTimeout < 0 || c.FetchTimeout > fresh.MaxFetchTimeout {
		return p, fmt.Errorf("fetch_timeout is %v: want 0 for the default, or up to %v", c.FetchTimeout, fresh.MaxFetchTimeout)
	}
	p.Fresh.Fanout = cmp.Or(c.Fanout, p.Fresh.Fanout)
	p.Fresh.PullEvery = cmp.Or(c.PullEvery, p.Fresh.PullEvery)
	p.Fresh.FetchTimeout = cmp.Or(c.FetchTimeout, p.Fresh.FetchTimeout)
	p.NoCatchup = p.NoCatchup || c.NoCatchup
	return p, nil
}

func (c Config) withDefaults() Config {
	if c.Logger == nil {
		c.Logger = slog.New(slog.DiscardHandler)
	}
	if c.Registry == nil {
		c.Registry = prometheus.NewRegistry()
	}
	if c.Software == "" {
		c.Software = "grapevine"
	}
	if c.OnBlockFrom == 0 {
		c.OnBlockFrom = 1
	}
	return c
}

// Check refuses a configuration that New would refuse before it opens anything.
func (c Config) Check() error {
	if err := c.validate(); err != nil {
		return err
	}
	return p2p.Config{Key: c.Key, Genesis: c.Genesis, Listen: c.Listen, Advertise: c.Advertise, Bootstrap: c.Bootstrap, Software: c.Software}.Check()
}

func (c Config) validate() error {
	if c.Genesis == nil {
		return errors.New("node: Config.Genesis is nil: read one with genesis.Load")
	}
	_, err := c.protocol()
	return err
}
