package cli

import (
	"fmt"
	"os"
	"strings"
	"sync"
	"time"
)

// Progress is a bar on standard error while something long runs. Where that is no
// terminal, nothing is drawn. It may be used by several goroutines.
type Progress struct {
	what string
	draw bool

	mu   sync.Mutex
	last time.Time
}

// NewProgress makes a bar for what runs.
func NewProgress(what string) *Progress {
	return &Progress{what: what, draw: Terminal(os.Stderr)}
}

const (
	barWidth = 30
	barEvery = 100 * time.Millisecond // often enough to look alive
)

// Update draws the bar at done of total, with a note behind it.
func (p *Progress) Update(done, total int, note string) {
	if !p.draw {
		return
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if now := time.Now(); now.Sub(p.last) >= barEvery || done >= total {
		p.last = now
		full := barWidth * min(done, total) / max(total, 1)
		fmt.Fprintf(os.Stderr, "\r\x1b[K%s [%s%s] %d/%d %s", p.what,
			strings.Repeat("#", full), strings.Repeat(".", barWidth-full), done, total, note)
	}
}

// End takes the bar away.
func (p *Progress) End() {
	if p.draw {
		fmt.Fprint(os.Stderr, "\r\x1b[K")
	}
}
