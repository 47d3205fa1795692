// Package genesis reads and writes the file that defines a network: its chain ID,
// who orders, who is admitted, and the limits that all peers hold each other to.
// The SHA-256 of the file's bytes is the network's identity, so two peers whose
// files differ in a single space are in different networks.
//
// The file is JSON, read strictly: an unknown key, a key given twice or spelled in
// another case, and anything after the object are errors that name the key.
package genesis

import (
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"

	"github.com/libp2p/go-libp2p/core/peer"

	"grapevine/block"
)

// Genesis is a network's definition.
type Genesis struct {
	// Version is the file format's, 1.
	Version int `json:"version"`
	// ChainID is the network's name, for people.
	ChainID string `json:"chain_id"`
	// Ordering says who makes blocks.
	Ordering Ordering `json:"ordering"`
	// Admission says who may connect.
	Admission Admission `json:"admission"`
	// Coding says in which code large bodies travel and are committed to: 1 is
	// Reed–Solomon, 0 none, as where the key is left out.
	Coding int `json:"coding,omitempty"`
	// Limits bound transactions and blocks; a key left out takes its default.
	Limits Limits `json:"limits"`

	raw      []byte
	id       block.ID
	producer block.PublicKey // Ordering.Orderer's
}

// Ordering names the way of ordering and its parties.
type Ordering struct {
	// Type is "solo": one orderer.
	Type string `json:"type"`
	// Orderer is the orderer's peer ID.
	Orderer string `json:"orderer"`
}

// Admission is "open" without peers, or "list" with the peer IDs that may connect.
type Admission struct {
	Type  string   `json:"type"`
	Peers []string `json:"peers,omitempty"`
}

// Limits are those of block.Limits, as the file writes them. Zero means the default.
type Limits struct {
	MaxTxBytes   int    `json:"max_tx_bytes,omitempty"`
	MaxBodyBytes int    `json:"max_body_bytes,omitempty"`
	MaxBlockTxs  int    `json:"max_block_txs,omitempty"`
	MaxLifetime  uint64 `json:"max_lifetime,omitempty"`
}

// The limits of a network whose genesis does not set them.
const (
	DefaultMaxTxBytes   = 64 << 10
	DefaultMaxBodyBytes = 4 << 20
	DefaultMaxBlockTxs  = 10_000
	DefaultMaxLifetime  = 10_000
)

// The largest limits that a genesis may set: what the software is built and
// tested to carry. They keep sizes in 32 bits and memory within reach.
const (
	maxTxBytes   = 1 << 20
	maxBodyBytes = 32 << 20
	maxBlockTxs  = 100_000
	maxLifetime  = 10_000_000
)

// ReedSolomon is the coding that new networks have.
const (
	ReedSolomon = 1
	maxCoding   = ReedSolomon
)

// MaxFileSize bounds a genesis file: 10,000 admitted peers take about 600 KiB.
const MaxFileSize = 1 << 20

var chainID = regexp.MustCompile(`^[a-z0-9][a-z0-9._-]{0,62}$`)

// Load reads and checks a genesis file.
func Load(path string) (*Genesis, error) {
	raw, err := os.ReadFile(path)
	if err != nil {
		return nil, fmt.Errorf("reading genesis: %w", err)
	}
	g, err := Parse(raw)
	if err != nil {
		return nil, fmt.Errorf("genesis %s: %w: mend it if the network is new; else put a good copy back, every peer has the same", path, err)
	}
	return g, nil
}

// Parse reads and checks the bytes of a genesis file.
func Parse(raw []byte) (*Genesis, error) {
	if len(raw) > MaxFileSize {
		return nil, fmt.Errorf("%d bytes, want at most %d", len(raw), MaxFileSize)
	}
	if err := checkKeys(raw); err != nil {
		return nil, err
	}
	g := &Genesis{raw: slices.Clone(raw), id: sha256.Sum256(raw)}
	if err := json.Unmarshal(raw, g); err != nil {
		return nil, err
	}
	if err := g.validate(); err != nil {
		return nil, err
	}
	return g, nil
}

// New completes and checks a definition, and fixes its bytes and so its identity.
func New(g Genesis) (*Genesis, error) {
	g.Version = 1
	raw, err := json.MarshalIndent(g, "", "  ")
	if err != nil {
		return nil, fmt.Errorf("writing genesis: %w", err)
	}
	return Parse(append(raw, '\n'))
}

// ID returns the network's identity: the SHA-256 of the file's bytes.
func (g *Genesis) ID() block.ID { return g.id }

// Bytes returns the file's bytes, which the caller must not change.
func (g *Genesis) Bytes() []byte { return g.raw }

