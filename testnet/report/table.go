package report

import (
	"fmt"
	"io"
	"strconv"
	"strings"
)

// line is a row of the table: a block, or all of them.
type line struct {
	Block
	head, id, peers string
}

// latency writes a percentile, if there is something that it is of.
func (l line) latency(ms float64) string {
	if l.arrivals() == 0 {
		return unknown
	}
	return Figure(ms).Millis()
}

var columns = []Column[line]{
	{Head: "height", Cell: func(l line) string { return l.head }},
	{Head: "id", Cell: func(l line) string { return l.id }, Spare: 4},
	{Head: "txs", Cell: func(l line) string { return strconv.Itoa(l.Txs) }},
	{Head: "bytes", Cell: func(l line) string { return Size(l.Bytes) }, Spare: 5},
	{Head: "peers", Cell: func(l line) string { return l.peers }},
	{Head: "p50", Cell: func(l line) string { return l.latency(l.P50) }},
	{Head: "p95", Cell: func(l line) string { return l.latency(l.P95) }, Spare: 1},
	{Head: "max", Cell: func(l line) string { return l.latency(l.Max) }},
	{Head: "hops", Cell: func(l line) string { return strconv.Itoa(l.HopMax) }, Spare: 2},
	{Head: "push", Cell: func(l line) string { return strconv.Itoa(l.Push) }},
	{Head: "pull", Cell: func(l line) string { return strconv.Itoa(l.Pull) }},
	{Head: "catch-up", Cell: func(l line) string { return strconv.Itoa(l.Catchup) }},
	{Head: "duplicates", Cell: func(l line) string { return Figure(l.Duplicates).Times() }, Spare: 3},
}

// WriteTable writes the report for people: a row per block, the totals, and
// whether the ledgers agree. In a width of so many characters, 0 for any, it leaves out
// columns that do not fit, and says so.
func (r Report) WriteTable(w io.Writer, width int, t Total) error {
	var lines []line
	for _, b := range r.Blocks {
		lines = append(lines, line{b, strconv.FormatUint(b.Height, 10), b.ID.Short(), fmt.Sprintf("%d/%d", b.Peers, r.Peers)})
	}
	lines = append(lines, line{t.Block, "total", Count(t.Blocks, "block"), ""})
	if err := WriteAligned(w, width, columns, lines); err != nil {
		return err
	}
	_, err := fmt.Fprintln(w, r.verdict())
	return err
}

// verdict says whether the ledgers agree that were read, and which were not.
func (r Report) verdict() string {
	who, whose, aside := Count(r.Peers, "peer"), "the", ""
	if len(r.Down) > 0 {
		who, whose, aside = fmt.Sprintf("%d of %s", r.Asked, who), "their", " ("+notAsked(r.Down)+")"
	}
	say := whose + " ledgers agree"
	switch {
	case !r.Agree:
		say = strings.ToUpper(whose + " ledgers do not agree")
	case r.Asked == 1:
		say = "its ledger was compared with no other"
	}
	return fmt.Sprintf("%s, height %d: %s%s", who, r.Height, say, aside)
}

func notAsked(peers []int) string {
	var b strings.Builder
	last := len(peers) - 1
	for i, p := range peers {
		switch {
		case i > 0 && i == last:
			b.WriteString(" and ")
		case i > 0:
			b.WriteString(", ")
		}
		fmt.Fprint(&b, p)
	}
	if last == 0 {
		return "peer " + b.String() + " was not asked"
	}
	return "peers " + b.String() + " were not asked"
}

// Count writes how many there are of something, for people: 1 peer, 2 peers.
func Count(n int, what string) string {
	if n != 1 {
		what += "s"
	}
	return fmt.Sprintf("%d %s", n, what)
}

// Size writes a number of bytes for people: 12.3 KiB.
func Size(n int) string {
	switch {
	case n >= 1<<30:
		return fmt.Sprintf("%.1f GiB", float64(n)/(1<<30))
	case n >= 1<<20:
		return fmt.Sprintf("%.1f MiB", float64(n)/(1<<20))
	case n >= 1<<10:
		return fmt.Sprintf("%.1f KiB", float64(n)/(1<<10))
	}
	return fmt.Sprintf("%d B", n)
}
