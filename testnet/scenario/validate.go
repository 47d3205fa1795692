package scenario

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"
	"unicode"

	"grapevine/block"
	"grapevine/dissemination/fresh"
	"grapevine/internal/spelling"
)

// Bounds that the command line's flags have, too.
const (
	MinPeers  = 2
	MaxPeers  = 100_000 // ten times the largest that is measured
	MaxBlocks = 100_000
)

// Bounds of what a scenario may ask for.
const (
	maxLive   = 5_000 // full views of more do not fit
	maxRate   = 100e9 // bits a second; rates are in fixed point
	minRate   = 1e3   // a packet of 1,500 bytes takes 12 s
	maxDelay  = Duration(10 * time.Second)
	maxTime   = Duration(24 * time.Hour) // nobody waits for more
	maxItems  = 100                      // faults, classes, regions: more is no story; it bounds the plan
	maxSizes  = 1_000
	maxTxRate = 100_000 // ten times what a network is made for

	// The limits of a genesis that says nothing of them, as all worlds make it.
	maxTx   = 64 << 10
	maxBody = 4 << 20
	maxTxs  = 10_000
)

// verdict keeps the first complaint.
type verdict struct{ err error }

func (v *verdict) want(ok bool, format string, args ...any) {
	if !ok && v.err == nil {
		v.err = fmt.Errorf(format, args...)
	}
}

// among wants value to be one of a few words.
func (v *verdict) among(value, what string, words []string) {
	if !slices.Contains(words, value) {
		v.want(false, "%s %q: %s", what, value, spelling.DidYouMean(value, words))
	}
}

// within wants a duration from none to most.
func (v *verdict) within(d Duration, what string, most Duration) {
	v.want(d >= 0 && d <= most, "%s %s: want 0s to %s", what, d, most)
}

// fraction wants a number from 0 to 1; NaN is none.
func (v *verdict) fraction(f float64, what string) {
	v.want(f >= 0 && f <= 1, "%s %v: want 0 to 1", what, f)
}

func (v *verdict) rate(r Rate, what string) {
	v.want(r >= minRate && r <= maxRate, "%s %s: want %s to %s", what, r, Rate(minRate), Rate(maxRate))
}

// loss wants what leaves some packets.
func (v *verdict) loss(f float64, what string) {
	v.want(f >= 0 && f < 1, "%s %v: want 0 to less than 1; a fault of kind %q loses all", what, f, Cut)
}

// Validate returns the first impossible value: what it is, and what it should be. What
// only a drawn network shows, Plan finds.
func (s Scenario) Validate() error {
	v := &verdict{}
	s.validateHead(v)
	s.Settings.validate(v)
	s.Load.validate(v, s.World)
	s.Link.validate(v, "link")
	s.validateClasses(v)
	s.validateRegions(v)
	v.want(len(s.Faults) <= maxItems, "%d faults: want %d at most", len(s.Faults), maxItems)
	for i, f := range s.Faults {
		f.validate(v, fmt.Sprintf("fault[%d]", i), s)
	}
	s.Checks.validate(v)
	return v.err
}

func (s Scenario) validateHead(v *verdict) {
	v.want(s.Name == "" || oneLine(s.Name), "name %q: want one line", s.Name)
	v.want(s.About == "" || oneLine(s.About), "about %q: want one line", s.About)
	v.want(s.Seed <= math.MaxInt64, "seed %d: want 0 to 2^63-1: TOML's integers have a sign", s.Seed)
	v.want(s.Peers >= MinPeers && s.Peers <= MaxPeers, "peers %d: want %d to %d", s.Peers, MinPeers, MaxPeers)
	v.want(s.Uneven >= 0 && s.Uneven < 1, "uneven %v: want 0 to less than 1", s.Uneven)
	v.among(s.World, "world", worlds)
	v.among(s.Membership, "membership", memberships)
	v.want(s.Membership != Live || s.Peers <= maxLive, "membership live with %d peers: full views go to %d: use auto or static, or fewer peers", s.Peers, maxLive)
	v.want(len(s.Protocols) > 0, "protocols []: want one at least of %s", strings.Join(protocols, ", "))
	for i, p := range s.Protocols {
		v.among(p, "protocols:", protocols)
		v.want(!slices.Contains(s.Protocols[:i], p), "protocols: %q stands there twice: leave one out", p)
	}
	v.within(s.Duration, "duration", maxTime)
}

