package packets

import (
	"encoding/gob"
	"fmt"
	"io"
	"os"
	"os/signal"
	"testing"
	"testing/synctest"

	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// childVariable is set in the environment of a process that is to play a request.
const childVariable = "GRAPEVINE_PACKETS_CHILD"

// request is what the child reads from its standard input. It resolves the plan anew:
// the same scenario gives the same plan.
type request struct {
	Scenario scenario.Scenario
	Protocol string
}

// frame is what the child writes to its standard output: how far it is, and at last an
// outcome or an error.
type frame struct {
	Share   float64
	Outcome *outcome.Outcome
	Err     string
}

// Child does the work of a process that Run started, and ends it; in any other process
// it does nothing. It is to be called before anything else: a bubble wants a
// *testing.T, which testing.Main gives to an ordinary program, and that reads the
// command line and ends the process.
func Child() {
	if os.Getenv(childVariable) == "" {
		return
	}
	signal.Ignore(os.Interrupt) // a terminal sends it to both processes; the parent decides
	frames := gob.NewEncoder(os.Stdout)
	os.Stdout = os.Stderr // what testing has to say must not come between the frames
	var r request
	if err := gob.NewDecoder(os.Stdin).Decode(&r); err != nil {
		fmt.Fprintln(os.Stderr, "reading what to play:", err)
		os.Exit(1)
	}
	go func() { // outside of the bubble: when the parent is gone, nobody wants the outcome
		_, _ = io.Copy(io.Discard, os.Stdin)
		os.Exit(1)
	}()
	all := func(string, string) (bool, error) { return true, nil }
	testing.Main(all, []testing.InternalTest{{Name: "Packets", F: func(t *testing.T) {
		if err := frames.Encode(answer(t, r, frames)); err != nil {
			t.Fatal(err)
		}
	}}}, nil, nil)
}

// answer plays a request in a bubble.
func answer(t *testing.T, r request, frames *gob.Encoder) (last frame) {
	plan, err := r.Scenario.Plan()
	if err != nil {
		return frame{Err: err.Error()}
	}
	shown := 0
	progress := func(share float64) {
		if percent := int(share * 100); percent > shown {
			shown = percent
			_ = frames.Encode(frame{Share: share}) // if nobody reads, the last frame says so
		}
	}
	synctest.Test(t, func(*testing.T) {
		last.Outcome, err = play(plan, r.Protocol, newKind, progress)
	})
	if err != nil {
		last.Err = err.Error()
	}
	return last
}
