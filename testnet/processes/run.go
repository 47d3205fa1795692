package processes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/testnet/local"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// world is a run of a scenario. One goroutine owns it.
type world struct {
	plan    *scenario.Plan
	net     *local.Session
	clients []*api.Client
	lives   []*local.Started    // by peer; nil: it does not run
	ends    chan *local.Started // whose process has ended
	t0      time.Time           // when the network stood
	events  []scenario.Event
	out     *outcome.Outcome

	counting bool    // from just before the load on
	from     []tally // what a peer's present life had counted when counting began
	past     []tally // what its lives before counted since then

	loads   sync.WaitGroup
	loaded  chan error // gets the load's end
	loading bool
}

const (
	// ahead is how long before the first block, or transaction, counting begins: all
	// peers are asked by then.
	ahead = 500 * time.Millisecond
	// tail is how long traffic counts after the last acceptance.
	tail = time.Second
	// lookEvery is how often the peers are asked whether they have come to rest, when
	// nothing more is to happen.
	lookEvery = 100 * time.Millisecond
	// stopPatience is how long peers may take to stop in order, twenty on two cores.
	stopPatience = 20 * time.Second
)

// Run plays the plan with one protocol, with processes in cfg.Dir, which may not hold a
// testnet yet; who the peers are and what they are told is the plan's. Progress (may be nil) is told
// the share done, 0…1. No process is left when it returns; logs and ledgers are.
func Run(ctx context.Context, cfg local.Config, plan *scenario.Plan, protocol string, progress func(float64)) (_ *outcome.Outcome, err error) {
	if err := Check(plan); err != nil {
		return nil, err
	}
	if progress == nil {
		progress = func(float64) {}
	}
	w, err := newWorld(cfg, plan, protocol)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer func() {
		cancel()
		err = errors.Join(err, w.close(err == nil))
	}()
	if err := w.stand(ctx); err != nil {
		return nil, err
	}
	if err := w.play(ctx, progress); err != nil {
		return nil, err
	}
	return w.out, w.finish(ctx)
}

func newWorld(cfg local.Config, plan *scenario.Plan, protocol string) (*world, error) {
	cfg.Peers, cfg.Settings = plan.Peers, settings(plan, protocol)
	cfg.Own = func(peer int) map[string]string {
		return map[string]string{"seed": fmt.Sprint(plan.Random("node", uint64(peer)).Int64())}
	}
	net, err := local.Begin(cfg)
	if err != nil {
		return nil, err
	}
	starts := plan.Peers
	w := &world{
		plan: plan, net: net, lives: make([]*local.Started, plan.Peers),
		from: make([]tally, plan.Peers), past: make([]tally, plan.Peers), loaded: make(chan error, 1),
		out: &outcome.Outcome{Protocol: protocol, World: scenario.Processes, Seed: plan.Seed, Peers: make([]outcome.Peer, plan.Peers), Sampled: true},
	}
	for _, p := range net.Peers {
		w.clients = append(w.clients, api.Dial(p.API))
	}
	for _, e := range plan.Events {
		if e.Kind != scenario.Propose { // which is the load's
			w.events = append(w.events, e)
			starts += len(e.Peers)
		}
	}
	w.ends = make(chan *local.Started, starts) // room for all that can end
	return w, nil
}

// stand starts whoever is there from the beginning, and waits until they are connected.
func (w *world) stand(ctx context.Context) error {
	var first []int
	for i, p := range w.plan.PeerPlans {
		if p.Joins == 0 {
			first = append(first, i)
		} else {
			w.out.Peers[i].Gone(0)
		}
	}
	starts, err := w.net.Start(first)
	if err != nil {
		return err
	}
	if err := w.net.Await(ctx, starts); err != nil {
		return err
	}
	for _, s := range starts {
		w.follow(s)
	}
	w.t0 = time.Now()
	return nil
}

// follow takes note of a peer that was started, and of its end.
func (w *world) follow(s *local.Started) {
	w.lives[s.Peer.Index] = s
	go func() {
		<-s.Ended
		w.ends <- s
	}()
}

// now returns how long the network has stood.
func (w *world) now() time.Duration { return time.Since(w.t0) }

