package scenario

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"time"

	"grapevine/block"
)

// Bounds of random scenarios.
const (
	// fewBytes bounds what all peers together receive of bodies, so that one run is a
	// matter of a second.
	fewBytes   = 64 << 20
	largeBlock = 512 << 10
	packet     = 1452 // QUIC's, on an MTU of 1,500
	maxFaults  = 4
)

// Random returns a small scenario in the event world, drawn from a seed: anything that
// a core has to bear, to find what it does not. It is always valid. Its faults begin
// while there are blocks, or soon after; each ends or is final, and Checks.Reach then
// gives time enough (see patience) for all that a working protocol could still have to
// do. So whoever lives, is reachable and has not got the tip by then was forgotten.
func Random(seed uint64) Scenario {
	d := dice{rand.New(rand.NewPCG(Mix(seed), Mix(^seed)))}
	s := Defaults()
	s.Name = fmt.Sprintf("random-%d", seed)
	s.About = "drawn from a seed"
	s.Seed = seed &^ (1 << 63)
	s.Peers = d.between(2, 60)
	if d.once(10) {
		s.Peers = d.between(61, 200)
	}
	s.Membership = pick(d, Static, Static, Live, Auto)
	if s.Peers > 60 { // the membership of many for minutes takes minutes to simulate
		s.Membership = Static
	}
	s.Link = d.link()
	d.load(&s)
	d.places(&s)
	d.faults(&s)
	d.settings(&s)
	s.Checks.Reach = s.patience()
	return s
}

// dice draws values.
type dice struct{ *rand.Rand }

// once is true once in n times.
func (d dice) once(n int) bool { return d.IntN(n) == 0 }

// between draws a number, both ends included.
func (d dice) between(least, most int) int { return least + d.IntN(most-least+1) }

// scale draws a number whose logarithm is even, so that small ones are not rare.
func (d dice) scale(least, most float64) float64 {
	return least * math.Exp(d.Float64()*math.Log(most/least))
}

// time draws whole milliseconds.
func (d dice) time(least, most time.Duration) Duration {
	return Duration(time.Duration(d.between(int(least.Milliseconds()), int(most.Milliseconds()))) * time.Millisecond)
}

// thousandths draws a share.
func (d dice) thousandths(least, most int) float64 { return float64(d.between(least, most)) / 1000 }

func (d dice) rate(least, most float64) Rate {
	return Rate(d.scale(least, most)) / 1e5 * 1e5
}

func pick[T any](d dice, from ...T) T { return from[d.IntN(len(from))] }

func (d dice) link() Link {
	l := Link{Up: d.rate(2e6, 1e9), Latency: d.time(time.Millisecond, 200*time.Millisecond)}
	l.Down = l.Up
	if d.once(4) {
		l.Down = d.rate(2e6, 1e9)
	}
	if d.once(3) {
		l.Jitter = d.time(time.Millisecond, l.Latency.D())
	}
	if d.once(3) {
		l.Loss = d.thousandths(1, 200)
	}
	return l
}

func (d dice) load(s *Scenario) {
	l := &s.Load
	l.First = d.time(0, 3*time.Second)
	l.Every = d.time(100*time.Millisecond, pick(d, time.Second, 5*time.Second))
	l.TxSize = Bytes(d.scale(block.TxOverhead, 2000))
	if d.once(10) {
		l.TxSize = Bytes(d.scale(block.TxOverhead, maxTx))
	}
	l.BlockSizes = nil
	largest := l.TxSize
	for range d.between(1, 3) {
		size := l.TxSize
		if !d.once(5) {
			size = Bytes(d.scale(float64(l.TxSize), largeBlock))
		}
		largest = max(largest, size)
		l.BlockSizes = append(l.BlockSizes, size)
	}
	l.Blocks = d.between(1, pick(d, 5, 12, 60)) // catch-up begins at a gap of two dozen
	l.Blocks = min(l.Blocks, max(1, fewBytes/(int(largest)*s.Peers)))
	l.Warm = pick(d, 0, 0, 1, 0.95, d.thousandths(0, 1000), d.thousandths(900, 1000))
}

// places puts some peers into classes and regions.
func (d dice) places(s *Scenario) {
	if d.once(3) {
		for i := range d.between(1, 2) {
			s.Classes = append(s.Classes, Class{Name: fmt.Sprint("c", i), Share: d.thousandths(50, 400), Link: d.link()})
		}
	}
	if !d.once(4) {
		return
	}
	for i := range d.between(2, 4) {
		r := Region{Name: fmt.Sprint("r", i), Weight: float64(d.between(1, 9)), Latency: map[string]Duration{}}
		for j := range i + 1 {
			r.Latency[fmt.Sprint("r", j)] = d.time(time.Millisecond, 200*time.Millisecond)
		}
		s.Regions = append(s.Regions, r)
	}
}

