package packets

import (
	"context"
	"errors"
	"fmt"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// kind is what the peers of a run are: Grapevine's nodes, or the baseline's. All its
// methods are called from the world's goroutine.
type kind interface {
	// open opens a peer's sockets, for the first time or after a crash.
	open(peer int) (runner, error)
	// missing says which of the peers that run lacks a connection that it should have,
	// in words; "" when none does.
	missing() string
	// propose has peer 0, which runs, make the block of a number.
	propose(number int) error
	// chain returns the last block of a peer's chain.
	chain(peer int) (height uint64, id block.ID)
	// again returns the bytes of bodies that came to a peer though they were there.
	again(peer int) int64
}

// runner is an open peer.
type runner interface {
	// Run takes part until ctx ends, and closes the peer.
	Run(ctx context.Context) error
	Close() error
}

// life is a peer from its start to its end.
type life struct {
	cancel context.CancelFunc
	ended  chan error
	dying  bool // it was told to end
	again  bool // and is to start anew when it has
}

// world is a run, inside its bubble. One goroutine owns it.
type world struct {
	plan     *scenario.Plan
	network  *network
	book     *book
	kind     kind
	users    *users  // nil: nobody submits
	lives    []*life // by peer; nil: it does not run
	ends     chan int
	t0       time.Time
	events   []scenario.Event // still to come
	asked    int              // blocks that peer 0 was asked for
	quiet    time.Time        // when the traffic is to be noted; zero: it has been
	from, to tally
	progress func(float64)
}

const (
	knitTime = 5 * time.Minute // within which the network must stand; a guess, it takes seconds
	// settle is how long the network stands before the run begins: one census of the
	// nodes, whose fan-out follows from it, and ten heartbeats of GossipSub.
	settle = 11 * time.Second
	// tail is how long traffic counts after the last acceptance.
	tail = time.Second
)

// play runs the plan. It must be called in a bubble, and leaves no goroutine behind.
func play(plan *scenario.Plan, protocol string, peers func(*world, string) (kind, error), progress func(float64)) (*outcome.Outcome, error) {
	w := &world{
		plan: plan, network: newNetwork(plan), book: newBook(plan.Peers), lives: make([]*life, plan.Peers),
		ends: make(chan int, plan.Peers), events: plan.Events, progress: progress,
	}
	defer w.network.sim.Close()
	w.book.out.Protocol, w.book.out.Seed = protocol, plan.Seed
	w.book.out.NoChain = protocol == gossipsub || protocol == chunked
	var err error
	if w.kind, err = peers(w, protocol); err != nil {
		return nil, err
	}
	var out *outcome.Outcome
	if err = w.stand(); err == nil {
		if err = w.run(); err == nil {
			out = w.finish()
		}
	}
	if err = errors.Join(err, w.stop()); err != nil {
		return nil, err
	}
	return out, nil
}

// stand starts whoever is there from the beginning, and waits until they are connected.
func (w *world) stand() error {
	var open []runner
	var first []int
	for i, p := range w.plan.PeerPlans {
		if p.Joins > 0 {
			w.book.gone(i, 0)
			continue
		}
		r, err := w.kind.open(i)
		if err != nil {
			for _, r := range open {
				err = errors.Join(err, r.Close())
			}
			return fmt.Errorf("peer %d: %w", i, err)
		}
		open, first = append(open, r), append(first, i)
	}
	synctest.Wait() // let every host settle before the first dial
	for k, i := range first {
		w.launch(i, open[k])
	}
	began := time.Now()
	for why := w.kind.missing(); why != ""; why = w.kind.missing() {
		if time.Since(began) > knitTime {
			return fmt.Errorf("after %v the network does not stand: %s", knitTime, why)
		}
		if err := w.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	if err := w.pause(settle); err != nil {
		return err
	}
	w.t0 = time.Now()
	w.book.stands(w.t0)
	return nil
}

// pause lets time pass, unless a peer ends.
func (w *world) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case i := <-w.ends:
		return w.ended(i)
	}
}

// launch runs an open peer.
func (w *world) launch(i int, r runner) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{cancel: cancel, ended: make(chan error, 1)}
	w.lives[i] = l
	go func() {
		l.ended <- r.Run(ctx)
		w.ends <- i // has room for all peers
	}()
}

// ended takes note of a peer's end, and starts it again when that is wanted.
func (w *world) ended(i int) error {
	l := w.lives[i]
	w.lives[i] = nil
	l.cancel()
	if err := <-l.ended; err != nil {
		return fmt.Errorf("peer %d ended: %w", i, err)
	}
	if !l.dying {
		return fmt.Errorf("peer %d ended by itself", i)
	}
	if l.again {
		return w.start(i)
	}
	return nil
}

// start brings a peer up, now or as soon as its last life is over.
func (w *world) start(i int) error {
	if l := w.lives[i]; l != nil {
		l.again = true
		return nil
	}
	r, err := w.kind.open(i)
	if err != nil {
		return fmt.Errorf("peer %d: %w", i, err)
	}
	synctest.Wait()
	w.book.back(i, time.Since(w.t0))
	w.launch(i, r)
	return nil
}

// kill ends a peer without a word: nothing comes out of it any more.
func (w *world) kill(i int) {
	w.network.ports[i].kill()
	w.book.gone(i, time.Since(w.t0))
	if l := w.lives[i]; l != nil {
		l.dying, l.again = true, false
		l.cancel()
	}
}

