package scenario

import (
	"cmp"
	"fmt"
	"math"
	"slices"

	"grapevine/internal/spelling"
)

// forever ends what does not.
const forever = Duration(math.MaxInt64)

func (f Fault) validate(v *verdict, what string, s Scenario) {
	v.among(f.Kind, what+".kind", kinds)
	what += " (" + f.Kind + ")"
	v.within(f.At, what+".at", maxTime)
	v.within(f.For, what+".for", maxTime)
	v.want(f.end() == forever || f.end() <= maxTime, "%s ends at %s: want %s at most", what, f.end(), maxTime)
	v.fraction(f.Share, what+".share")
	s.validatePeers(v, what+".peers", f.Peers)
	chosen := 0
	for _, said := range []bool{f.Peers != nil, f.Share != 0, f.Region != "", f.Class != ""} {
		if said {
			chosen++
		}
	}
	v.want(chosen <= 1, "%s says whom it befalls in %d ways: want one of peers, share, region and class", what, chosen)
	v.want(f.Region == "" || s.region(f.Region) >= 0, "%s.region: there is no region %q: %s", what, f.Region, oneOf("region", f.Region, s.regionNames()))
	v.want(f.Class == "" || slices.Contains(s.classNames(), f.Class), "%s.class: there is no class %q: %s", what, f.Class, oneOf("class", f.Class, s.classNames()))
	f.validateKind(v, what)
}

// oneOf says which tables of a scenario could be meant.
func oneOf(table, word string, names []string) string {
	if len(names) == 0 {
		return fmt.Sprintf("the scenario has none: want a table [[%s]], or peers or a share instead", table)
	}
	return spelling.DidYouMean(word, names)
}

// validateKind wants the values that the kind has, and no others.
func (f Fault) validateKind(v *verdict, what string) {
	if f.Kind == Loss {
		v.want(f.Loss > 0, "%s.loss %v: want more than 0", what, f.Loss)
		v.loss(f.Loss, what+".loss")
	} else {
		v.want(f.Loss == 0, "%s.loss %v: want it in a fault of kind %q alone", what, f.Loss, Loss)
	}
	if f.Kind == Slow {
		v.rate(f.Rate, what+".rate")
	} else {
		v.want(f.Rate == 0, "%s.rate %s: want it in a fault of kind %q alone", what, f.Rate, Slow)
	}
	if f.Kind == Join {
		v.want(f.At > 0, "%s.at 0s: who is there from the beginning does not join: want more", what)
		v.want(f.For == 0, "%s.for %s: who has joined stays; a fault of kind %q takes it away again", what, f.For, Crash)
		v.want(!slices.Contains(f.Peers, 0), "%s.peers: 0 is the orderer, without whom there is nothing to join: want others", what)
	}
}

// called is what errors call the fault: where it stands, or who asked for it.
func (f Fault) called(i int) string {
	if f.Flag != "" {
		return fmt.Sprintf("%s %v", f.Flag, f.Share)
	}
	return fmt.Sprintf("fault[%d] (%s)", i, f.Kind)
}

// end returns when the fault is over.
func (f Fault) end() Duration {
	if f.For == 0 {
		return forever
	}
	return f.At + f.For
}

func (s Scenario) classNames() []string {
	names := make([]string, len(s.Classes))
	for i, c := range s.Classes {
		names[i] = c.Name
	}
	return names
}

// span is when something of a sort is true of a peer, and by which fault.
type span struct {
	sort       string
	from, upto Duration
	fault      int
}

// span is when the fault is true of whom it befalls. Not yet and no longer being there
// are of one sort: who is not there does not crash.
func (f Fault) span(i int) span {
	switch f.Kind {
	case Join:
		return span{"away", 0, f.At, i}
	case Crash:
		return span{"away", f.At, f.end(), i}
	}
	return span{f.Kind, f.At, f.end(), i}
}

// resolver turns faults into events.
type resolver struct {
	*Plan
	spans        [][]span // by peer
	ends, begins []Event
}

// resolve finds whom each fault befalls, in the order of the file, and what happens.
func (r *resolver) resolve() error {
	r.spans = make([][]span, r.Peers)
	for i, f := range r.Faults {
		peers, err := r.befallen(i, f)
		if err != nil {
			return err
		}
		for _, p := range peers {
			r.spans[p] = append(r.spans[p], f.span(i))
		}
		r.happen(i, f, peers)
	}
	return nil
}

// clash returns the fault that keeps another from befalling a peer.
func (r *resolver) clash(peer int, s span) (fault int, ok bool) {
	for _, o := range r.spans[peer] {
		if o.sort == s.sort && o.from < s.upto && s.from < o.upto {
			return o.fault, true
		}
	}
	return 0, false
}

