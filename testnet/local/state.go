package local

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"

	"grapevine/block"
	"grapevine/durable"
)

// Network is a testnet, as its file says.
type Network struct {
	Version   int      `json:"version"`
	ChainID   string   `json:"chain_id"`
	GenesisID block.ID `json:"genesis_id"`
	Binary    string   `json:"binary"` // that the peers run
	Peers     []Peer   `json:"peers"`

	dir string
}

// Peer is a peer of a testnet.
type Peer struct {
	Index   int      `json:"index"`
	ID      string   `json:"id"` // peer ID
	Home    string   `json:"home"`
	API     string   `json:"api"`
	Listen  []string `json:"listen"`
	Process Process  `json:"process"` // the last that was started
}

// Name is how people are shown the peer.
func (p Peer) Name() string { return fmt.Sprintf("peer %d", p.Index) }

// Log returns the path of the peer's log.
func (p Peer) Log() string { return filepath.Join(p.Home, "peer.log") }

// Errors that callers branch on.
var (
	ErrNone       = errors.New("no testnet")
	ErrRunning    = errors.New("running already")
	ErrNotRunning = errors.New("does not run")
	ErrBusy       = errors.New("busy")
	ErrThere      = errors.New("holds a testnet already")
	ErrStrange    = errors.New("is not known to be a testnet")
)

const stateVersion = 1

func statePath(dir string) string { return filepath.Join(dir, "testnet.json") }

// KeyPath returns the path of the key that signs what people submit.
func (n *Network) KeyPath() string { return filepath.Join(n.dir, "client.key") }

// AcknowledgedPath returns the path of the list of acknowledged transactions.
func (n *Network) AcknowledgedPath() string { return filepath.Join(n.dir, "acknowledged") }

// Open reads the network in dir. ErrNone when there is none.
func Open(dir string) (*Network, error) {
	raw, err := os.ReadFile(statePath(dir))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("%w in %s: make one with peer testnet up --dir %s", ErrNone, dir, dir)
	}
	if err != nil {
		return nil, fmt.Errorf("reading testnet: %w", err)
	}
	n := &Network{dir: dir}
	if err := json.Unmarshal(raw, n); err != nil {
		return nil, fmt.Errorf("%s: %w", statePath(dir), err)
	}
	if n.Version != stateVersion {
		return nil, fmt.Errorf("%s has version %d, this software reads version %d: take it down with the software that made it", statePath(dir), n.Version, stateVersion)
	}
	return n, nil
}

// save replaces the file. Only a holder of the lock may call it.
func (n *Network) save() error {
	raw, err := json.MarshalIndent(n, "", "  ")
	if err != nil {
		return err
	}
	if err := durable.Replace(statePath(n.dir), append(raw, '\n'), 0o644); err != nil {
		return fmt.Errorf("writing testnet: %w", err)
	}
	return nil
}

// lock keeps others from changing the network in dir until the function that it
// returns is called. The system lets go of it when this process ends.
func lock(dir string) (unlock func(), err error) {
	f, err := os.OpenFile(filepath.Join(dir, "testnet.lock"), os.O_CREATE|os.O_RDWR, 0o644)
	if err != nil {
		return nil, fmt.Errorf("locking testnet: %w", err)
	}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		f.Close()
		return nil, fmt.Errorf("testnet %s is %w: another command is changing it, wait for its end", dir, ErrBusy)
	}
	return func() { f.Close() }, nil
}

// change reads the network again under the lock, calls with it, and saves it.
func change(dir string, with func(*Network) error) error {
	if _, err := Open(dir); err != nil {
		return err // without leaving a lock file in some other directory
	}
	unlock, err := lock(dir)
	if err != nil {
		return err
	}
	defer unlock()
	n, err := Open(dir)
	if err != nil {
		return err
	}
	return errors.Join(with(n), n.save())
}