// oneLine says whether a text is one line that a terminal can print.
func oneLine(text string) bool {
	return strings.TrimSpace(text) != "" && !strings.ContainsFunc(text, func(r rune) bool { return !unicode.IsPrint(r) })
}

func (s Settings) validate(v *verdict) {
	if s.Mode != "" {
		v.among(s.Mode, "settings.mode", modes)
	}
	v.want(s.Fanout >= 0 && s.Fanout <= fresh.MaxFanout, "settings.fanout %d: want 0 to %d", s.Fanout, fresh.MaxFanout)
	v.within(s.PullEvery, "settings.pull_every", maxTime)
	v.within(s.FetchTimeout, "settings.fetch_timeout", Duration(fresh.MaxFetchTimeout))
}

func (l Load) validate(v *verdict, world string) {
	v.want(l.Blocks >= 0 && l.Blocks <= MaxBlocks, "load.blocks %d: want 0 to %d", l.Blocks, MaxBlocks)
	v.within(l.First, "load.first", maxTime)
	v.want(l.Every > 0 && l.Every <= maxTime, "load.every %s: want more than 0s, and %s at most", l.Every, maxTime)
	v.want(v.err != nil || Duration(l.Blocks) <= (maxTime-l.First)/l.Every, "load.blocks %d, one every %s: that is more than %s: want fewer or faster", l.Blocks, l.Every, maxTime)
	v.want(l.TxSize >= block.TxOverhead && l.TxSize <= maxTx, "load.tx_size %s: want %s (a transaction without payload) to %s", l.TxSize, Bytes(block.TxOverhead), Bytes(maxTx))
	v.want(len(l.BlockSizes) > 0 && len(l.BlockSizes) <= maxSizes, "load.block_sizes has %d sizes: want 1 to %d", len(l.BlockSizes), maxSizes)
	for _, b := range l.BlockSizes {
		v.want(b > 0 && b <= maxBody, "load.block_sizes: %s: want 1B to %s", b, Bytes(maxBody))
		v.want(v.err != nil || b/l.TxSize <= maxTxs, "load.block_sizes: %s in transactions of %s: a block has %d at most: want a larger tx_size", b, l.TxSize, maxTxs)
	}
	v.fraction(l.Warm, "load.warm")
	v.fraction(l.Young, "load.young")
	v.want(l.TxRate >= 0 && l.TxRate <= maxTxRate, "load.tx_rate %v: want 0 to %d a second", l.TxRate, maxTxRate)
	if l.TxRate > 0 {
		v.want(world != Events, "load.tx_rate %v in the event world: its orderer makes blocks by block_sizes: leave it out, or take world %q or %q", l.TxRate, Packets, Processes)
		v.want(l.Warm == 0, "load.warm %v with a tx_rate: users' transactions spread by themselves: leave one of them out", l.Warm)
		v.want(l.Young == 0, "load.young %v with a tx_rate: users' transactions are as young as they are: leave one of them out", l.Young)
		v.want(l.Blocks > 0, "load.tx_rate %v with no blocks: nothing would be submitted: want blocks", l.TxRate)
	}
}

func (l Link) validate(v *verdict, what string) {
	v.rate(l.Up, what+".up")
	v.rate(l.Down, what+".down")
	v.within(l.Latency, what+".latency", maxDelay)
	v.within(l.Jitter, what+".jitter", maxDelay)
	v.loss(l.Loss, what+".loss")
}

// over returns the link with what the class says instead.
func (l Link) over(c Link) Link {
	if c.Up != 0 {
		l.Up = c.Up
	}
	if c.Down != 0 {
		l.Down = c.Down
	}
	if c.Latency != 0 {
		l.Latency = c.Latency
	}
	if c.Jitter != 0 {
		l.Jitter = c.Jitter
	}
	if c.Loss != 0 {
		l.Loss = c.Loss
	}
	return l
}

