package ordering

import (
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/genesis"
)

// The defaults of CutterConfig, where the network's limits allow as much.
const (
	DefaultMaxTxs         = 2_000
	DefaultPreferredBytes = 1 << 20
	DefaultTimeout        = 300 * time.Millisecond
)

// CutterConfig says when a batch is a block. The zero value is valid.
type CutterConfig struct {
	// MaxTxs is how many transactions make a block at once. Zero means 2,000 (a
	// guess), or the network's limit if that is lower.
	MaxTxs int
	// PreferredBytes is the body size that makes a block at once, and that no block
	// passes but for one with a single larger transaction. Zero means 1 MiB, or the
	// network's limit if that is lower.
	PreferredBytes int
	// AbsoluteBytes bounds that single larger transaction. Zero means the network's
	// limit for a body.
	AbsoluteBytes int
	// Timeout is how long after the arrival of its first transaction a batch becomes
	// a block however small it is. Zero means 300 ms: with Settle it makes five blocks a
	// second of a steady load, each of which costs every peer its announcements and a
	// synced write, and stays under what a person notices.
	Timeout time.Duration
	// Settle is for how long after its arrival here a transaction is left out of
	// blocks, so that gossip brings it to the others before a block names it. Zero
	// means a third of Timeout. At most it is half, so that no transaction waits longer
	// than Timeout for it. Negative means not at all. What is left out is the first
	// of the next batch.
	Settle time.Duration
}

func (c CutterConfig) withDefaults(l block.Limits) CutterConfig {
	if c.MaxTxs == 0 {
		c.MaxTxs = min(DefaultMaxTxs, l.MaxBlockTxs)
	}
	if c.AbsoluteBytes == 0 {
		c.AbsoluteBytes = l.MaxBodyBytes
	}
	if c.PreferredBytes == 0 {
		c.PreferredBytes = min(DefaultPreferredBytes, c.AbsoluteBytes)
	}
	if c.Timeout == 0 {
		c.Timeout = DefaultTimeout
	}
	if c.Settle == 0 {
		c.Settle = c.Timeout / 3
	}
	return c
}

// validate checks a complete configuration against the network's limits.
func (c CutterConfig) validate(l block.Limits) error {
	switch {
	case c.MaxTxs < 1 || c.MaxTxs > l.MaxBlockTxs:
		return fmt.Errorf("%d transactions a block: the network's limit allows 1 to %d", c.MaxTxs, l.MaxBlockTxs)
	case c.AbsoluteBytes < l.MaxTxBytes || c.AbsoluteBytes > l.MaxBodyBytes:
		return fmt.Errorf("absolute size %d: want room for one transaction, %d, and at most the network's limit, %d bytes", c.AbsoluteBytes, l.MaxTxBytes, l.MaxBodyBytes)
	case c.PreferredBytes < 1 || c.PreferredBytes > c.AbsoluteBytes:
		return fmt.Errorf("preferred size %d: want 1 to the absolute size, %d bytes", c.PreferredBytes, c.AbsoluteBytes)
	case c.Timeout < 0:
		return fmt.Errorf("timeout %v: want 0 or more", c.Timeout)
	case c.Settle > c.Timeout/2:
		return fmt.Errorf("settle %v: want at most %v, half of the timeout", c.Settle, c.Timeout/2)
	}
	return nil
}

// Cutter says when what is pending becomes a block: when there is enough of it, or
// when the first of it has waited long enough. It is not safe for concurrent use,
// and learns the time only from its arguments.
type Cutter struct {
	cfg          CutterConfig
	count, bytes int       // of what has settled
	oldest       time.Time // arrival of the first pending transaction; zero: nothing is pending
}

// NewCutter makes a cutter. Fields left zero take the defaults of a network whose
// genesis sets no limits.
func NewCutter(cfg CutterConfig) *Cutter {
	return &Cutter{cfg: cfg.withDefaults(block.Limits{
		MaxBodyBytes: genesis.DefaultMaxBodyBytes,
		MaxBlockTxs:  genesis.DefaultMaxBlockTxs,
	})}
}

// Pending tells when the first pending transaction arrived, zero if there is none,
// and how much has settled.
func (c *Cutter) Pending(oldest time.Time, count, bytes int) {
	c.oldest, c.count, c.bytes = oldest, count, bytes
}

// Deadline returns when what is pending becomes a block if nothing is added; zero
// when nothing is pending.
func (c *Cutter) Deadline() time.Time {
	if c.oldest.IsZero() {
		return time.Time{}
	}
	return c.oldest.Add(c.cfg.Timeout)
}

// Cut says whether what is pending is a block now. An arrival after now means that
// the clock was set back: nobody waits for it to come round again.
func (c *Cutter) Cut(now time.Time) bool {
	switch {
	case c.oldest.IsZero():
		return false
	case c.count >= c.cfg.MaxTxs || c.bytes >= c.cfg.PreferredBytes:
		return true
	}
	return !now.Before(c.Deadline()) || c.oldest.After(now)
}
