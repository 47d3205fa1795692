package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"time"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/local"
	"grapevine/testnet/outcome"
	"grapevine/testnet/processes"
	"grapevine/testnet/scenario"
)

// place is where networks of processes are, each protocol's in a directory of its own,
// and what the processes are of.
type place struct {
	dir      string // "": a temporary one
	patience time.Duration
	binary   string // the peer program; "": it is looked for
}

func (p *place) addFlags(flags *pflag.FlagSet) {
	flags.StringVar(&p.dir, "dir", "", "processes: directory for the networks, one for each protocol (default: a temporary one)")
	flags.DurationVar(&p.patience, "timeout", time.Minute, "processes: how long the peers may take to be ready")
	flags.StringVar(&p.binary, "peer-binary", "", "processes: the peer program (default: the one beside this program, else the one on PATH)")
}

// Flags of lab run that mean something in one of the worlds and nothing in others.
var (
	ofPlaces = []string{"dir", "timeout", "peer-binary"}
	ofLinks  = []string{"warm", "bandwidth", "latency", "loss"}
)

const notHeeded = "peers are on loopback, whatever the scenario's links are; and gossip fills the pools before a block is made, whatever warm is"

// heeds refuses flags that mean nothing in the simulation's world.
func (s *simulation) heeds(given *pflag.FlagSet) error {
	refuse, why := ofPlaces, "there are no processes"
	if s.world.name == scenario.Processes {
		refuse, why = ofLinks, notHeeded
	}
	if i := slices.IndexFunc(refuse, given.Changed); i >= 0 {
		return cli.Usagef("--%s means nothing in the world %q, where %s: leave it out, or take another --world", refuse[i], s.world.name, why)
	}
	return nil
}

// elsewhere says where a scenario can be played that processes cannot play.
func elsewhere(err error, name string, s scenario.Scenario) error {
	can := scenario.Events
	if s.Load.TxRate > 0 {
		can = scenario.Packets
	}
	return fmt.Errorf("%w; the world %q can: lab run %s --world %s", err, can, cli.ShellQuoted(name), can)
}

// run plays a scenario with processes, in the place's directory.
func (p *place) run(ctx context.Context, plan *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
	cfg := local.Config{Dir: filepath.Join(p.dir, protocol), Binary: p.binary, Patience: p.patience}
	o, err := processes.Run(ctx, cfg, plan, protocol, progress)
	return o, taken(err)
}

// taken gives the errors that a directory is somebody's already their exit code.
func taken(err error) error {
	if errors.Is(err, local.ErrThere) || errors.Is(err, local.ErrBusy) {
		return cli.Refused(err)
	}
	return err
}

// hold finds the program and a directory before play runs a simulation there, and says
// where the peers' files are if something goes wrong.
func (p *place) hold(cmd *cobra.Command, s *simulation, play func() error) (err error) {
	if err := p.find(s); err != nil {
		return err
	}
	temporary := p.dir == ""
	if temporary {
		if p.dir, err = os.MkdirTemp("", "lab-run-"); err != nil {
			return fmt.Errorf("making a directory for the networks: %w", err)
		}
	} else if err := p.room(s); err != nil {
		return err
	}
	fmt.Fprintln(cmd.ErrOrStderr(), notHeeded)
	err = play()
	switch {
	case err != nil:
		return fmt.Errorf("%w\nthe peers' files, logs included, are in %s", err, p.dir)
	case temporary:
		return os.RemoveAll(p.dir)
	}
	return nil
}

// room says before anything runs whether there is room for the networks in a directory
// that was given, which a replay must give again.
func (p *place) room(s *simulation) error {
	for _, protocol := range s.plan.Protocols {
		if err := local.Vacant(filepath.Join(p.dir, protocol)); err != nil {
			return taken(err)
		}
	}
	s.given = append(s.given, "--dir", p.dir)
	return nil
}

// find looks for the peer program, and notes where it was said to be, which a replay must
// say again.
func (p *place) find(s *simulation) error {
	if p.binary != "" {
		s.given = append(s.given, "--peer-binary", p.binary)
	}
	return p.look()
}

// look looks for the peer program: where it was said to be, beside this program, or on
// PATH.
func (p *place) look() error {
	if p.binary != "" {
		path, err := exec.LookPath(p.binary)
		if err != nil {
			return cli.NotFound(fmt.Errorf("--peer-binary: %w: want the path of a program that go build ./cmd/peer has made", err))
		}
		return p.takes(path)
	}
	lab, err := os.Executable()
	if err != nil {
		return fmt.Errorf("finding this program, to look for peer beside it: %w", err)
	}
	beside := filepath.Join(filepath.Dir(lab), "peer")
	for _, at := range []string{beside, "peer"} {
		if path, err := exec.LookPath(at); err == nil {
			return p.takes(path)
		}
	}
	return cli.NotFound(fmt.Errorf("there is no program %s, nor peer on PATH: build it with go build -o %s ./cmd/peer, or name one with --peer-binary",
		beside, cli.ShellQuoted(beside)))
}

// takes notes where the program is, for whoever looks after the networks later too.
func (p *place) takes(path string) (err error) {
	p.binary, err = filepath.Abs(path)
	return err
}
