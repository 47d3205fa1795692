package bench

import (
	"fmt"
	"io"
	"math"

	"grapevine/testnet/outcome"
	"grapevine/testnet/report"
)

// writeTables writes a Markdown table for each title, under the commands that make it.
func writeTables(w io.Writer, of []result) error {
	for _, title := range titles(of) {
		fmt.Fprintf(w, "\n**%s**\n\n", title)
		for _, r := range of {
			if r.Title == title {
				fmt.Fprintf(w, "    lab %s\n", r.commandLine())
			}
		}
		fmt.Fprintln(w)
		fmt.Fprintln(w, "| protocol | world | peers | by push | p50 | p90 | p99 | max | bytes per peer | per body byte | duplicates | hops |")
		fmt.Fprintln(w, "| --- | --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: | ---: |")
		for _, r := range of {
			if r.Title != title {
				continue
			}
			for _, row := range r.Rows {
				if err := writeRow(w, row); err != nil {
					return err
				}
			}
		}
	}
	return nil
}

func writeRow(w io.Writer, r outcome.Row) error {
	size := "–"
	if r.BytesPerPeer.Known() {
		size = report.Size(int(r.BytesPerPeer))
	}
	_, err := fmt.Fprintf(w, "| %s | %s | %d | %s | %s | %s | %s | %s | %s | %s | %s | %s |\n", r.Protocol, r.World, r.Peers,
		shown(down(r.Coverage), "%.3f", 1), shown(r.P50, "%.2f s", 1e-3), shown(r.P90, "%.2f s", 1e-3), shown(r.P99, "%.2f s", 1e-3), shown(r.Max, "%.2f s", 1e-3),
		size, shown(r.Redundancy, "%.2f", 1), shown(r.Duplicates, "%.2f", 1), shown(r.HopMax, "%.0f", 1))
	return err
}

func shown(f outcome.Figure, format string, times float64) string {
	if !f.Known() {
		return "–"
	}
	return fmt.Sprintf(format, float64(f)*times)
}

// down cuts a share off after three places: only all is 1.000.
func down(f outcome.Figure) outcome.Figure {
	return outcome.Figure(math.Floor(float64(f)*1000+1e-6) / 1000)
}