// BlockLimits returns the limits with the defaults filled in, and the coding.
func (g *Genesis) BlockLimits() block.Limits {
	l := g.Limits
	return block.Limits{
		MaxTxBytes:   orDefault(l.MaxTxBytes, DefaultMaxTxBytes),
		MaxBodyBytes: orDefault(l.MaxBodyBytes, DefaultMaxBodyBytes),
		MaxBlockTxs:  orDefault(l.MaxBlockTxs, DefaultMaxBlockTxs),
		MaxLifetime:  orDefault(l.MaxLifetime, DefaultMaxLifetime),
		Coding:       uint8(g.Coding),
	}
}

func orDefault[T int | uint64](v, def T) T {
	if v == 0 {
		return def
	}
	return v
}

// Admits says whether the peer may take part in the network.
func (g *Genesis) Admits(p peer.ID) bool {
	return g.Admission.Type == "open" || slices.Contains(g.Named(), p.String())
}

// AdmitsKey says whether the key's owner may take part in the network.
func (g *Genesis) AdmitsKey(key block.PublicKey) bool {
	return g.Admission.Type == "open" || slices.Contains(g.Named(), PeerID(key))
}

// Listed returns how many peers may take part, zero where all may.
func (g *Genesis) Listed() int {
	if g.Admission.Type == "open" {
		return 0
	}
	named := g.Named()
	slices.Sort(named)
	return len(slices.Compact(named))
}

// publicKey returns the Ed25519 key that a peer ID stands for.
func publicKey(s string) (block.PublicKey, error) {
	id, err := peer.Decode(s)
	if err != nil {
		return block.PublicKey{}, fmt.Errorf("peer ID %q: %w", s, err)
	}
	if id.String() != s {
		return block.PublicKey{}, fmt.Errorf("peer ID %q: write it as %q", s, id)
	}
	key, err := id.ExtractPublicKey()
	if err != nil {
		return block.PublicKey{}, fmt.Errorf("peer ID %q is not that of an Ed25519 key: %w", s, err)
	}
	raw, err := key.Raw()
	if err != nil || len(raw) != len(block.PublicKey{}) {
		return block.PublicKey{}, fmt.Errorf("peer ID %q is not that of an Ed25519 key", s)
	}
	return block.PublicKey(raw), nil
}

func (g *Genesis) validate() error {
	if g.Version != 1 {
		return fmt.Errorf("version is %d: this software reads version 1", g.Version)
	}
	if !chainID.MatchString(g.ChainID) {
		return fmt.Errorf("chain_id %q: want 1 to 63 of a-z, 0-9, '.', '_' and '-', beginning with a letter or digit", g.ChainID)
	}
	if g.Ordering.Type != "solo" {
		return fmt.Errorf("ordering.type is %q: want \"solo\"", g.Ordering.Type)
	}
	producer, err := publicKey(g.Ordering.Orderer)
	if err != nil {
		return fmt.Errorf("ordering.orderer: %w", err)
	}
	g.producer = producer
	if err := g.Admission.validate(); err != nil {
		return err
	}
	if g.Coding < 0 || g.Coding > maxCoding {
		return fmt.Errorf("coding is %d: want %d for Reed–Solomon, or 0 for none", g.Coding, maxCoding)
	}
	return g.Limits.validate(g.BlockLimits())
}

func (a Admission) validate() error {
	switch {
	case a.Type == "open" && len(a.Peers) > 0:
		return fmt.Errorf("admission.type is \"open\" but admission.peers names %d: want type \"list\", or no peers", len(a.Peers))
	case a.Type == "list" && len(a.Peers) == 0:
		return fmt.Errorf("admission.type is \"list\" but admission.peers is empty: name the peers to admit")
	case a.Type != "open" && a.Type != "list":
		return fmt.Errorf("admission.type is %q: want \"open\" or \"list\"", a.Type)
	}
	seen := make(map[string]bool, len(a.Peers))
	for i, p := range a.Peers {
		if _, err := publicKey(p); err != nil {
			return fmt.Errorf("admission.peers[%d]: %w", i, err)
		}
		if seen[p] {
			return fmt.Errorf("admission.peers[%d]: %s stands in the list twice", i, p)
		}
		seen[p] = true
	}
	return nil
}

func (l Limits) validate(full block.Limits) error {
	check := func(key string, v, low, high int64) error {
		if v < low || v > high {
			return fmt.Errorf("limits.%s is %d: want %d to %d", key, v, low, high)
		}
		return nil
	}
	for _, err := range []error{
		check("max_tx_bytes", int64(full.MaxTxBytes), block.TxOverhead+1, maxTxBytes),
		check("max_body_bytes", int64(full.MaxBodyBytes), int64(full.MaxTxBytes), maxBodyBytes),
		check("max_block_txs", int64(full.MaxBlockTxs), 1, maxBlockTxs),
		check("max_lifetime", int64(min(full.MaxLifetime, 1<<62)), 10, maxLifetime),
	} {
		if err != nil {
			return err
		}
	}
	return nil
}