// play has everything happen when it is due, and returns when nothing more is to come,
// or time is up.
func (w *world) play(ctx context.Context, progress func(float64)) error {
	look := time.NewTicker(lookEvery)
	defer look.Stop()
	timer := time.NewTimer(0)
	defer timer.Stop()
	var rest <-chan time.Time // when the peers have rested for long enough
	for {
		timer.Reset(time.Until(w.t0.Add(w.next())))
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case s := <-w.ends:
			if w.lives[s.Peer.Index] == s {
				return fmt.Errorf("%s ended by itself; the end of %s:\n%s", s.Peer.Name(), s.Peer.Log(), s.Tail())
			}
		case err := <-w.loaded:
			if w.loading = false; err != nil {
				return err
			}
		case <-timer.C:
			if err := w.due(ctx); err != nil {
				return err
			}
		case <-look.C:
			progress(min(1, float64(w.now())/float64(w.plan.Quiet()+tail)))
			if rest == nil && w.rests(ctx) {
				rest = time.After(tail)
			}
		case <-rest:
			return nil
		}
		if w.now() >= w.plan.End() {
			return nil
		}
	}
}

// next returns when something is due.
func (w *world) next() time.Duration {
	next := w.plan.End()
	if len(w.events) > 0 {
		next = min(next, w.events[0].At)
	}
	if !w.counting {
		next = min(next, w.begin())
	}
	return next
}

// begin returns when counting does.
func (w *world) begin() time.Duration {
	if w.plan.Load.Blocks == 0 {
		return 0
	}
	return max(0, w.plan.Load.First.D()-ahead)
}

func (w *world) due(ctx context.Context) error {
	if !w.counting && w.now() >= w.begin() {
		if err := w.count(ctx, w.running(), w.from); err != nil {
			return err
		}
		w.counting, w.loading = true, true
		w.loads.Go(func() { w.loaded <- w.load(ctx) })
	}
	for len(w.events) > 0 && w.now() >= w.events[0].At {
		e := w.events[0]
		w.events = w.events[1:]
		var err error
		if e.Kind == scenario.Kill {
			err = w.kill(ctx, e.Peers)
		} else { // Check lets nothing else through
			err = w.start(e.Peers)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// running returns the peers that run.
func (w *world) running() []int {
	var up []int
	for i, s := range w.lives {
		if s != nil {
			up = append(up, i)
		}
	}
	return up
}

// kill ends peers by SIGKILL, and returns when they are gone. What they have counted is
// asked of them just before.
func (w *world) kill(ctx context.Context, peers []int) error {
	peers = slices.DeleteFunc(slices.Clone(peers), func(i int) bool { return w.lives[i] == nil })
	last := make([]tally, len(w.lives))
	if err := w.count(ctx, peers, last); err != nil {
		return err
	}
	dying := make([]*local.Started, len(peers))
	for k, i := range peers {
		if w.counting {
			w.past[i] = w.past[i].plus(last[i]).minus(w.from[i])
		}
		w.from[i] = tally{} // its next life counts from nothing
		dying[k], w.lives[i] = w.lives[i], nil
	}
	err := w.net.Kill(dying)
	for _, i := range peers {
		w.out.Peers[i].Gone(w.now())
	}
	return err
}

// start starts peers, for the first time or again, and does not wait for them.
func (w *world) start(peers []int) error {
	for _, i := range peers {
		w.out.Peers[i].Back(w.now())
	}
	w.out.Healed = w.now()
	starts, err := w.net.Start(peers)
	for _, s := range starts {
		w.follow(s)
	}
	return err
}

// rests says whether all has happened, and every peer that runs has the same chain and
// nothing left to put into it.
func (w *world) rests(ctx context.Context) bool {
	if len(w.events) > 0 || !w.counting || w.loading {
		return false
	}
	peers := w.running()
	states, err := w.states(ctx, peers)
	if err != nil {
		return false // somebody is not up yet
	}
	for _, s := range states {
		if s.PoolTxs > 0 || s.Height != states[0].Height {
			return false
		}
	}
	return true
}

// close ends all processes, in order if the run was good, and what this one has for
// them.
func (w *world) close(good bool) error {
	patience := time.Duration(0)
	if good {
		patience = stopPatience
	}
	stopped, err := w.net.End(patience)
	for _, s := range stopped {
		if good && s.How == "killed" {
			err = errors.Join(err, fmt.Errorf("peer %d had not stopped %v after SIGTERM", s.Peer, patience))
		}
	}
	w.loads.Wait()
	for _, c := range w.clients {
		c.Close()
	}
	return err
}