func (s Scenario) validateClasses(v *verdict) {
	v.want(len(s.Classes) <= maxItems, "%d classes: want %d at most", len(s.Classes), maxItems)
	class := map[int]string{}
	sum := 0.0
	for i, c := range s.Classes {
		what := fmt.Sprintf("class[%d]", i)
		v.want(oneLine(c.Name), "%s.name %q: want a name, on one line", what, c.Name)
		v.want(!slices.ContainsFunc(s.Classes[:i], func(o Class) bool { return o.Name == c.Name }), "%s.name %q: another class has it: want a name of its own", what, c.Name)
		v.fraction(c.Share, what+".share")
		v.want((c.Share > 0) != (c.Peers != nil), "%s (%s): want its share or its peers, and not both", what, c.Name)
		s.validatePeers(v, what+".peers", c.Peers)
		for _, p := range c.Peers {
			v.want(class[p] == "", "%s.peers: peer %d is in class %q too: a peer is in one", what, p, class[p])
			class[p] = c.Name
		}
		sum += c.Share
		s.Link.over(c.Link).validate(v, what)
	}
	// The shares of a sum such as 0.1 + 0.2 + 0.7 are not exact.
	v.want(sum <= 1+1e-9, "the classes' shares are %v together: want 1 at most", sum)
}

// validatePeers wants a list, if there is one, of different peers that exist.
func (s Scenario) validatePeers(v *verdict, what string, peers []int) {
	v.want(peers == nil || len(peers) > 0, "%s []: that is nobody: name some, or leave it out", what)
	seen := map[int]bool{}
	for _, p := range peers {
		v.want(p >= 0 && p < s.Peers, "%s: %d: want 0 (the orderer) to %d", what, p, s.Peers-1)
		v.want(!seen[p], "%s: %d stands there twice: leave one out", what, p)
		seen[p] = true
	}
}

func (s Scenario) validateRegions(v *verdict) {
	v.want(len(s.Regions) <= maxItems, "%d regions: want %d at most", len(s.Regions), maxItems)
	orderer, sum := "", 0.0
	for i, r := range s.Regions {
		what := fmt.Sprintf("region[%d]", i)
		v.want(oneLine(r.Name), "%s.name %q: want a name, on one line", what, r.Name)
		v.want(s.region(r.Name) == i, "%s.name %q: another region has it: want a name of its own", what, r.Name)
		v.want(r.Weight >= 0 && r.Weight <= 1e12, "%s.weight %v: want 0 to 1e12", what, r.Weight)
		v.want(r.Weight > 0 || r.Orderer, "%s (%s).weight 0: nobody would be there: give it a weight, or leave it out", what, r.Name)
		v.want(!r.Orderer || orderer == "", "%s (%s).orderer: the orderer is in %q already: want one place", what, r.Name, orderer)
		if r.Orderer {
			orderer = r.Name
		}
		sum += r.Weight
		s.validateLatencies(v, what, r)
	}
	v.want(len(s.Regions) == 0 || sum > 0, "the regions' weights are 0 together: want one for whoever is not the orderer")
}

func (s Scenario) validateLatencies(v *verdict, what string, r Region) {
	for _, o := range slices.Sorted(maps.Keys(r.Latency)) {
		d := r.Latency[o]
		at := s.region(o)
		v.want(at >= 0, "%s.latency: there is no region %q: %s", what, o, spelling.DidYouMean(o, s.regionNames()))
		v.within(d, fmt.Sprintf("%s.latency to %q", what, o), maxDelay)
		if at >= 0 {
			back, ok := s.Regions[at].Latency[r.Name]
			v.want(!ok || back == d, "region %q: latency %s to %q, which says %s back: want the same, or leave one out", r.Name, d, o, back)
		}
	}
}

// region returns where in Regions a name is; -1: nowhere.
func (s Scenario) region(name string) int {
	return slices.IndexFunc(s.Regions, func(r Region) bool { return r.Name == name })
}

func (s Scenario) regionNames() []string {
	names := make([]string, len(s.Regions))
	for i, r := range s.Regions {
		names[i] = r.Name
	}
	return names
}

func (c Checks) validate(v *verdict) {
	v.within(c.Reach, "checks.reach", maxTime)
	v.within(c.P99, "checks.p99", maxTime)
	v.within(c.Max, "checks.max", maxTime)
	v.want(c.P99 == 0 || c.Max == 0 || c.P99 <= c.Max, "checks.p99 %s above checks.max %s: want it below, or leave it out", c.P99, c.Max)
	v.fraction(c.Coverage, "checks.coverage")
	v.want(c.Redundancy >= 0 && c.Redundancy <= MaxPeers, "checks.redundancy %v: want 0 (no bound) to %d", c.Redundancy, MaxPeers)
	v.want(c.Bytes >= 0, "checks.bytes %s: want 0B (no bound) or more", c.Bytes)
}
