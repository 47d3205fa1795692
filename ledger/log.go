package ledger

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"sync"
)

// badgerLog takes Badger's log lines to slog: what Badger calls an error or a
// warning as a warning, the rest for debugging.
type badgerLog struct {
	logger *slog.Logger
	mu     sync.Mutex
	first  error // the first error that Badger logged since takeFault
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
	b.first = nil
	return err
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