// run plays what happens, and waits for what comes of it.
func (w *world) run() error {
	timer := time.NewTimer(0)
	defer timer.Stop()
	for {
		timer.Reset(time.Until(w.next()))
		var err error
		select {
		case i := <-w.ends:
			err = w.ended(i)
		case <-w.book.news:
			w.quiet = time.Now().Add(tail)
		case <-timer.C:
			err = w.due()
		}
		if err != nil {
			return err
		}
		if w.over() {
			return nil
		}
	}
}

// end returns when the run is over in any case.
func (w *world) end() time.Time { return w.t0.Add(w.plan.End()) }

// next returns when there is something to do.
func (w *world) next() time.Time {
	next := w.end()
	if len(w.events) > 0 {
		next = earlier(next, w.t0.Add(w.events[0].At))
	}
	if !w.quiet.IsZero() {
		next = earlier(next, w.quiet)
	}
	if at, ok := w.users.next(); ok {
		next = earlier(next, at)
	}
	return next
}

func earlier(a, b time.Time) time.Time {
	if b.Before(a) {
		return b
	}
	return a
}

// due does what is due.
func (w *world) due() error {
	now := time.Now()
	if !w.quiet.IsZero() && !now.Before(w.quiet) {
		w.to, w.quiet = w.network.tally(), time.Time{}
	}
	for len(w.events) > 0 && !now.Before(w.t0.Add(w.events[0].At)) {
		e := w.events[0]
		w.events = w.events[1:]
		if err := w.happen(e); err != nil {
			return err
		}
	}
	for at, ok := w.users.next(); ok && !now.Before(at); at, ok = w.users.next() {
		w.begin()
		w.users.submit()
	}
	w.progress(min(1, float64(now.Sub(w.t0))/float64(w.plan.Quiet()+tail)))
	return nil
}

// happen plays an event.
func (w *world) happen(e scenario.Event) error {
	switch e.Kind {
	case scenario.Propose:
		if l := w.lives[0]; l != nil && !l.dying { // else it crashed a moment ago, and makes none
			w.begin()
			w.asked++
			return w.kind.propose(e.Block)
		}
	case scenario.CutOff:
		w.network.cut(e.Fault+1, e.Peers)
	case scenario.Mend:
		w.network.cut(0, e.Peers)
	case scenario.Kill:
		for _, i := range e.Peers {
			w.kill(i)
		}
	case scenario.Start:
		for _, i := range e.Peers {
			if err := w.start(i); err != nil {
				return err
			}
		}
	case scenario.SetLoss:
		for _, i := range e.Peers {
			w.network.ports[i].setLoss(e.Loss)
		}
	case scenario.SetRate:
		for _, i := range e.Peers {
			w.network.ports[i].setRate(e.Rate)
		}
	}
	return nil
}

// begin notes the traffic before the first block.
func (w *world) begin() {
	if w.from == nil {
		w.from = w.network.tally()
	}
}

// over says whether nothing more is to come: all has happened, everybody who can have
// the last block has it, and its traffic is noted.
func (w *world) over() bool {
	if !time.Now().Before(w.end()) {
		return true
	}
	if len(w.events) > 0 || !w.quiet.IsZero() || len(w.book.news) > 0 || !w.users.idle() {
		return false
	}
	if w.lives[0] != nil && w.book.blocks() < w.asked {
		return false
	}
	tip := w.book.height()
	for i := range w.plan.Peers {
		if w.reachable(i) {
			if h, _ := w.kind.chain(i); h < tip {
				return false
			}
		}
	}
	return true
}

// reachable says whether a peer runs, and nothing cuts it off from the orderer.
func (w *world) reachable(i int) bool { return w.plan.Reachable(i, time.Since(w.t0)) }

// finish completes the outcome.
func (w *world) finish() *outcome.Outcome {
	end := time.Since(w.t0)
	w.begin() // if there was no block, nothing was sent for one
	if w.to == nil || !w.quiet.IsZero() {
		w.to = w.network.tally()
	}
	out := w.book.close()
	out.End = end
	for _, e := range w.plan.Events {
		if e.At <= end && mends(e) {
			out.Healed = e.At
		}
	}
	for i := range out.Peers {
		p := &out.Peers[i]
		p.Alive = w.plan.Reachable(i, end)
		p.Height, p.ID = w.kind.chain(i)
		p.Again = w.kind.again(i)
		from, to := w.from[i], w.to[i]
		p.Sent = to.sent - from.sent
		// What was on its way at the first moment was not sent after it.
		p.Received = max(0, to.received-from.received-from.coming)
	}
	return out
}

// mends says whether an event ends a fault.
func mends(e scenario.Event) bool {
	switch e.Kind {
	case scenario.Mend, scenario.Start:
		return true
	case scenario.SetLoss:
		return e.Loss == 0
	case scenario.SetRate:
		return e.Rate == 0
	}
	return false
}

// stop ends all peers and waits for them.
func (w *world) stop() error {
	running := 0
	for _, l := range w.lives {
		if l != nil {
			l.dying, l.again = true, false
			l.cancel()
			running++
		}
	}
	var err error
	for range running {
		err = errors.Join(err, w.ended(<-w.ends))
	}
	w.users.wait()
	return err
}
