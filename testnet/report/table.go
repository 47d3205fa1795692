package report

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"
)

// WriteTable writes the report for people: a row per block, the totals, and
// whether the ledgers agree.
func (r Report) WriteTable(w io.Writer, t Total) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "height\tid\ttxs\tbytes\tpeers\tp50\tp95\tmax\thops\tpush\tpull\tcatch-up\tduplicates\t")
	for _, b := range r.Blocks {
		fmt.Fprintf(tab, "%d\t%s\t%d\t%s\t%d/%d\t%s\t%d\t%d\t%d\t%d\t%.2f\t\n",
			b.Height, b.ID.Short(), b.Txs, Size(b.Bytes), b.Peers, r.Peers,
			latencies(b.arrivals(), b.P50, b.P95, b.Max), b.HopMax, b.Push, b.Pull, b.Catchup, b.Duplicates)
	}
	fmt.Fprintf(tab, "total\t%s\t%d\t%s\t\t%s\t%d\t%d\t%d\t%d\t%.2f\t\n",
		Count(t.Blocks, "block"), t.Txs, Size(t.Bytes), latencies(t.Arrivals, t.P50, t.P95, t.Max),
		t.HopMax, t.Push, t.Pull, t.Catchup, t.Duplicates)
	if err := tab.Flush(); err != nil {
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

// latencies writes the cells of three percentiles, of so many measurements.
func latencies(of int, p50, p95, most float64) string {
	if of == 0 {
		return "–\t–\t–"
	}
	return fmt.Sprintf("%.1f ms\t%.1f ms\t%.1f ms", p50, p95, most)
}
