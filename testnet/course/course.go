// Package course is the course of a run, in worlds whose networks live by a clock: real
// processes by the wall's, whole nodes by a bubble's. It knows what of a plan is due when,
// when traffic begins to count and until when, and when all is over; a world only carries
// it out.
//
//	scenario.Plan ──▶ Course.Run ── Begin, Happen, Note, Settled ──▶ Stage
//	                     ▲ ▲                                           │
//	                     │ └── News: a block was accepted ─────────────┤
//	                     └──── Told: a peer has ended, a load is done ─┘
//
// The course of a run:
//
//   - Time begins when the network stands.
//   - Traffic counts from just before the first block, or transaction, until Tail after the
//     last acceptance: the stage notes it then, and again if something comes after it. A
//     run without blocks counts from the beginning.
//   - The run is over when all has happened, everybody has what he can have, and the
//     traffic of that is noted; or when the plan's time is up.
//
// The event world has a course of its own: its time is a heap of events.
package course

import (
	"context"
	"time"

	"grapevine/testnet/scenario"
)

// Tail is how long traffic counts after the last acceptance.
const Tail = time.Second

// Stage is a network that stands, for Run to play on. All of its methods are called from
// Run's goroutine.
type Stage interface {
	// Begin begins to count traffic, and has whatever submits begin.
	Begin(ctx context.Context) error
	// Happen does what an event of the plan says.
	Happen(ctx context.Context, e scenario.Event) error
	// Settled says whether everybody who can be reached has what there is to have, and
	// nothing waits to be in a block.
	Settled(ctx context.Context) bool
	// Note notes the traffic since Begin.
	Note(ctx context.Context) error
}

// Course is a run under way.
type Course struct {
	Plan  *scenario.Plan
	Stage Stage
	// Told has what others want done by the goroutine that plays.
	Told <-chan func() error
	// News has an item when blocks were accepted. Nil: the stage is not told of them, and
	// is asked whether it has settled every LookEvery.
	News      <-chan struct{}
	LookEvery time.Duration
	// Ahead is how long before the first block Begin is called.
	Ahead time.Duration
	// Progress, when set, is told the share done, 0…1.
	Progress func(float64)

	begun   time.Time
	events  []scenario.Event // still to come
	counts  bool             // Begin has been called
	stirred bool             // it was not quiet once
	noted   bool             // nothing was accepted since the traffic was noted
	quiet   time.Duration    // when it is to be noted, if it is not
	healed  time.Duration
}

// Start says when time begins, which is now.
func (c *Course) Start(now time.Time) {
	c.begun, c.events = now, c.Plan.Events
	if c.noted = c.News != nil; !c.noted {
		c.quiet = Tail
	}
}

// Began returns when time began.
func (c *Course) Began() time.Time { return c.begun }

// Now returns how long the network has stood.
func (c *Course) Now() time.Duration { return time.Since(c.begun) }

// Healed returns when the last fault ended that has ended.
func (c *Course) Healed() time.Duration { return c.healed }

// Run has everything happen when it is due, and returns when all is over, or with the
// first error.
func (c *Course) Run(ctx context.Context) error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	var look <-chan time.Time
	if c.News == nil {
		ticker := time.NewTicker(c.LookEvery)
		defer ticker.Stop()
		look = ticker.C
	}
	for !c.over(ctx) {
		timer.Reset(c.next() - c.Now())
		var err error
		select {
		case <-ctx.Done():
			err = context.Cause(ctx)
		case do := <-c.Told:
			err = do()
		case <-c.News:
			c.stirs()
		case <-look:
			if !c.Stage.Settled(ctx) {
				c.stirs()
			}
		case <-timer.C:
			err = c.due(ctx)
		}
		if err != nil {
			return err
		}
		if c.Progress != nil {
			c.Progress(min(1, float64(c.Now())/float64(c.Plan.Quiet()+Tail)))
		}
	}
	if c.stirred && c.noted && len(c.News) == 0 {
		return nil
	}
	return c.Stage.Note(ctx)
}

// stirs says that the network is not quiet yet.
func (c *Course) stirs() { c.stirred, c.noted, c.quiet = true, false, c.Now()+Tail }

// next returns when something is due.
func (c *Course) next() time.Duration {
	next := c.Plan.End()
	if len(c.events) > 0 {
		next = min(next, c.events[0].At)
	}
	if !c.counts {
		next = min(next, c.first())
	}
	if !c.noted {
		next = min(next, c.quiet)
	}
	return next
}

// first returns when traffic begins to count.
func (c *Course) first() time.Duration {
	if c.Plan.Load.TxRate > 0 {
		return max(0, c.Plan.Load.First.D()-c.Ahead)
	}
	for _, e := range c.Plan.Events {
		if e.Kind == scenario.Propose {
			return max(0, e.At-c.Ahead)
		}
	}
	return 0
}

// due does what is due.
func (c *Course) due(ctx context.Context) error {
	if !c.noted && c.Now() >= c.quiet {
		c.noted = true
		if err := c.Stage.Note(ctx); err != nil {
			return err
		}
	}
	if !c.counts && c.Now() >= c.first() {
		c.counts = true
		if err := c.Stage.Begin(ctx); err != nil {
			return err
		}
	}
	for len(c.events) > 0 && c.Now() >= c.events[0].At {
		e := c.events[0]
		c.events = c.events[1:]
		if ends(e) {
			c.healed = e.At
		}
		if err := c.Stage.Happen(ctx, e); err != nil {
			return err
		}
	}
	return nil
}

// ends says whether an event ends a fault.
func ends(e scenario.Event) bool {
	switch e.Kind {
	case scenario.Mend, scenario.Start:
		return true
	case scenario.SetLoss:
		return e.Loss == 0
	case scenario.SetWithhold:
		return !e.On
	case scenario.SetRate:
		return e.Rate == 0
	}
	return false
}

// over says whether nothing more is to come. What is cheap to know is asked first.
func (c *Course) over(ctx context.Context) bool {
	if c.Now() >= c.Plan.End() {
		return true
	}
	return c.counts && c.noted && len(c.events) == 0 && len(c.News) == 0 && c.Stage.Settled(ctx)
}
