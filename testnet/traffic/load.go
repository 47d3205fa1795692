package traffic

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
)

// Load is a stream of transactions at a fixed rate.
type Load struct {
	Rate     float64 // transactions a second
	Duration time.Duration
	Size     int // bytes of payload
	Senders  int // keys that take turns; zero means 100
	Sender   Deliverer
	Genesis  block.ID
	Expiry   func() uint64            // asked for each batch that is signed
	Progress func(offered, total int) // nil: not told
	// Random returns the streams of all that is left to chance, by purpose and number.
	// Nil: others each time.
	Random func(purpose string, number uint64) *rand.Rand
}

// Deliverer hands transactions to peers, who have numbers from 0: a Sender, or whoever
// has peers without an API.
type Deliverer interface {
	Count() int
	Deliver(ctx context.Context, first int, txs []*block.Tx) (Outcome, error)
}

// Result is what a load came to, in the form that is printed.
type Result struct {
	Offered   int      `json:"offered"`    // handed to a peer, or tried to
	Accepted  int      `json:"accepted"`   // acknowledged, by whatever attempt
	Refused   int      `json:"refused"`    // answered with a refusal
	Failed    int      `json:"failed"`     // never answered
	Retried   int      `json:"retried"`    // requests that had to go to another peer
	Late      int      `json:"late"`       // offered more than 100 ms after they were due
	Seconds   float64  `json:"seconds"`    // until the last answer
	Rate      float64  `json:"rate"`       // accepted a second, while offering
	P50       float64  `json:"p50_ms"`     // of the time from due to acknowledged, by request
	P95       float64  `json:"p95_ms"`     //
	Max       float64  `json:"max_ms"`     //
	Reasons   []string `json:"reasons"`    // some of the refusals'
	LastError string   `json:"last_error"` // of those that failed
}

const (
	defaultSenders = 100
	// tick is how often what has come due is sent, in one request to one peer: at 500
	// transactions a second ten together, as a gateway before many clients would.
	tick = 20 * time.Millisecond
	// signAhead is how much is signed before it is due.
	signAhead = 2 * time.Second
	// lateness is what a scheduler on a busy machine may take; above it the
	// generator itself, not the network, would be what is measured.
	lateness = 100 * time.Millisecond
	// inFlight bounds the requests under way. At 50 requests a second it takes
	// peers that are silent for 40 s to reach it; only then is the load not open.
	inFlight = 2000
)

// Run offers the load and returns when everything that was offered is answered
// for, or given up. When ctx ends it offers no more.
func (l Load) Run(ctx context.Context) (Result, error) {
	total := int(l.Rate * l.Duration.Seconds())
	if total < 1 || l.Size < 0 {
		return Result{}, fmt.Errorf("a rate of %v/s for %v with payloads of %d bytes is no transaction: raise them", l.Rate, l.Duration, l.Size)
	}
	if l.Random == nil {
		l.Random = func(string, uint64) *rand.Rand { return rand.New(rand.NewPCG(rand.Uint64(), rand.Uint64())) }
	}
	signCtx, stopSigning := context.WithCancel(ctx)
	defer stopSigning()
	signed := l.sign(signCtx, total)
	run := loadRun{load: l, peers: l.Random("peers", 0), slots: make(chan struct{}, inFlight)}
	start := time.Now()
	run.offer(ctx, start, total, signed)
	offering := time.Since(start)
	run.requests.Wait()
	return run.result(time.Since(start), offering), nil
}

// sign makes transactions ahead of their time.
func (l Load) sign(ctx context.Context, total int) <-chan *block.Tx {
	out := make(chan *block.Tx, max(1, int(l.Rate*signAhead.Seconds())))
	keys := make([]sig.Key, min(total, max(1, orDefault(l.Senders, defaultSenders))))
	for i := range keys {
		var seed [32]byte
		noise(seed[:], l.Random("sender", uint64(i)))
		keys[i] = sig.NewKey(seed)
	}
	go func() {
		defer close(out)
		stream := l.Random("payload", 0)
		var expiry uint64
		for i := range total {
			if i%100 == 0 {
				expiry = l.Expiry()
			}
			txs := Signer{keys[i%len(keys)], l.Genesis, expiry}.Batch(1, l.Size+block.TxOverhead, stream)
			select {
			case out <- txs[0]:
			case <-ctx.Done():
				return
			}
		}
	}()
	return out
}

