package ordering

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"os"

	"grapevine/block"
	"grapevine/durable"
)

// The lock file, integers big-endian:
//
//	offset  size  field
//	     0     4  "GVL" and the version, 1
//	     4    32  genesis ID
//	    36     8  height
//	    44    32  ID of the block at that height; at height 0 the genesis ID
//	    76     4  length n of the block, 0 at height 0 or after a reset
//	    80     n  the signed block's canonical bytes
//	  80+n    32  SHA-256 of all before
const (
	lockMagic    = "GVL\x01"
	lockOverhead = 80 + 32
)

// Lock is the orderer's memory of the last block that it signed: a file beside its
// key, not in the ledger, so that no loss of the ledger lets it sign a second
// block at one height. It is not safe for concurrent use.
type Lock struct {
	path  string
	steps durable.Steps // tests have one fail
	state lockState
	err   error // of a failed write: the file may have the old state or the new one
}

// lockState is what a lock file says.
type lockState struct {
	genesis block.ID
	height  uint64
	id      block.ID
	block   *block.Block // nil at height 0, or after a reset
}

// ErrNoLock says that there is no lock file.
var ErrNoLock = errors.New("no orderer lock")

// CreateLock writes the lock of an orderer that has signed nothing: that of a new
// chain, which is for its operator to say. An existing file is left alone and is
// an error that matches fs.ErrExist.
func CreateLock(path string, genesisID block.ID) error {
	return createLock(path, genesisID, nil)
}

func createLock(path string, genesisID block.ID, steps durable.Steps) error {
	s := lockState{genesis: genesisID, id: genesisID}
	if err := steps.Create(path, s.bytes(), 0o600); err != nil {
		return fmt.Errorf("creating orderer lock %s: %w", path, err)
	}
	return nil
}

// LostLock stands for the lock of an orderer whose file is lost: it has signed nothing
// that it knows of, and is written when it is reset or signs.
func LostLock(path string, genesisID block.ID) *Lock {
	return &Lock{path: path, state: lockState{genesis: genesisID, id: genesisID}}
}

// OpenLock reads the lock, and writes it anew: a process that died between the
// file's new name and the sync of the directory has left a lock that a power loss
// could still take back. When there is none, the error matches ErrNoLock.
func OpenLock(path string) (*Lock, error) { return openLock(path, nil) }

func openLock(path string, steps durable.Steps) (*Lock, error) {
	s, raw, err := readLock(path)
	if err != nil {
		return nil, err
	}
	if err := steps.Replace(path, raw, 0o600); err != nil {
		return nil, fmt.Errorf("writing orderer lock %s: %w", path, err)
	}
	return &Lock{path: path, steps: steps, state: s}, nil
}

func readLock(path string) (lockState, []byte, error) {
	raw, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		return lockState{}, nil, fmt.Errorf("%w at %s: without it this key signs nothing. If it has never signed a block in this network, run peer start --new-chain; "+
			"else put the lock file back, or, if no other node has the key, start with --reset-lock, which catches up from peers first", ErrNoLock, path)
	}
	if err != nil {
		return lockState{}, nil, fmt.Errorf("reading orderer lock: %w", err)
	}
	s, err := decodeLock(raw)
	if err != nil {
		return lockState{}, nil, fmt.Errorf("orderer lock %s: %w: put a good copy of the latest back, or, if no other node has the key, move the file away and start with --reset-lock, which catches up from peers first", path, err)
	}
	return s, raw, nil
}

// VerifyLock reads a lock, changes nothing, and says at what height it is. It is an error if
// it is damaged, another network's, or contradicts a ledger with this tip: ErrNoLock if
// there is none.
func VerifyLock(path string, genesisID block.ID, tip block.Tip) (height uint64, err error) {
	s, _, err := readLock(path)
	if err != nil {
		return 0, err
	}
	if err := s.checkNetwork(path, genesisID); err != nil {
		return s.height, err
	}
	switch (&Lock{state: s}).against(tip) {
	case behind:
		return s.height, fmt.Errorf("orderer lock %s is at height %d, behind the ledger's %d: it is an old copy, or another node has this key: see that none has, then start with --reset-lock", path, s.height, tip.Height)
	case other:
		return s.height, fmt.Errorf("orderer lock %s and the ledger have different blocks at height %d: stop the other node that has this key, or put this chain's lock back", path, min(s.height, tip.Height))
	}
	return s.height, nil
}

