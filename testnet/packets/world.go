package packets

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync/atomic"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/testnet/course"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// kind is what the peers of a run are: Grapevine's nodes, or the baseline's. All its
// methods are called from the world's goroutine.
type kind interface {
	// open opens a peer's sockets, for the first time or after a crash.
	open(peer int) (runner, error)
	// unlinked says which of the peers that run lacks a connection that it should have,
	// in words; "" when none does.
	unlinked() string
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

// world is a run, inside its bubble. One goroutine owns it, which is its course's.
type world struct {
	plan     *scenario.Plan
	course   *course.Course
	network  *network
	book     *book
	kind     kind
	users    *users        // nil: nobody submits
	lives    []*life       // by peer; nil: it does not run
	up       []atomic.Bool // by peer: it runs, and was not told to end
	told     chan func() error
	asked    int // blocks that peer 0 was asked for
	from, to tally
}

const (
	knitTime = 5 * time.Minute // within which the network must stand; a guess, it takes seconds
	// calm is how long the network stands before the run begins: one census of the
	// nodes, whose fan-out follows from it, and ten heartbeats of GossipSub.
	calm = 11 * time.Second
)

// play runs the plan. It must be called in a bubble, and leaves no goroutine behind.
func play(plan *scenario.Plan, protocol string, peers func(*world, string) (kind, error), progress func(float64)) (*outcome.Outcome, error) {
	w, err := newWorld(plan, protocol, peers, progress)
	if err != nil {
		return nil, err
	}
	defer w.network.sim.Close()
	var out *outcome.Outcome
	if err = w.stand(); err == nil {
		if err = w.course.Run(context.Background()); err == nil {
			out = w.finish()
		}
	}
	if err = errors.Join(err, w.stop()); err != nil {
		return nil, err
	}
	return out, nil
}

// newWorld makes the network, and what runs it, and starts nobody.
func newWorld(plan *scenario.Plan, protocol string, peers func(*world, string) (kind, error), progress func(float64)) (*world, error) {
	w := &world{
		plan: plan, network: newNetwork(plan), book: newBook(plan.Peers), lives: make([]*life, plan.Peers), up: make([]atomic.Bool, plan.Peers),
		told: make(chan func() error, plan.Peers+1), // room for every peer's end, and the users'
	}
	w.book.tally, w.book.alive = w.network.tally, func(i int) bool { return w.up[i].Load() }
	w.book.begin(protocol, plan.Seed)
	w.course = w.newCourse(progress)
	var err error
	if w.kind, err = peers(w, protocol); err != nil {
		w.network.sim.Close()
		return nil, err
	}
	return w, nil
}

func (w *world) newCourse(progress func(float64)) *course.Course {
	return &course.Course{Plan: w.plan, Stage: w, Told: w.told, News: w.book.news, Progress: progress}
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
	for why := w.kind.unlinked(); why != ""; why = w.kind.unlinked() {
		if time.Since(began) > knitTime {
			return fmt.Errorf("after %v the network does not stand: %s", knitTime, why)
		}
		if err := w.pause(100 * time.Millisecond); err != nil {
			return err
		}
	}
	if err := w.pause(calm); err != nil {
		return err
	}
	w.course.Start(time.Now())
	w.book.stands(w.course.Began())
	return nil
}

// pause lets time pass, unless a peer ends.
func (w *world) pause(d time.Duration) error {
	select {
	case <-time.After(d):
		return nil
	case do := <-w.told:
		return do()
	}
}

// launch runs an open peer.
func (w *world) launch(i int, r runner) {
	ctx, cancel := context.WithCancel(context.Background())
	l := &life{cancel: cancel, ended: make(chan error, 1)}
	w.lives[i] = l
	w.up[i].Store(true)
	go func() {
		l.ended <- r.Run(ctx)
		w.told <- func() error { return w.ended(i) }
	}()
}

// ended takes note of a peer's end, and starts it again when that is wanted.
func (w *world) ended(i int) error {
	l := w.lives[i]
	w.lives[i] = nil
	w.up[i].Store(false)
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
	w.book.back(i, w.course.Now())
	w.launch(i, r)
	return nil
}

// kill ends a peer without a word: nothing comes out of it any more.
func (w *world) kill(i int) {
	w.network.ports[i].kill()
	w.up[i].Store(false)
	w.book.gone(i, w.course.Now())
	if l := w.lives[i]; l != nil {
		l.dying, l.again = true, false
		l.cancel()
	}
}

// Begin implements course.Stage.
func (w *world) Begin(ctx context.Context) error {
	w.from = w.network.tally()
	w.users.begin(ctx)
	return nil
}

// Note implements course.Stage.
func (w *world) Note(context.Context) error {
	w.to = w.network.tally()
	return nil
}

// Happen implements course.Stage.
func (w *world) Happen(_ context.Context, e scenario.Event) error {
	switch e.Kind {
	case scenario.Propose:
		if l := w.lives[0]; l != nil && !l.dying { // else it crashed a moment ago, and makes none
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

// Settled implements course.Stage.
func (w *world) Settled(context.Context) bool {
	if !w.users.idle() {
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
func (w *world) reachable(i int) bool { return w.plan.Reachable(i, w.course.Now()) }

// finish completes the outcome.
func (w *world) finish() *outcome.Outcome {
	end := w.course.Now()
	out := w.book.close()
	out.End, out.Healed = end, w.course.Healed()
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

// stop ends all peers, and whoever submits, and waits for them.
func (w *world) stop() error {
	w.users.end()
	for i, l := range w.lives {
		if l != nil {
			l.dying, l.again = true, false
			l.cancel()
			w.up[i].Store(false)
		}
	}
	var err error
	for slices.ContainsFunc(w.lives, func(l *life) bool { return l != nil }) {
		err = errors.Join(err, (<-w.told)())
	}
	w.users.wait()
	return err
}
