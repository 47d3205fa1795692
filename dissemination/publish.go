package dissemination

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/dissemination/message"
	"grapevine/dissemination/txs"
)

// spreadMax bounds what waits for the publisher while GossipSub is slow: so many
// submissions. Submitters wait when it is full.
const spreadMax = 256

// publisher sends what is submitted here to everybody: it gathers transactions into
// batches, hands these to GossipSub, whose Publish may take a while, and slows
// submitters down when the network does not take as much.
type publisher struct {
	host    Host
	metrics metrics
	log     *slog.Logger
	in      chan []*block.Tx
	done    chan struct{} // closed when run ends
	batcher txs.Batcher   // owned by run

	mu       sync.Mutex
	throttle *txs.Throttle // guarded by mu
	polled   time.Time     // guarded by mu; when others were last asked how far they are
}

func newPublisher(host Host, m metrics, log *slog.Logger, now time.Time) *publisher {
	return &publisher{
		host: host, metrics: m, log: log, in: make(chan []*block.Tx, spreadMax), done: make(chan struct{}),
		throttle: txs.NewThrottle(now),
	}
}

// run publishes until ctx ends.
func (p *publisher) run(ctx context.Context) error {
	defer close(p.done)
	timer := time.NewTimer(0)
	defer timer.Stop()
	var overflows uint64
	for {
		due := timer.C
		if at := p.batcher.Deadline(); at.IsZero() {
			due = nil
		} else {
			timer.Reset(time.Until(at))
		}
		select {
		case <-ctx.Done():
			return nil
		case list := <-p.in:
			p.batcher.Add(list...)
			continue // more may have come with it
		case <-due:
		}
		now := time.Now()
		if batch := p.batcher.Peek(now); len(batch) > 0 {
			p.batcher.Took(now, len(batch))
			overflows = p.publish(batch, overflows)
		}
	}
}

// publish sends a batch, and returns how many messages have overflowed so far.
func (p *publisher) publish(batch []*block.Tx, overflows uint64) uint64 {
	b := message.Encode(&message.Txs{Txs: batch})
	p.metrics.message("gossip", "out", len(b))
	if err := p.host.Publish(b); err != nil {
		p.log.Warn("publishing transactions, the repair plane will carry them", "txs", len(batch), "err", err)
	}
	n := p.host.Overflows()
	if n > overflows {
		p.mu.Lock()
		defer p.mu.Unlock()
		p.throttle.Overflowed(time.Now())
	}
	return n
}

// Spread sends transactions that this peer's pool has accepted to everybody.
func (d *Driver) Spread(list []*block.Tx) {
	select {
	case d.outgoing.in <- list:
	case <-d.outgoing.done:
	}
}

// turnWait is how long a submitter waits for its turn before it is told to come
// back: less than most clients wait for an answer.
const turnWait = 3 * time.Second

// ErrBusy says that the network does not take as much as is submitted here.
var ErrBusy = errors.New("busy")

// pollEvery is how often others are asked how far they are while transactions are
// submitted here: a few times in the lag that is allowed.
const pollEvery = 500 * time.Millisecond

// poll tells the throttle how far behind the network is, by what was answered lately, and
// asks again.
func (d *Driver) poll(now time.Time) {
	d.core.Poll(now)
	p := d.outgoing
	p.mu.Lock()
	defer p.mu.Unlock()
	p.throttle.Behind(now, d.core.Lag(now))
}

// AwaitTurn waits until so many bytes of transactions may enter the network, or says
// when to come back.
func (d *Driver) AwaitTurn(ctx context.Context, bytes int) error {
	p := d.outgoing
	p.mu.Lock()
	now := time.Now()
	wait, ok := p.throttle.Take(now, bytes, turnWait)
	rate := p.throttle.Rate()
	poll := now.Sub(p.polled) >= pollEvery
	if poll {
		p.polled = now
	}
	p.mu.Unlock()
	if poll {
		d.post(d.poll)
	}
	if !ok {
		return fmt.Errorf("%w: the network takes %.0f bytes a second from this node at present, and queues overflow or peers fall behind: try again in %v, or at another peer", ErrBusy, rate, wait.Round(time.Millisecond))
	}
	if wait == 0 {
		return nil
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	case <-p.done:
		return ErrStopped
	}
}

// IntakeRate returns the bytes of transactions that are let in a second at present.
func (d *Driver) IntakeRate() float64 {
	d.outgoing.mu.Lock()
	defer d.outgoing.mu.Unlock()
	return d.outgoing.throttle.Rate()
}
