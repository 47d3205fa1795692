package report

import (
	"fmt"
	"io"
	"text/tabwriter"
)

// WriteTable writes the report for people: a row per block, the totals, and
// whether the ledgers agree.
func (r Report) WriteTable(w io.Writer, t Total) error {
	tab := tabwriter.NewWriter(w, 0, 0, 2, ' ', tabwriter.AlignRight)
	fmt.Fprintln(tab, "height\tid\ttxs\tbytes\tpeers\tp50\tp95\tmax\thops\tpush\tpull\tcatch-up\tduplicates\t")
	for _, b := range r.Blocks {
		fmt.Fprintf(tab, "%d\t%s\t%d\t%s\t%d/%d\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.2f\t\n",
			b.Height, b.ID.Short(), b.Txs, Size(b.Bytes), b.Peers, r.Peers,
			millis(b.P50), millis(b.P95), millis(b.Max), b.HopMax, b.Push, b.Pull, b.Catchup, b.Duplicates)
	}
	fmt.Fprintf(tab, "total\t%d blocks\t%d\t%s\t\t%s\t%s\t%s\t%d\t%d\t%d\t%d\t%.2f\t\n",
		t.Blocks, t.Txs, Size(t.Bytes), millis(t.P50), millis(t.P95), millis(t.Max),
		t.HopMax, t.Push, t.Pull, t.Catchup, t.Duplicates)
	if err := tab.Flush(); err != nil {
		return err
	}
	verdict := "the ledgers agree"
	if !r.Agree {
		verdict = "THE LEDGERS DO NOT AGREE"
	}
	_, err := fmt.Fprintf(w, "%d peers, height %d: %s\n", r.Peers, r.Height, verdict)
	return err
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

func millis(ms float64) string { return fmt.Sprintf("%.1f ms", ms) }
