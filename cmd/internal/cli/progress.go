package cli

import (
	"fmt"
	"io"
	"os"
	"strings"
	"sync"
	"time"
)

// Progress is a bar on standard error while something long runs. Where that is no
// terminal, nothing is drawn. It may be used by several goroutines.
type Progress struct {
	what  string
	draw  bool
	out   io.Writer
	width func() int

	mu   sync.Mutex
	last time.Time
	full int // of the bar; it never shrinks, though the total grow
}

// NewProgress makes a bar for what runs.
func NewProgress(what string) *Progress {
	return &Progress{what: what, draw: Terminal(os.Stderr), out: os.Stderr, width: func() int { return Width(os.Stderr) }}
}

// NoProgress is a bar that is not drawn: something else is on the terminal.
func NoProgress() *Progress { return &Progress{} }

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
		p.full = max(p.full, barWidth*min(done, total)/max(total, 1))
		text := []rune(fmt.Sprintf("%s [%s%s] %d/%d %s", p.what,
			strings.Repeat("#", p.full), strings.Repeat(".", barWidth-p.full), done, total, note))
		if width := p.width(); width > 0 { // the last place is left free: in it some terminals go to the next line
			text = text[:min(len(text), width-1)]
		}
		fmt.Fprint(p.out, "\r\x1b[K"+string(text))
	}
}

// End takes the bar away.
func (p *Progress) End() {
	if p.draw {
		fmt.Fprint(p.out, "\r\x1b[K")
	}
}
