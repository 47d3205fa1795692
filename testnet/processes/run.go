package processes

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/testnet/course"
	"grapevine/testnet/local"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// world is a run of a scenario. One goroutine owns it, which is its course's.
type world struct {
	plan    *scenario.Plan
	course  *course.Course
	net     *local.Session
	clients []*api.Client
	lives   []*local.Started // by peer; nil: it does not run
	told    chan func() error
	out     *outcome.Outcome

	counting   bool    // from just before the load on
	from, last []tally // what a peer's present life had counted when counting began, and now
	past       []tally // what its lives before counted since then

	loads   sync.WaitGroup
	due     chan int // blocks that are to be handed in
	loading bool
}

const (
	// ahead is how long before the first block, or transaction, counting begins: all
	// peers are asked by then.
	ahead = 500 * time.Millisecond
	// lookEvery is how often the peers are asked whether they have come to rest.
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
	w, err := newWorld(cfg, plan, protocol, progress)
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
	if err := w.course.Run(ctx); err != nil {
		return nil, err
	}
	return w.out, w.finish(ctx)
}

func newWorld(cfg local.Config, plan *scenario.Plan, protocol string, progress func(float64)) (*world, error) {
	cfg.Peers, cfg.Settings = plan.Peers, settings(plan)
	cfg.Own = func(peer int) map[string]string {
		return map[string]string{"seed": fmt.Sprint(plan.Random("node", uint64(peer)).Int64())}
	}
	net, err := local.Begin(cfg)
	if err != nil {
		return nil, err
	}
	ends, blocks := plan.Peers, 0 // what there can be of them
	for _, e := range plan.Events {
		ends += len(e.Peers)
		if e.Kind == scenario.Propose {
			blocks++
		}
	}
	w := &world{
		plan: plan, net: net, lives: make([]*local.Started, plan.Peers),
		told: make(chan func() error, ends+1), due: make(chan int, blocks),
		from: make([]tally, plan.Peers), last: make([]tally, plan.Peers), past: make([]tally, plan.Peers),
		out: &outcome.Outcome{Protocol: protocol, World: scenario.Processes, Seed: plan.Seed, Peers: make([]outcome.Peer, plan.Peers), Sampled: true},
	}
	w.course = &course.Course{Plan: plan, Stage: w, Told: w.told, LookEvery: lookEvery, Ahead: ahead, Progress: progress}
	for _, p := range net.Peers {
		w.clients = append(w.clients, api.Dial(p.API))
	}
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
	w.course.Start(time.Now())
	return nil
}

// follow takes note of a peer that was started, and of its end.
func (w *world) follow(s *local.Started) {
	w.lives[s.Peer.Index] = s
	go func() {
		<-s.Ended
		w.told <- func() error {
			if w.lives[s.Peer.Index] != s {
				return nil // it was killed
			}
			return fmt.Errorf("%s ended by itself; the end of %s:\n%s", s.Peer.Name(), s.Peer.Log(), s.Tail())
		}
	}()
}

// Begin implements course.Stage: from here on it counts.
func (w *world) Begin(ctx context.Context) error {
	if err := w.count(ctx, w.running(), w.from); err != nil {
		return err
	}
	w.counting, w.loading = true, true
	w.loads.Go(func() {
		err := w.load(ctx)
		w.told <- func() error {
			w.loading = false
			return err
		}
	})
	return nil
}

// Happen implements course.Stage.
func (w *world) Happen(ctx context.Context, e scenario.Event) error {
	switch e.Kind {
	case scenario.Propose:
		w.due <- e.Block // has room for all
		return nil
	case scenario.Kill:
		return w.kill(ctx, e.Peers)
	case scenario.Start:
		return w.start(e.Peers)
	}
	panic(fmt.Sprintf("processes: an event of kind %d, which Check lets through", e.Kind))
}

// Settled implements course.Stage: every peer that runs has the same chain, and nothing
// left to put into it.
func (w *world) Settled(ctx context.Context) bool {
	if !w.counting || w.loading {
		return false
	}
	states, err := w.states(ctx, w.running())
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

// Note implements course.Stage.
func (w *world) Note(ctx context.Context) error { return w.count(ctx, w.running(), w.last) }

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
		w.out.Peers[i].Gone(w.course.Now())
	}
	return err
}

// start starts peers, for the first time or again, and does not wait for them.
func (w *world) start(peers []int) error {
	for _, i := range peers {
		w.out.Peers[i].Back(w.course.Now())
	}
	starts, err := w.net.Start(peers)
	for _, s := range starts {
		w.follow(s)
	}
	return err
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
