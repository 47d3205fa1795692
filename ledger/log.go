package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
	"time"
)

// badgerLog takes Badger's log lines to slog: what Badger calls an error or a
// warning as a warning, the rest for debugging.
type badgerLog struct {
	logger *slog.Logger
	fault  chan struct{} // has room for one: Badger has logged an error since takeFault
	mu     sync.Mutex
	first  error // the first of them
}

func newBadgerLog(l *slog.Logger) *badgerLog {
	return &badgerLog{logger: l, fault: make(chan struct{}, 1)}
}

// Errorf keeps the error too. When Badger cannot sync its value log, or drops a
// table that does not match its checksum, this line is all it does about it.
func (b *badgerLog) Errorf(format string, args ...any) {
	text := line(format, args)
	b.logger.Warn("badger", "error", text)
	if ofRead(format) {
		return // whoever reads gets it too
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	if b.first == nil {
		b.first = errors.New(text)
		b.fault <- struct{}{} // takeFault has emptied it
	}
}

// ofRead says whether Badger logs this of a read, which may happen during a commit: the
// formats of iterator.go and value.go (a test holds on to the first).
func ofRead(format string) bool {
	for _, of := range []string{"Unable to read: ", "Key: %v, Version : ", "Invalid read: "} {
		if strings.HasPrefix(format, of) {
			return true
		}
	}
	return false
}

// takeFault returns the first error that Badger logged since it was last called.
func (b *badgerLog) takeFault() error {
	b.mu.Lock()
	defer b.mu.Unlock()
	err := b.first
	if b.first = nil; err != nil {
		select {
		case <-b.fault:
		default: // somebody waited for it
		}
	}
	return err
}

// patience is how long Badger may try again after an error: it does so every second, for
// ever. A guess.
const patience = 5 * time.Second

// bounded calls one of Badger's functions, and gives it up when Badger has logged an error
// and is not done after patience: then it goes on in the background until the process ends.
func (b *badgerLog) bounded(do func() error) error {
	done := make(chan error, 1)
	go func() { done <- do() }()
	select {
	case err := <-done:
		return err
	case <-b.fault:
	}
	given := time.NewTimer(patience)
	defer given.Stop()
	select {
	case err := <-done:
		return err
	case <-given.C:
		return fmt.Errorf("%w (and no end after %v)", b.takeFault(), patience)
	}
}

func (b *badgerLog) Warningf(format string, args ...any) {
	b.logger.Warn("badger", "warning", line(format, args))
}

func (b *badgerLog) Infof(format string, args ...any)  { b.debug(format, args) }
func (b *badgerLog) Debugf(format string, args ...any) { b.debug(format, args) }

func (b *badgerLog) debug(format string, args []any) {
	if b.logger.Enabled(context.Background(), slog.LevelDebug) {
		b.logger.Debug("badger", "info", line(format, args))
	}
}

func line(format string, args []any) string { return strings.TrimSpace(fmt.Sprintf(format, args...)) }
