// Package scenario says what is to happen in a network of peers: who there is, how
// they are linked, what blocks there are, what goes wrong, and what must hold. One
// scenario serves all worlds; Plan resolves it, from its seed, to peers and events,
// so that every world has the same network.
//
// Times count from the moment at which the network stands: everybody who is there
// from the beginning is connected. Peer 0 is the orderer.
package scenario

import (
	"grapevine/dissemination/fresh"
	"grapevine/dissemination/protocol"
)

// Scenario is one TOML file. What a file leaves out is what Defaults says, and so Go
// code begins with Defaults too: a zero is a zero, where its field does not say
// otherwise. The file's name without .toml is the name that it need not give.
type Scenario struct {
	Name      string   `toml:"name,omitempty"`
	About     string   `toml:"about,omitempty"` // one line
	Seed      uint64   `toml:"seed"`            // of every random choice
	Peers     int      `toml:"peers"`           // those that join later included
	World     string   `toml:"world"`           // events, packets or processes: where it runs unless told otherwise
	Protocols []string `toml:"protocols"`       // which run unless told otherwise
	// Membership is how a peer learns of the others: live runs the membership core,
	// static draws neighbours at random beforehand, auto takes live where it fits.
	Membership string `toml:"membership"`
	// Duration ends the run, if it is not over before; zero means as long as blocks,
	// faults and Checks.Reach take.
	Duration Duration `toml:"duration,omitzero"`

	Settings Settings `toml:"settings,omitempty"`
	Load     Load     `toml:"load"`
	Link     Link     `toml:"link,omitempty"` // of every peer, unless class or region says otherwise
	Classes  []Class  `toml:"class,omitempty"`
	Regions  []Region `toml:"region,omitempty"`
	// Uneven is by what share the way between two peers is shorter or longer at most than
	// links and regions say, evenly, and always the same for a pair.
	Uneven float64 `toml:"uneven,omitzero"`
	Faults []Fault `toml:"fault,omitempty"`
	Checks Checks  `toml:"checks"`

	file string // it was read from, as it was named; "" is none of one's own
}

// Settings are grapevine's own; the other protocols do not heed them.
type Settings struct {
	Mode         string   `toml:"mode,omitempty"`         // push-pull, push or pull; "" is push-pull
	Fanout       int      `toml:"fanout,omitzero"`        // 0: ⌈ln N⌉ + 7
	NoCatchup    bool     `toml:"no_catchup,omitempty"`   // a peer that is far behind stays behind
	PullEvery    Duration `toml:"pull_every,omitzero"`    // 0: the core's default
	FetchTimeout Duration `toml:"fetch_timeout,omitzero"` // likewise
}

// Protocol returns what the settings mean to a peer.
func (s Settings) Protocol() (protocol.Config, error) {
	mode, err := fresh.ParseMode(s.Mode)
	return protocol.Config{NoCatchup: s.NoCatchup, Fresh: fresh.Config{
		Mode: mode, Fanout: s.Fanout, PullEvery: s.PullEvery.D(), FetchTimeout: s.FetchTimeout.D(),
	}}, err
}

// Load is what the orderer makes, and what users submit.
type Load struct {
	Blocks     int      `toml:"blocks"`      // those due while the orderer is down are not made
	First      Duration `toml:"first"`       // when the first block is made
	Every      Duration `toml:"every"`       // from one block to the next
	BlockSizes []Bytes  `toml:"block_sizes"` // of bodies, in turn: as many whole transactions as fit, but one at least
	TxSize     Bytes    `toml:"tx_size"`     // of a whole encoded transaction
	// Warm is the probability with which a peer holds a transaction before the block
	// that names it, independently for each; the orderer holds all.
	Warm float64 `toml:"warm"`
	// Young is the probability with which a transaction came to the orderer just before
	// the block that names it, so that nobody else holds it however warm the pools are.
	Young float64 `toml:"young,omitzero"`
	// TxRate is how many transactions a second users submit, each at a random peer,
	// from First on for Blocks × Every. The orderer then cuts blocks itself, and
	// BlockSizes, Warm and Young mean nothing. Only packets and processes can do this.
	TxRate float64 `toml:"tx_rate,omitzero"`
}

// Link is how a peer is connected: its own access to the net, and what lies behind.
type Link struct {
	Up   Rate `toml:"up,omitzero"`
	Down Rate `toml:"down,omitzero"`
	// Latency is one way, between two peers, and regions overrule it. Where the two
	// differ it is the mean: each gives half of the way.
	Latency Duration `toml:"latency,omitzero"`
	Jitter  Duration `toml:"jitter,omitzero"` // a packet to the peer takes up to so much longer, evenly
	Loss    float64  `toml:"loss,omitzero"`   // of packets, each on its own, on the way to the peer
}

// Class gives some peers another link; a peer is in one class at most. A zero leaves
// what Scenario.Link says.
type Class struct {
	Name  string  `toml:"name"`
	Share float64 `toml:"share,omitzero"`  // of all peers, drawn at random among those in no class
	Peers []int   `toml:"peers,omitempty"` // or these
	Link
}

// Region is where peers are: each is in one, drawn by weight. Latency overrules the
// link's, by the other region's name; it is symmetric, so one side may say it.
type Region struct {
	Name    string              `toml:"name"`
	Weight  float64             `toml:"weight"` // relative to the others'
	Latency map[string]Duration `toml:"latency,omitempty"`
	Orderer bool                `toml:"orderer,omitempty"` // peer 0 is here; else it is drawn like any other
}

// The kinds of faults.
const (
	Cut   = "cut"   // the peers named are cut off from all others, and keep each other
	Crash = "crash" // they end without a word; after For they start again with their ledgers
	Loss  = "loss"  // packets to and from them are lost with probability Loss
	Slow  = "slow"  // they send and receive at Rate
	Join  = "join"  // they are not there before
	// Withhold: they say what they have, as ever, and bring nothing of it.
	Withhold = "withhold"
)

// Fault is one thing that goes wrong. Who it befalls is said by one of Peers, Share,
// Region and Class; none of these means everybody but the orderer, who is drawn only
// when Peers, Region or Class names it. A peer has one fault of a kind at a time (and
// one that is not there does not crash): Share draws among those that it can befall,
// and it is an error to name another.
type Fault struct {
	Kind   string   `toml:"kind"`
	At     Duration `toml:"at"`
	For    Duration `toml:"for,omitzero"` // zero: for ever
	Peers  []int    `toml:"peers,omitempty"`
	Share  float64  `toml:"share,omitzero"` // of all peers
	Region string   `toml:"region,omitempty"`
	Class  string   `toml:"class,omitempty"`
	Loss   float64  `toml:"loss,omitzero"`
	Rate   Rate     `toml:"rate,omitzero"`

	Flag string `toml:"-"` // that asked for the share, on a command line: errors name it
}

// Checks are the bounds that a run must keep, besides the ones that hold for every
// run: no two peers differ at a height, no height goes back, no honest peer is
// dropped. Zero means no bound, but for Reach. They are bounds of grapevine's: other
// protocols, which run to be compared, are held to Reach alone.
type Checks struct {
	// Reach is how long after the last block, and after the last fault that ended,
	// every live peer that nothing cuts off has the tip; zero means 30 s.
	Reach      Duration `toml:"reach"`
	P99        Duration `toml:"p99,omitzero"`
	Max        Duration `toml:"max,omitzero"`
	Coverage   float64  `toml:"coverage,omitzero"`   // at least
	Redundancy float64  `toml:"redundancy,omitzero"` // at most
	Bytes      Bytes    `toml:"bytes,omitzero"`      // received per peer and block, at most
}
