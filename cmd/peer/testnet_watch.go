package main

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"strings"
	"time"
	"unicode"

	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/report"
)

func testnetWatch() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "watch",
		Short: "The peers' logs, merged, as they are written",
		Long: `The peers' logs, merged, as they are written: a line for each block that a peer
accepts, and each warning or error. It goes on until it is interrupted.`,
		Example: "  peer testnet watch\n  peer testnet watch --all --from-start",
		Args:    cobra.NoArgs,
	}
	dir := dirFlag(cmd)
	all := cmd.Flags().Bool("all", false, "every line of the logs")
	fromStart := cmd.Flags().Bool("from-start", false, "from the logs' beginning, not from now on")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		n, err := openNetwork(*dir)
		if err != nil {
			return err
		}
		defer n.close()
		w, err := n.watcher(cmd, *all, *fromStart)
		if err != nil {
			return err
		}
		return w.run(cmd.Context())
	}
	return cmd
}

// watcher makes what shows the peers' logs.
func (n *network) watcher(cmd *cobra.Command, all, fromStart bool) (*watcher, error) {
	width := cli.Width(os.Stdout)
	w := &watcher{out: cmd.OutOrStdout(), paint: cli.Paint(os.Stdout), all: all, narrow: width > 0 && width < wide, names: map[string]string{}}
	for _, p := range n.Peers {
		w.names[p.ID] = p.Name()
		w.logs = append(w.logs, &follower{peer: p.Index, path: p.Log()})
	}
	if w.narrow {
		fmt.Fprintf(w.out, "(in %d columns without IDs, sizes, transactions fetched and duplicates)\n", width)
	}
	if fromStart {
		return w, nil
	}
	return w, w.skip()
}

// watching shows blocks as they spread while something is done, and what came of it till its
// end.
func (n *network) watching(cmd *cobra.Command, do func() error) error {
	w, err := n.watcher(cmd, false, false)
	if err != nil {
		return err
	}
	n.lines = true
	ctx, stop := context.WithCancel(cmd.Context())
	ended := make(chan error, 1)
	go func() { ended <- w.run(ctx) }()
	err = do()
	stop()
	return errors.Join(err, <-ended)
}

// wide is how many characters a line about a block has when all is said.
const wide = 140

// watchEvery is how often the logs are looked at: below what a person notices.
const watchEvery = 50 * time.Millisecond

// watcher shows several logs as one.
type watcher struct {
	out   io.Writer
	paint func(code, text string) string
	all   bool
	// narrow leaves out of a line about a block what the report has too: what is left is no
	// wider than 80 characters, up to 100,000 blocks and 100 peers.
	narrow bool
	names  map[string]string // by peer ID
	logs   []*follower
}

// follower reads what is added to one log. A log that is not there yet is empty.
type follower struct {
	peer   int
	path   string
	offset int64
	rest   []byte // of a line that has no end yet
}

func (w *watcher) skip() error {
	for _, l := range w.logs {
		info, err := os.Stat(l.path)
		if err == nil {
			l.offset = info.Size()
		} else if !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("following logs: %w", err)
		}
	}
	return nil
}

// run shows what is added until ctx ends, and then the last of it.
func (w *watcher) run(ctx context.Context) error {
	for {
		ending := ctx.Err() != nil
		if err := w.poll(); err != nil {
			return err
		}
		if ending {
			return nil
		}
		select {
		case <-ctx.Done():
		case <-time.After(watchEvery):
		}
	}
}

// shownLine is a line as it is shown, with the time by which it is merged.
type shownLine struct {
	at   time.Time
	text string
}

// poll shows what was added to the logs since it last looked, in order of time.
func (w *watcher) poll() error {
	var lines []shownLine
	for _, l := range w.logs {
		added, err := l.read()
		if err != nil {
			return err
		}
		for _, raw := range added {
			if line, ok := w.show(l.peer, raw); ok {
				lines = append(lines, line)
			}
		}
	}
	slices.SortStableFunc(lines, func(a, b shownLine) int {
		return cmp.Compare(a.at.UnixNano(), b.at.UnixNano())
	})
	for _, line := range lines {
		if _, err := fmt.Fprintln(w.out, line.text); err != nil {
			return err
		}
	}
	return nil
}

