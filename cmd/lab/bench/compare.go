package bench

import (
	"fmt"
	"math"
	"slices"

	"grapevine/testnet/outcome"
)

// margins are how much a figure may differ, as a share of the committed one. The event
// world repeats to the bit; but once its code is another, so are the draws, and those
// alone move a p99 of five blocks by some per cent. Whole nodes over packets do not
// repeat, for goroutines interleave otherwise each time: two runs of the same code were
// up to 18 % apart.
var margins = map[string]float64{events: 0.1, packets: 0.3}

// figure is one that is compared. Differences up to floor are none: a share of almost
// nothing says nothing. The largest latency is one peer's luck, and may differ twice as
// much as the others.
type figure struct {
	name   string
	of     func(r outcome.Row) outcome.Figure
	floor  float64
	margin float64 // times the world's
}

var figures = []figure{
	{"coverage", func(r outcome.Row) outcome.Figure { return r.Coverage }, 0.005, 1},
	{"p50_ms", func(r outcome.Row) outcome.Figure { return r.P50 }, 1, 1},
	{"p90_ms", func(r outcome.Row) outcome.Figure { return r.P90 }, 1, 1},
	{"p99_ms", func(r outcome.Row) outcome.Figure { return r.P99 }, 1, 1},
	{"max_ms", func(r outcome.Row) outcome.Figure { return r.Max }, 1, 2},
	{"bytes_per_peer", func(r outcome.Row) outcome.Figure { return r.BytesPerPeer }, 1024, 1},
	{"redundancy", func(r outcome.Row) outcome.Figure { return r.Redundancy }, 0.01, 1},
	{"duplicates", func(r outcome.Row) outcome.Figure { return r.Duplicates }, 0.02, 1},
}

// compare names every difference of the fresh results from the committed ones: a run or
// a row that is new, a figure beyond its margin, a breach that was none, and, where the
// code is the same, any other trace. Runs that were not played do not matter.
func compare(committed, fresh results) []string {
	var out []string
	for _, r := range fresh.Runs {
		i := slices.IndexFunc(committed.Runs, r.run.made)
		if i < 0 {
			out = append(out, r.where("")+"there is no committed result")
			continue
		}
		out = append(out, compareRun(committed.Runs[i], r, committed.Source == fresh.Source)...)
	}
	return out
}

func (r run) where(protocol string) string {
	if protocol != "" {
		protocol += ", "
	}
	return fmt.Sprintf("%s%s (lab %s): ", protocol, r.World, r.commandLine())
}

func compareRun(old, r result, sameCode bool) []string {
	var out []string
	for _, row := range r.Rows {
		i := slices.IndexFunc(old.Rows, func(o outcome.Row) bool { return o.Protocol == row.Protocol })
		if i < 0 {
			out = append(out, r.where(row.Protocol)+"there is no committed row")
			continue
		}
		if o := old.Rows[i]; sameCode && o.Trace != row.Trace {
			out = append(out, fmt.Sprintf("%strace is %s, committed is %s, and the code is the same", r.where(row.Protocol), row.Trace, o.Trace))
		}
		for _, f := range figures {
			if d := f.differ(f.of(old.Rows[i]), f.of(row), margins[r.World]); d != "" {
				out = append(out, r.where(row.Protocol)+d)
			}
		}
	}
	if len(r.Breaches) > len(old.Breaches) {
		for _, b := range r.Breaches {
			out = append(out, r.where("")+"broken: "+b)
		}
	}
	return out
}

// differ says how a figure differs by more than the world's margin; "" that it does not.
func (f figure) differ(old, now outcome.Figure, margin float64) string {
	if old.Known() != now.Known() {
		return fmt.Sprintf("%s is %v, committed is %v", f.name, now, old)
	}
	margin *= f.margin
	apart := math.Abs(float64(now - old))
	if !now.Known() || apart <= f.floor || apart <= margin*math.Abs(float64(old)) {
		return ""
	}
	return fmt.Sprintf("%s is %v, committed is %v: %+.1f %%, want at most %.0f %%", f.name, now, old, 100*float64(now-old)/float64(old), 100*margin)
}
