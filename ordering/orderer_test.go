package ordering

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
)

// bench is an orderer at work on a chain, in a bubble.
type bench struct {
	*chain
	cfg    SoloConfig
	path   string // of the lock
	log    bytes.Buffer
	began  time.Time
	append func(*block.Block) error // what proposing does
	solo   *Solo                    // the last that run started

	seen     sync.Mutex // guards the two below
	proposed []*block.Block
	at       []time.Duration // when, since began
}

func newBench(t *testing.T) *bench {
	t.Helper()
	n := newNetwork()
	c := newChain(t, n)
	b := &bench{chain: c, path: newLock(t, n), began: time.Now(), append: c.append}
	b.cfg = SoloConfig{
		Key: n.key, Genesis: n.Genesis, Lock: mustOpenLock(t, b.path), Pool: c.pool, Tip: c.Tip, Advanced: c.Advanced, Await: c.Await,
		Logger: slog.New(slog.NewTextHandler(&b.log, nil)),
	}
	return b
}

func (b *bench) propose(_ context.Context, bl *block.Block) error {
	b.seen.Lock()
	b.proposed = append(b.proposed, bl)
	b.at = append(b.at, time.Since(b.began))
	b.seen.Unlock()
	return b.append(bl)
}

// all returns what was proposed.
func (b *bench) all() []*block.Block {
	b.seen.Lock()
	defer b.seen.Unlock()
	return slices.Clone(b.proposed)
}

// times returns when, since the beginning.
func (b *bench) times() []time.Duration {
	b.seen.Lock()
	defer b.seen.Unlock()
	return slices.Clone(b.at)
}

// run lets the orderer work until it fails or stop is called, which returns what
// Run returned.
func (b *bench) run(t *testing.T) (stop func() error) {
	t.Helper()
	s, err := NewSolo(b.cfg)
	if err != nil {
		t.Fatal(err)
	}
	b.solo = s
	ctx, cancel := context.WithCancelCause(t.Context())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx, b.propose) }()
	synctest.Wait()
	return func() error { cancel(errStop); return <-done }
}

var errStop = errors.New("stop")

// restart opens the lock again, as a new process does.
func (b *bench) restart(t *testing.T) {
	t.Helper()
	b.cfg.Lock = mustOpenLock(t, b.path)
}

// wait lets virtual time go by.
func wait(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// blocks spells what was proposed: "1:2 2:1" for two and then one transaction.
func (b *bench) blocks() string {
	var out []string
	for _, bl := range b.all() {
		out = append(out, fmt.Sprintf("%d:%d", bl.Height, len(bl.Txs)))
	}
	return strings.Join(out, " ")
}

func wantStop(t *testing.T, err error) {
	t.Helper()
	if !errors.Is(err, errStop) {
		t.Errorf("stopped with %v", err)
	}
}