// read returns the whole lines that were added.
func (l *follower) read() ([][]byte, error) {
	f, err := os.Open(l.path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("following logs: %w", err)
	}
	defer f.Close()
	if _, err := f.Seek(l.offset, io.SeekStart); err != nil {
		return nil, fmt.Errorf("following logs: %w", err)
	}
	added, err := io.ReadAll(f)
	if err != nil {
		return nil, fmt.Errorf("following logs: %w", err)
	}
	l.offset += int64(len(added))
	lines := bytes.Split(append(l.rest, added...), []byte("\n"))
	last := len(lines) - 1
	l.rest = bytes.Clone(lines[last])
	return lines[:last], nil
}

// show returns the line for people, or false when they do not want it.
func (w *watcher) show(peer int, raw []byte) (shownLine, bool) {
	name := w.paint(colours[peer%len(colours)], fmt.Sprintf("peer %-2d", peer))
	line, err := report.ParseLine(peer, raw)
	if err != nil { // a panic's trace, say: show it where it stands
		return shownLine{text: fmt.Sprintf("%12s  %s  %s", "", name, w.paint("31", printable(raw)))}, len(bytes.TrimSpace(raw)) > 0
	}
	head := fmt.Sprintf("%s  %s  ", w.paint("2", line.Time.Local().Format("15:04:05.000")), name)
	severe := line.Level == "WARN" || line.Level == "ERROR"
	switch {
	case line.Fact != nil:
		return shownLine{line.Time, head + w.fact(line.Fact)}, true
	case severe:
		return shownLine{line.Time, head + w.paint("31", line.Level) + " " + line.Msg + attributes(raw)}, true
	}
	return shownLine{line.Time, head + line.Msg + attributes(raw)}, w.all
}

// colours are the ANSI colours by which peers are told apart.
var colours = []string{"32", "33", "34", "35", "36", "92", "93", "94", "95", "96"}

func (w *watcher) fact(f *report.Fact) string {
	txs := "txs"
	if f.Txs == 1 {
		txs = "tx "
	}
	how := w.paint("1", fmt.Sprintf("%-8s", f.Via))
	millis := float64(f.Latency) / float64(time.Millisecond)
	from, known := w.names[f.From]
	if !known {
		from = f.From[max(0, len(f.From)-8):]
	}
	if w.narrow {
		if f.Via != arrival.Own {
			how += fmt.Sprintf(" from %-2s hop %-2d %7.1f ms", strings.TrimPrefix(from, "peer "), f.Hop, millis)
		}
		return strings.TrimRight(fmt.Sprintf("block %-5d %5d %s  %s", f.Height, f.Txs, txs, how), " ")
	}
	if f.Via == arrival.Own {
		how += strings.Repeat(" ", 32) // as wide as the others
	} else {
		how += fmt.Sprintf(" from %-7s hop %-2d %8.1f ms", from, f.Hop, millis)
	}
	text := fmt.Sprintf("block %-5d %s  %5d %s %10s  %s", f.Height, f.ID.Short(), f.Txs, txs, report.Size(f.Bytes), how)
	if f.Missing > 0 {
		text += fmt.Sprintf("  %d fetched", f.Missing)
	}
	if f.Duplicates > 0 {
		text += fmt.Sprintf("  %.2f duplicates", f.Duplicates)
	}
	return strings.TrimRight(text, " ")
}

// attributes returns what a log line says besides time, level and message, in the
// line's own order.
func attributes(raw []byte) string {
	d := json.NewDecoder(bytes.NewReader(raw))
	var b strings.Builder
	d.Token() // the opening brace: ParseLine has read this line before
	for d.More() {
		key, err := d.Token()
		var value json.RawMessage
		if err != nil || d.Decode(&value) != nil {
			break
		}
		if key != "time" && key != "level" && key != "msg" {
			fmt.Fprintf(&b, "  %v=%s", key, printable(value))
		}
	}
	return b.String()
}

// printable leaves control characters out, which could do things to a terminal.
func printable(text []byte) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsPrint(r) {
			return r
		}
		return ' '
	}, string(text))
}
