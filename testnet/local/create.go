package local

import (
	"errors"
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"path/filepath"
	"strings"

	"grapevine/block/sig"
	"grapevine/genesis"
)

// create plans a network, writes its homes, and returns it without saving it.
func create(cfg Config) (*Network, error) {
	if err := noHomes(cfg.Dir, "give another --dir"); err != nil {
		return nil, err
	}
	ports, err := cfg.ports()
	if err != nil {
		return nil, err
	}
	keys := make([]sig.Key, cfg.Peers)
	n := &Network{Version: stateVersion, Binary: cfg.Binary, dir: cfg.Dir, Peers: make([]Peer, cfg.Peers)}
	for i := range keys {
		keys[i] = sig.Generate()
		n.Peers[i] = Peer{
			Index: i,
			ID:    genesis.PeerID(keys[i].Public()),
			Home:  filepath.Join(cfg.Dir, homeName(i)),
			API:   apiOn(ports[2*i]),
			Listen: []string{
				fmt.Sprintf("/ip4/127.0.0.1/udp/%d/quic-v1", ports[2*i+1]),
				fmt.Sprintf("/ip4/127.0.0.1/tcp/%d", ports[2*i+1]),
			},
		}
	}
	g, err := genesis.New(genesis.Genesis{
		ChainID:   fmt.Sprintf("testnet-%08x", rand.Uint32()),
		Ordering:  genesis.Ordering{Type: "solo", Orderer: n.Peers[0].ID},
		Admission: genesis.Admission{Type: "open"},
		Coding:    genesis.ReedSolomon,
	})
	if err != nil {
		return nil, fmt.Errorf("making the testnet's genesis: %w", err)
	}
	n.ChainID, n.GenesisID = g.ChainID, g.ID()
	return n, n.makeHomes(cfg, g, keys)
}

func apiOn(port int) string { return fmt.Sprintf("127.0.0.1:%d", port) }

// Vacant refuses a directory that Begin cannot take: one that holds a testnet, or homes.
func Vacant(dir string) error {
	_, err := Open(dir)
	switch {
	case err == nil:
		return fmt.Errorf("%s %w: name another directory, or remove it with peer testnet down --remove --dir %s", dir, ErrThere, dir)
	case !errors.Is(err, ErrNone):
		return err
	}
	return noHomes(dir, "name another directory")
}

// noHomes refuses a directory that has homes but no network.
func noHomes(dir, remedy string) error {
	homes, err := filepath.Glob(filepath.Join(dir, "peer-[0-9]*"))
	if err != nil {
		return fmt.Errorf("looking at %s: %w", dir, err)
	}
	if len(homes) == 0 {
		return nil
	}
	return fmt.Errorf("%s has a %s but no testnet.json, so it %w: %s", dir, filepath.Base(homes[0]), ErrStrange, remedy)
}

// settings returns peer i's settings: its own addresses and bootstrap peers, a log
// that report can read, and what it is told besides.
func (n *Network) settings(i int, cfg Config) map[string]string {
	own := map[string]string{}
	maps.Copy(own, cfg.Settings)
	if cfg.Own != nil {
		maps.Copy(own, cfg.Own(i))
	}
	own["listen"] = strings.Join(n.Peers[i].Listen, ",")
	own["api"] = n.Peers[i].API
	if len(n.Peers) == 1 {
		own["alone"] = "true" // else its orderer would wait for others
	}
	own["bootstrap"] = strings.Join(n.bootstrap(i), ",")
	own["log_format"] = "json"
	return own
}

// bootstrapPeers is how many others a peer is told of: enough that a few may be
// dead, few enough that the rest of the network is left for it to find out.
const bootstrapPeers = 3

// bootstrap returns the addresses of the orderer and a few random others.
func (n *Network) bootstrap(i int) []string {
	var addrs []string
	for _, j := range append([]int{0}, rand.Perm(len(n.Peers))...) {
		known := j == 0 && len(addrs) > 0
		if j != i && !known && len(addrs) < bootstrapPeers {
			addrs = append(addrs, n.Peers[j].Listen[0]+"/p2p/"+n.Peers[j].ID)
		}
	}
	return addrs
}

// Remove deletes what makes up the testnet in dir, by its testnet.json, and the directory
// when nothing else is in it. A running network is refused, as are homes that no
// testnet.json lists: they may be anybody's, with their keys.
func Remove(dir string) error {
	n, err := Open(dir)
	if errors.Is(err, ErrNone) {
		return noHomes(dir, "nothing is deleted; if these homes and their keys are of no use, delete them yourself")
	}
	if err != nil {
		return err
	}
	if running, err := n.running(); err != nil || len(running) > 0 {
		return errors.Join(err, n.refuse(running))
	}
	all := []string{"client.key", "acknowledged", "testnet.lock"}
	for i := range n.Peers {
		all = append(all, homeName(i))
	}
	for _, name := range append(all, "testnet.json") { // last: what is left of it is a testnet till then
		if err := os.RemoveAll(filepath.Join(dir, name)); err != nil {
			return fmt.Errorf("removing testnet: %w", err)
		}
	}
	if entries, err := os.ReadDir(dir); err == nil && len(entries) == 0 {
		return os.Remove(dir)
	}
	return nil
}

// homeName names a peer's home in the testnet's directory.
func homeName(i int) string { return fmt.Sprintf("peer-%d", i) }