func (s lockState) checkNetwork(path string, genesisID block.ID) error {
	if s.genesis != genesisID {
		return fmt.Errorf("orderer lock %s belongs to network %s, not %s: it is beside the wrong key, or the genesis has changed: put back the one that was there", path, s.genesis, genesisID)
	}
	return nil
}

// MemoryLock returns the lock of an orderer whose ledger is in memory too, and whose
// chain ends with it.
func MemoryLock(genesisID block.ID) *Lock {
	return &Lock{state: lockState{genesis: genesisID, id: genesisID}}
}

// Height returns that of the last block signed.
func (l *Lock) Height() uint64 { return l.state.height }

// ID returns that of the last block signed, at height 0 the genesis ID.
func (l *Lock) ID() block.ID { return l.state.id }

// Block returns the last block signed; nil at height 0, or after a reset.
func (l *Lock) Block() *block.Block { return l.state.block }

// advance makes b the last block signed, on the disk first. b stands on the one
// before. After a failed write nothing more is signed: only opening the file again
// tells what it says.
func (l *Lock) advance(b *block.Block) error {
	if l.err != nil {
		return l.err
	}
	if b.Genesis != l.state.genesis || b.Height != l.state.height+1 || b.Parent != l.state.id {
		return fmt.Errorf("orderer lock %s is at height %d, block %s: block %s at height %d does not stand on it", l.path, l.state.height, l.state.id.Short(), b.ID().Short(), b.Height)
	}
	next := lockState{genesis: l.state.genesis, height: b.Height, id: b.ID(), block: b}
	if l.path == "" {
		l.state = next
		return nil
	}
	if err := l.steps.Replace(l.path, next.bytes(), 0o600); err != nil {
		l.err = fmt.Errorf("writing orderer lock %s: %w; nothing more is signed until the node is started again", l.path, err)
		return l.err
	}
	l.state = next
	return nil
}

// reset sets the lock to a tip above it: the operator's word that the chain up to there
// is right, and that nobody signed anything above it with this key.
func (l *Lock) reset(tip block.Tip) error {
	next := lockState{genesis: l.state.genesis, height: tip.Height, id: tip.ID}
	if err := l.steps.Replace(l.path, next.bytes(), 0o600); err != nil {
		return fmt.Errorf("resetting orderer lock %s: %w", l.path, err)
	}
	l.state = next
	return nil
}

// bytes returns the file's content.
func (s lockState) bytes() []byte {
	var body []byte
	if s.block != nil {
		body = s.block.Bytes()
	}
	b := append(make([]byte, 0, lockOverhead+len(body)), lockMagic...)
	b = append(b, s.genesis[:]...)
	b = binary.BigEndian.AppendUint64(b, s.height)
	b = append(b, s.id[:]...)
	b = binary.BigEndian.AppendUint32(b, uint32(len(body)))
	b = append(b, body...)
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func decodeLock(raw []byte) (lockState, error) {
	if len(raw) < lockOverhead {
		return lockState{}, fmt.Errorf("%d bytes, want at least %d", len(raw), lockOverhead)
	}
	content, sum := raw[:len(raw)-32], raw[len(raw)-32:]
	if want := sha256.Sum256(content); !bytes.Equal(sum, want[:]) {
		return lockState{}, errors.New("its checksum is wrong")
	}
	if string(raw[:4]) != lockMagic {
		return lockState{}, fmt.Errorf("it begins with %q: this software reads %q", raw[:4], lockMagic)
	}
	s := lockState{genesis: block.ID(raw[4:36]), height: binary.BigEndian.Uint64(raw[36:]), id: block.ID(raw[44:76])}
	body := content[80:]
	if n := binary.BigEndian.Uint32(raw[76:]); uint64(n) != uint64(len(body)) {
		return lockState{}, fmt.Errorf("a block of %d bytes in %d bytes", n, len(body))
	}
	if s.height == 0 && s.id != s.genesis {
		return lockState{}, fmt.Errorf("at height 0 it names %s, not the genesis", s.id.Short())
	}
	if len(body) == 0 {
		return s, nil
	}
	var err error
	if s.block, err = block.Decode(body); err != nil {
		return lockState{}, err
	}
	if s.block.Genesis != s.genesis || s.block.Height != s.height || s.block.ID() != s.id {
		return lockState{}, fmt.Errorf("it names height %d, block %s, and holds height %d, block %s", s.height, s.id.Short(), s.block.Height, s.block.ID().Short())
	}
	return s, nil
}