// loadRun is a load under way.
type loadRun struct {
	load     Load
	peers    *rand.Rand    // draws them; owned by offer
	slots    chan struct{} // one for each request under way
	requests sync.WaitGroup

	mu        sync.Mutex
	outcome   Outcome
	res       Result
	latencies []time.Duration
}

// offer sends what comes due at each tick, until all is offered or ctx ends.
func (r *loadRun) offer(ctx context.Context, start time.Time, total int, signed <-chan *block.Tx) {
	ticker := time.NewTicker(tick)
	defer ticker.Stop()
	for offered := 0; offered < total; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		due := min(total, int(time.Since(start).Seconds()*r.load.Rate)+1)
		var txs []*block.Tx
		for ; offered < due; offered++ {
			t, ok := <-signed
			if !ok {
				break
			}
			txs = append(txs, t)
		}
		if len(txs) == 0 {
			continue
		}
		first := offered - len(txs)
		r.request(ctx, start.Add(time.Duration(float64(first)/r.load.Rate*float64(time.Second))), txs)
		if r.load.Progress != nil {
			r.load.Progress(offered, total)
		}
	}
}

// request hands in what was due since a time, without waiting for the answer.
func (r *loadRun) request(ctx context.Context, due time.Time, txs []*block.Tx) {
	select {
	case r.slots <- struct{}{}:
	case <-ctx.Done():
		return
	}
	late := time.Since(due) > lateness
	peer := r.peers.IntN(r.load.Sender.Count())
	r.requests.Go(func() {
		defer func() { <-r.slots }()
		// What is on its way is seen to its end, even when no more is to be offered.
		out, err := r.load.Sender.Deliver(context.WithoutCancel(ctx), peer, txs)
		r.mu.Lock()
		defer r.mu.Unlock()
		r.outcome.Add(out)
		r.res.Offered += len(txs)
		if late {
			r.res.Late += len(txs)
		}
		if err != nil {
			r.res.Failed += len(txs)
			r.res.LastError = err.Error()
			return
		}
		r.latencies = append(r.latencies, time.Since(due))
	})
}

func (r *loadRun) result(all, offering time.Duration) Result {
	res := r.res
	res.Accepted = r.outcome.Accepted + r.outcome.Duplicate
	res.Refused, res.Retried = r.outcome.Refused+len(r.outcome.Busy), r.outcome.Retried
	res.Seconds = all.Seconds()
	res.Rate = float64(res.Accepted) / max(offering.Seconds(), 1e-9)
	slices.Sort(r.latencies)
	if n := len(r.latencies); n > 0 {
		res.P50, res.P95, res.Max = millis(r.latencies[n/2]), millis(r.latencies[n*95/100]), millis(r.latencies[n-1])
	}
	res.Reasons = []string{}
	for reason := range r.outcome.Reasons {
		res.Reasons = append(res.Reasons, reason)
	}
	slices.Sort(res.Reasons)
	return res
}

// Err says what went wrong, if anything did.
func (r Result) Err() error {
	switch {
	case r.Failed > 0:
		return fmt.Errorf("%d of %d transactions were never answered for: %w", r.Failed, r.Offered, errors.New(r.LastError))
	case r.Refused > 0:
		return fmt.Errorf("%d of %d transactions were refused: %s", r.Refused, r.Offered, r.Reasons[0])
	}
	return nil
}

func millis(d time.Duration) float64 {
	return float64(d.Round(time.Microsecond)) / float64(time.Millisecond)
}

func orDefault(n, def int) int {
	if n == 0 {
		return def
	}
	return n
}
