package packets

import (
	"context"
	"encoding/gob"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"

	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// The protocols.
const (
	grapevine      = scenario.Grapevine
	fabricProtocol = "fabric"
	enhanced       = "fabric-enhanced"
	gossipsub      = "gossipsub"
	chunked        = "gossipsub-chunked"
)

// Protocols returns the names of what Run can play, our own first.
func Protocols() []string { return []string{grapevine, fabricProtocol, enhanced, gossipsub, chunked} }

// maxPeers bounds what one process is asked to simulate: ten times as many as it does
// with blocks of 1 MiB.
const maxPeers = 1000

// Check refuses what this world cannot play.
func Check(plan *scenario.Plan, protocol string) error {
	switch {
	case !slices.Contains(Protocols(), protocol):
		return fmt.Errorf("protocol %q: the packet world plays %s", protocol, strings.Join(Protocols(), ", "))
	case plan.Peers > maxPeers:
		return fmt.Errorf("%d peers: the packet world plays %d at most: want fewer, or world = %q", plan.Peers, maxPeers, scenario.Events)
	case plan.Membership == scenario.Static:
		return fmt.Errorf("membership = %q: the packet world's peers are whole nodes, who find each other: want %q, or world = %q", plan.Membership, scenario.Auto, scenario.Events)
	}
	for i, f := range plan.Faults {
		if f.Kind == scenario.Withhold {
			return fmt.Errorf("fault[%d] (%s): the packet world's peers are whole nodes, and keep their word: leave it out, or world = %q", i, f.Kind, scenario.Events)
		}
	}
	if plan.Load.TxRate == 0 {
		return nil
	}
	if protocol != grapevine {
		return fmt.Errorf("load.tx_rate with protocol %q, which has no transactions: leave it out, or play %s", protocol, grapevine)
	}
	for _, e := range plan.Events {
		if e.Kind == scenario.Kill && slices.Contains(e.Peers, 0) {
			return errors.New("load.tx_rate with a crash of peer 0, whose lock would be gone, so that it would not sign any more: crash others, or leave tx_rate out")
		}
	}
	return nil
}

// newKind makes the peers of a protocol.
func newKind(w *world, protocol string) (kind, error) {
	if protocol == grapevine {
		return newNodes(w)
	}
	return newGossip(w, protocol), nil
}

// listenAddr returns where the peer with an IP listens.
func listenAddr(ip net.IP) string { return fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", ip) }

// Run plays the plan with one protocol, in a process of its own, whose first act must be
// to call Child; progress (may be nil) is told the share done, 0…1. When ctx ends the
// process does, and the error is ctx's cause.
func Run(ctx context.Context, plan *scenario.Plan, protocol string, progress func(float64)) (*outcome.Outcome, error) {
	if err := Check(plan, protocol); err != nil {
		return nil, err
	}
	if os.Getenv(childVariable) != "" {
		return nil, errors.New("this process is a simulation's already: its program must call packets.Child before all else")
	}
	if progress == nil {
		progress = func(float64) {}
	}
	exe, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("finding this program, to run it again: %w", err)
	}
	c := child{cmd: exec.CommandContext(ctx, exe)}
	out, err := c.run(request{plan.Scenario, protocol}, progress)
	if err != nil && ctx.Err() != nil {
		return nil, context.Cause(ctx)
	}
	return out, err
}

// child is the process that holds the bubble, as its parent sees it.
type child struct {
	cmd    *exec.Cmd
	stderr head
}

// run hands the request over and reads what comes back.
func (c *child) run(r request, progress func(float64)) (*outcome.Outcome, error) {
	c.cmd.Env = append(os.Environ(), childVariable+"=1")
	c.cmd.Stderr = &c.stderr
	in, err := c.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	frames, err := c.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting the simulation's process: %w", err)
	}
	sent := gob.NewEncoder(in).Encode(r) // the pipe stays open: its end would end the child
	last, err := read(frames, progress)
	if err != nil {
		_ = c.cmd.Process.Kill() // it may be talking nonsense, and go on
	}
	_, _ = io.Copy(io.Discard, frames)
	exit := c.cmd.Wait()
	switch {
	case last.Err != "":
		return nil, errors.New(last.Err)
	case err != nil || exit != nil:
		return nil, fmt.Errorf("the simulation's process: %w\n%s", errors.Join(sent, err, exit), c.stderr.text())
	}
	return last.Outcome, nil
}

// read reads frames up to the last.
func read(r io.Reader, progress func(float64)) (frame, error) {
	frames := gob.NewDecoder(r)
	for {
		var f frame
		if err := frames.Decode(&f); err != nil {
			return frame{}, fmt.Errorf("reading its outcome: %w", err)
		}
		if f.Outcome != nil || f.Err != "" {
			return f, nil
		}
		progress(f.Share)
	}
}

// head keeps the beginning of a text: of a panic in a bubble that is what tells, and a
// thousand goroutines follow.
type head struct{ b []byte }

const headMax = 8 << 10

func (h *head) Write(p []byte) (int, error) {
	h.b = append(h.b, p[:min(len(p), headMax-len(h.b))]...)
	return len(p), nil
}

func (h *head) text() string { return strings.TrimSpace(string(h.b)) }