// befallen returns the peers of a fault, ascending.
func (r *resolver) befallen(i int, f Fault) ([]int, error) {
	what := f.called(i)
	if f.Share > 0 {
		return r.draw(i, f, what)
	}
	peers := r.named(f)
	if len(peers) == 0 {
		return nil, fmt.Errorf("%s befalls nobody: region %q or class %q has no peer here: want more peers, or another seed", what, f.Region, f.Class)
	}
	if f.Kind == Join && peers[0] == 0 {
		return nil, fmt.Errorf("%s befalls peer 0, the orderer, without whom there is nothing to join: name peers, or a share", what)
	}
	if f.Kind == Cut && len(peers) == r.Peers {
		return nil, fmt.Errorf("%s befalls all peers, and leaves nobody to be cut off from: want some", what)
	}
	for _, p := range peers {
		if o, ok := r.clash(p, f.span(i)); ok {
			return nil, fmt.Errorf("%s befalls peer %d while %s does: want another time, or other peers", what, p, r.Faults[o].called(o))
		}
	}
	return peers, nil
}

// named returns the peers that a fault says by anything but a share.
func (r *resolver) named(f Fault) []int {
	var peers []int
	region := r.region(f.Region)
	for p := range r.Peers {
		var in bool
		switch {
		case f.Region != "":
			in = r.PeerPlans[p].Region == region
		case f.Class != "":
			in = r.PeerPlans[p].Class == f.Class
		default:
			in = f.Peers == nil && p != 0
		}
		if in {
			peers = append(peers, p)
		}
	}
	return append(peers, slices.Sorted(slices.Values(f.Peers))...)
}

// draw returns a share of all peers, but never the orderer.
func (r *resolver) draw(i int, f Fault, what string) ([]int, error) {
	want := min(max(int(math.Round(f.Share*float64(r.Peers))), 1), r.Peers-1)
	var peers []int
	for _, p := range r.Random("fault", uint64(i)).Perm(r.Peers) {
		if _, clash := r.clash(p, f.span(i)); p != 0 && !clash && len(peers) < want {
			peers = append(peers, p)
		}
	}
	if len(peers) < want && f.Flag != "" {
		return nil, fmt.Errorf("%s is %d peers, and the scenario's own faults leave %d for it: want less", what, want, len(peers))
	}
	if len(peers) < want {
		return nil, fmt.Errorf("%s.share %v is %d peers, and only %d are there without such a fault at that time: want less, or another time", what, f.Share, want, len(peers))
	}
	slices.Sort(peers)
	return peers, nil
}

// happen notes how the fault begins and ends.
func (r *resolver) happen(i int, f Fault, peers []int) {
	begin := Event{At: f.At.D(), Peers: peers, Fault: i}
	end := Event{At: f.end().D(), Peers: peers, Fault: i}
	switch f.Kind {
	case Cut:
		begin.Kind, end.Kind = CutOff, Mend
	case Crash:
		begin.Kind, end.Kind = Kill, Start
	case Loss:
		begin.Kind, end.Kind = SetLoss, SetLoss
		begin.Loss = f.Loss
	case Slow:
		begin.Kind, end.Kind = SetRate, SetRate
		begin.Rate = f.Rate
	case Withhold:
		begin.Kind, end.Kind = SetWithhold, SetWithhold
		begin.On = true
	case Join: // its end is that they are there
		end.Kind, end.At = Start, f.At.D()
		for _, p := range peers {
			r.PeerPlans[p].Joins = f.At.D()
		}
	}
	if f.Kind != Join {
		r.begins = append(r.begins, begin)
	}
	if end.At != forever.D() {
		r.ends = append(r.ends, end)
	}
}

// attended refuses faults that leave nobody to get a block: whoever is not the orderer
// is gone by the first one, and never comes back.
func (p *Plan) attended() error {
	first := p.Load.First.D()
	if i := slices.IndexFunc(p.Events, func(e Event) bool { return e.Kind == Propose }); i >= 0 {
		first = p.Events[i].At
	} else if p.Load.TxRate == 0 {
		return nil
	}
	for peer := 1; peer < p.Peers; peer++ {
		if p.Alive(peer, first) {
			return nil
		}
	}
	for _, e := range p.Events {
		if e.At > first && e.Kind == Start && !slices.Equal(e.Peers, []int{0}) {
			return nil
		}
	}
	for i, f := range p.Faults {
		if f.Flag != "" {
			return fmt.Errorf("%s leaves nobody of %d peers but the orderer: want less, or more peers", f.called(i), p.Peers)
		}
	}
	return fmt.Errorf("its faults leave nobody but the orderer from the first block on, at %s: want some that befall fewer, or end", first)
}

// byTime orders events.
func byTime(a, b Event) int { return cmp.Compare(a.At, b.At) }