// faults adds some. One that clashes with those before it, or that befalls nobody, is
// left out again.
func (d dice) faults(s *Scenario) {
	over := s.Load.First.D() + time.Duration(s.Load.Blocks)*s.Load.Every.D()
	for range d.between(0, maxFaults) {
		before := s.Faults
		s.Faults = append(slices.Clip(before), d.fault(s, over+2*time.Second))
		if _, err := s.Plan(); err != nil {
			s.Faults = before
		}
	}
}

func (d dice) fault(s *Scenario, before time.Duration) Fault {
	f := Fault{Kind: pick(d, Cut, Crash, Loss, Slow, Join), At: d.time(time.Millisecond, before)}
	if f.Kind != Join && !d.once(3) {
		f.For = d.time(100*time.Millisecond, pick(d, 2*time.Second, 20*time.Second))
	}
	switch f.Kind {
	case Loss:
		f.Loss = d.thousandths(1, 200)
		if f.For != 0 && d.once(3) {
			f.Loss = d.thousandths(200, 900)
		}
	case Slow:
		f.Rate = d.rate(1e6, 1e8)
	}
	switch ways := d.IntN(8); {
	case ways == 0 && len(s.Classes) > 0:
		f.Class = pick(d, s.Classes...).Name
	case ways == 1 && len(s.Regions) > 0:
		f.Region = pick(d, s.Regions...).Name
	case ways == 2 && f.For != 0: // everybody
	case ways <= 4: // who these are does not matter, but the orderer is a case of its own
		f.Peers = d.Perm(s.Peers)[:d.between(1, max(1, s.Peers/3))]
		slices.Sort(f.Peers)
	default:
		f.Share = d.thousandths(20, 500)
	}
	return f
}

// settings varies the protocol's, where it can still keep its promise: a peer that
// missed an announcement needs pull or catch-up, and one that starts anew may find
// nobody who still has in memory what pull is answered from.
func (d dice) settings(s *Scenario) {
	if !d.once(3) {
		return
	}
	set := &s.Settings
	set.Mode = pick(d, modes...)
	set.Fanout = pick(d, 0, d.between(1, 16))
	set.PullEvery = pick(d, 0, d.time(200*time.Millisecond, 8*time.Second))
	set.FetchTimeout = pick(d, 0, d.time(100*time.Millisecond, 3*time.Second))
	starts := slices.ContainsFunc(s.Faults, func(f Fault) bool { return f.Kind == Crash || f.Kind == Join })
	set.NoCatchup = d.once(2) && set.Mode != "push" && !starts
}

// patience is how long a working protocol may take to bring everything to everybody,
// if it begins when the network is quiet and all goes as badly as it can: every body
// goes to each peer from one uplink, the slowest, and over one connection, which under
// loss carries no more than the least window of its congestion control (two packets)
// in a round trip. That twice, for what is sent again, and two minutes for time-outs,
// penalties and dials (each below 40 s).
func (s Scenario) patience() Duration {
	links, loss := []Link{s.Link}, 0.0
	for _, c := range s.Classes {
		links = append(links, s.Link.over(c.Link))
	}
	rate, way, jitter := s.Link.Up, Duration(0), Duration(0)
	for _, l := range links {
		rate, way = min(rate, l.Up, l.Down), max(way, l.Latency)
		jitter, loss = max(jitter, l.Jitter), max(loss, l.Loss)
	}
	for _, r := range s.Regions {
		for _, d := range r.Latency {
			way = max(way, d)
		}
	}
	keep := 1 - loss
	for _, f := range s.Faults {
		if f.Kind == Slow {
			rate = min(rate, f.Rate)
		}
		if f.Kind == Loss && f.For == 0 {
			keep *= (1 - f.Loss) * (1 - f.Loss) // of the sender and of the receiver
		}
	}
	var bytes float64
	for i := range s.Load.Blocks {
		bytes += float64(max(s.Load.TxSize, s.Load.BlockSizes[i%len(s.Load.BlockSizes)]))
	}
	seconds := bytes * 8 * float64(s.Peers) / float64(rate)
	if keep < 1 {
		seconds += bytes / (2 * packet * keep) * 2 * (way + jitter).D().Seconds()
	}
	return Duration(2*time.Minute) + Duration(2*math.Ceil(seconds))*Duration(time.Second)
}
