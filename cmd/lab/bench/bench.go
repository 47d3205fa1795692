// Package bench runs the comparisons that the documents show, holds them against the
// committed results, and prints their tables.
//
//	runs.go      which runs there are
//	play.go      lab run -o json, as anybody would start it
//	compare.go   where fresh results differ from committed ones
//	tables.go    Markdown
package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"slices"
	"time"

	"grapevine/cmd/internal/cli"
)

// results is the committed file.
type results struct {
	// Source is a hash of all code that the event world runs: from the same code the
	// same seeds must give the same traces.
	Source string   `json:"source"`
	Runs   []result `json:"runs"`
}

// Options say what Run is to do.
type Options struct {
	Lab    string // the program that plays
	File   string // the committed results
	Quick  bool   // the event world alone
	Update bool   // write the results, and draw the picture, instead of failing
	Tables bool   // print the tables of the committed results, and run nothing
}

// Run does what the options say. Tables go to out, all else to notes. It is an error that
// something differs by more than its margin.
func Run(ctx context.Context, o Options, out, notes io.Writer) error {
	committed, err := load(o.File)
	if err != nil {
		return err
	}
	if o.Tables && len(committed.Runs) == 0 {
		return cli.NotFound(fmt.Errorf("there are no results in %s: run this in the source's directory, or name the file with --file", o.File))
	}
	if o.Tables {
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
	if o.Update {
		return save(o.File, merge(committed, fresh))
	}
	if len(differences) > 0 {
		return fmt.Errorf("%d differences from %s: mend them, or accept them with --update", len(differences), o.File)
	}
	fmt.Fprintf(notes, "nothing differs from %s by more than its margin\n", o.File)
	return nil
}

// playAll plays all runs, or with quick those of the event world.
func (o Options) playAll(ctx context.Context, notes io.Writer) (results, error) {
	source, err := sourceHash(ctx)
	if err != nil {
		return results{}, err
	}
	fresh := results{Source: source}
	for _, r := range runs {
		if o.Quick && r.World != events {
			continue
		}
		begun := time.Now()
		fmt.Fprintf(notes, "-- %s, %s: lab %s\n", r.Title, r.World, r.commandLine())
		res, err := r.play(ctx, o.Lab, o.Update)
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
