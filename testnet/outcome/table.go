package outcome

import (
	"fmt"
	"io"
	"math"
	"slices"
	"text/tabwriter"

	"grapevine/testnet/report"
)

// WriteTable writes runs for people, a row each.
func WriteTable(w io.Writer, rows []Row) error {
	if !slices.ContainsFunc(rows, func(r Row) bool { return r.Blocks > 0 }) {
		return writeQuiet(w, rows)
	}
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "protocol\tworld\tpeers\tblocks\tby push\tp50\tp90\tp99\tmax\tbytes/peer\tper body byte\tduplicates\thops\t")
	for _, r := range rows {
		fmt.Fprintf(tab, "%s\t%s\t%d\t%d\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t%s\t\n", r.Protocol, r.World, r.Peers, r.Blocks,
			r.Coverage.percent(), r.P50.millis(), r.P90.millis(), r.P99.millis(), r.Max.millis(),
			r.BytesPerPeer.size(), r.Redundancy.times(), r.Duplicates.times(), r.HopMax.count())
	}
	return tab.Flush()
}

// writeQuiet writes runs without blocks.
func writeQuiet(w io.Writer, rows []Row) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "protocol\tworld\tpeers\tblocks\tbytes/peer/s\tcrash noticed by all after\t")
	for _, r := range rows {
		noticed := unknown
		if r.Noticed != nil {
			noticed = r.Noticed.millis()
		}
		fmt.Fprintf(tab, "%s\t%s\t%d\t%d\t%s\t%s\t\n", r.Protocol, r.World, r.Peers, r.Blocks, r.BytesPerPeer.size(), noticed)
	}
	return tab.Flush()
}

const unknown = "–"

func (f Figure) count() string {
	if !f.Known() {
		return unknown
	}
	return f.String()
}

// percent cuts off rather than rounds: only all is 100 %.
func (f Figure) percent() string {
	if !f.Known() {
		return unknown
	}
	return fmt.Sprintf("%.1f %%", math.Floor(float64(f)*1000+1e-6)/10)
}

func (f Figure) millis() string {
	if !f.Known() {
		return unknown
	}
	return fmt.Sprintf("%.1f ms", float64(f))
}

func (f Figure) size() string {
	if !f.Known() {
		return unknown
	}
	return report.Size(int(f))
}

func (f Figure) times() string {
	if !f.Known() {
		return unknown
	}
	return fmt.Sprintf("%.2f", float64(f))
}
