package ledger

import (
	"bytes"
	"errors"
	"maps"
	"slices"
	"sync"
)

// store is what the ledger needs of a database. There are two: Badger in a
// directory, and a map. A map, because a simulation runs hundreds of nodes in one
// process: 100 Badgers in memory have 1,000 goroutines, wake up 4,000 times a
// second, and count 4 GiB of memtables as live heap, so that the garbage collector
// lets as much garbage pile up (measured, with the default limits).
type store interface {
	// view calls fn with a reader of one state of the database.
	view(fn func(reader) error) error
	// keys calls fn with every key that has the prefix, in order, until it says
	// false. A key is good until fn returns.
	keys(prefix []byte, fn func(key []byte) bool) error
	// commit makes all writes or none. On return they are as durable as the store
	// can make them. After an error they may be there or not.
	commit(writes []write) error
	close() error
}

// reader calls use with the value of a key, which is good until use returns. The
// error is errNoKey when there is none.
type reader func(key []byte, use func(value []byte) error) error

// write is a key with its value, neither of which changes afterwards.
type write struct{ key, value []byte }

var errNoKey = errors.New("no such key")

// memory is a store that lasts as long as the process.
type memory struct {
	mu sync.RWMutex
	m  map[string][]byte // guarded by mu
}

func newMemory() *memory { return &memory{m: map[string][]byte{}} }

// Memory is a chain in memory that outlives the ledgers that are opened on it: the
// disk of a simulated peer, which may crash and come back.
type Memory struct{ store memory }

// NewMemory returns an empty one.
func NewMemory() *Memory { return &Memory{memory{m: map[string][]byte{}}} }

func (s *memory) view(fn func(reader) error) error {
	return fn(func(key []byte, use func([]byte) error) error {
		s.mu.RLock()
		v, ok := s.m[string(key)]
		s.mu.RUnlock()
		if !ok {
			return errNoKey
		}
		return use(v)
	})
}

func (s *memory) keys(prefix []byte, fn func([]byte) bool) error {
	s.mu.RLock()
	all := slices.Sorted(maps.Keys(s.m))
	s.mu.RUnlock()
	for _, k := range all {
		if bytes.HasPrefix([]byte(k), prefix) && !fn([]byte(k)) {
			return nil
		}
	}
	return nil
}

func (s *memory) commit(writes []write) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, w := range writes {
		s.m[string(w.key)] = w.value
	}
	return nil
}

func (s *memory) close() error { return nil }
