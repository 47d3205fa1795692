// Command bench runs the comparisons that the README shows, holds them against the
// committed results, and prints their tables. scripts/bench.sh builds and starts it.
//
//	runs.go      which runs there are
//	play.go      peer sim run -o json, as anybody would start it
//	compare.go   where fresh results differ from committed ones
//	tables.go    Markdown
//
// It exits with 1 when something failed or differs by more than its margin.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/signal"
	"slices"
	"syscall"
	"time"
)

// results is the committed file.
type results struct {
	// Source is a hash of all code that the event world runs: from the same code the
	// same seeds must give the same traces.
	Source string   `json:"source"`
	Runs   []result `json:"runs"`
}

type options struct {
	peer, file           string
	quick, update, print bool
}

func main() {
	var o options
	flag.StringVar(&o.peer, "peer", "bin/peer", "the program to run")
	flag.StringVar(&o.file, "file", "testnet/bench/results.json", "the committed results")
	flag.BoolVar(&o.quick, "quick", false, "")
	flag.BoolVar(&o.update, "update", false, "")
	flag.BoolVar(&o.print, "tables", false, "")
	flag.Usage = func() { fmt.Fprintln(os.Stderr, "bench is started by scripts/bench.sh; see its --help") }
	flag.Parse()
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	if err := bench(ctx, o, os.Stdout, os.Stderr); err != nil {
		fmt.Fprintln(os.Stderr, "scripts/bench.sh:", err)
		os.Exit(1)
	}
}

// bench does what the options say. Tables go to out, all else to notes.
func bench(ctx context.Context, o options, out, notes io.Writer) error {
	committed, err := load(o.file)
	if err != nil {
		return err
	}
	if o.print {
		return writeTables(out, committed.Runs)
	}
	fresh, err := o.playAll(ctx, notes)
	if err != nil {
		return err
	}
	if err := writeTables(out, fresh.Runs); err != nil {
		return err
	}
	differences := compare(committed, fresh)
	for _, d := range differences {
		fmt.Fprintln(notes, d)
	}
	if o.update {
		return save(o.file, merge(committed, fresh))
	}
	if len(differences) > 0 {
		return fmt.Errorf("%d differences from %s: mend them, or accept them with --update", len(differences), o.file)
	}
	fmt.Fprintf(notes, "nothing differs from %s by more than its margin\n", o.file)
	return nil
}

// playAll plays all runs, or with quick those of the event world.
func (o options) playAll(ctx context.Context, notes io.Writer) (results, error) {
	source, err := sourceHash(ctx)
	if err != nil {
		return results{}, err
	}
	fresh := results{Source: source}
	for _, r := range runs {
		if o.quick && r.World != events {
			continue
		}
		begun := time.Now()
		fmt.Fprintf(notes, "-- %s, %s: peer %s\n", r.Title, r.World, r.commandLine())
		res, err := r.play(ctx, o.peer, o.update)
		if err != nil {
			return results{}, err
		}
		fmt.Fprintf(notes, "   %.0f s\n", time.Since(begun).Seconds())
		fresh.Runs = append(fresh.Runs, res)
	}
	return fresh, nil
}

// load reads results; a file that is not there has none.
func load(file string) (results, error) {
	var r results
	text, err := os.ReadFile(file)
	if errors.Is(err, fs.ErrNotExist) {
		return r, nil
	}
	if err == nil {
		err = json.Unmarshal(text, &r)
	}
	if err != nil {
		return r, fmt.Errorf("reading committed results: %s: %w", file, err)
	}
	return r, nil
}

// save writes results so that a change shows line by line.
func save(file string, r results) error {
	text, err := json.MarshalIndent(r, "", "\t")
	if err == nil {
		err = os.WriteFile(file, append(text, '\n'), 0o644)
	}
	if err != nil {
		return fmt.Errorf("writing results: %w", err)
	}
	return nil
}

// merge returns the fresh results, and the committed ones of runs that there are and
// that were not played.
func merge(committed, fresh results) results {
	out := results{Source: fresh.Source}
	for _, r := range runs {
		for _, from := range [][]result{fresh.Runs, committed.Runs} {
			if i := slices.IndexFunc(from, r.made); i >= 0 {
				out.Runs = append(out.Runs, from[i])
				break
			}
		}
	}
	return out
}
