package main

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"grapevine/api"
	"grapevine/cmd/internal/cli"
	"grapevine/testnet/local"
	"grapevine/testnet/report"
)

func testnetCommand() *cobra.Command {
	cmd := cli.Group("testnet", "Networks of real peers on this machine",
		`  peer testnet up -n 7
  peer testnet submit go.sum
  peer testnet report
  peer testnet kill 3; peer testnet load --rate 200 --duration 10s; peer testnet start 3
  peer testnet check --acknowledged
  peer testnet down`,
		testnetUp(), testnetStatus(), testnetSubmit(), testnetLoad(), testnetWatch(),
		testnetKill(), testnetStart(), testnetReport(), testnetCheck(), testnetDown())
	cmd.Long = `Networks of peer processes on the loopback interface, numbered from 0. Peer 0 is
the orderer. They go on when the command ends; all there is to know of them is in
the directory that --dir names, so any shell can look after them.`
	return cmd
}

func dirFlag(cmd *cobra.Command) *string {
	return cmd.Flags().String("dir", ".testnet", "directory of the testnet")
}

// testnetError gives the errors of package local their exit codes.
func testnetError(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, local.ErrNone), errors.Is(err, local.ErrNoPeer):
		return cli.NotFound(err)
	case errors.Is(err, local.ErrRunning), errors.Is(err, local.ErrNotRunning), errors.Is(err, local.ErrBusy), errors.Is(err, local.ErrThere), errors.Is(err, local.ErrStrange):
		return cli.Refused(err)
	}
	return err
}

// network is an open testnet with a client for each of its peers.
type network struct {
	*local.Network
	dir     string // as it was given
	clients []*api.Client
	lines   bool // lines are being shown, between which no bar is drawn
}

// progress makes a bar for what runs.
func (n *network) progress(what string) *cli.Progress {
	if n.lines {
		return cli.NoProgress()
	}
	return cli.NewProgress(what)
}

func openNetwork(dir string) (*network, error) {
	n, err := local.Open(dir)
	if err != nil {
		return nil, testnetError(err)
	}
	net := &network{Network: n, dir: dir}
	for _, p := range n.Peers {
		net.clients = append(net.clients, api.Dial(p.API))
	}
	return net, nil
}

// again is how people start the testnet when it is down.
func (n *network) again() string {
	return "start it with peer testnet up --dir " + cli.ShellQuoted(n.dir)
}

func (n *network) close() {
	for _, c := range n.clients {
		c.Close()
	}
}

func testnetUp() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "up",
		Short: "Make a testnet and start it, or start one again",
		Long: `Make a testnet and start it, or start again the one that --dir holds. It ends when
every peer is ready and connected to every other. When one is not, the end of its
log is shown and no process is left. The settings of a peer can be given as flags;
a new testnet's peers all get them in their config.toml.`,
		Example: `  peer testnet up -n 7
  peer testnet up --base-port 9800 && peer status --api 127.0.0.1:9802
  peer testnet up --dir /tmp/pull -n 5 --mode pull --block-timeout 100ms`,
		Args: cobra.NoArgs,
	}
	dir := dirFlag(cmd)
	n := 7
	cmd.Flags().VarP(cli.Count(&n, 1, local.MaxPeers), "peers", "n", "how many peers")
	fresh := cmd.Flags().Bool("fresh", false, "delete the testnet in the directory first, by its testnet.json")
	patience := cmd.Flags().Duration("timeout", time.Minute, "how long the peers may take to be ready")
	base := 0
	cmd.Flags().Var(cli.Count(&base, 0, 1<<16-1), "base-port", "first port of a new testnet: peer I's API is at it plus 2I, and the next is for peers; 0: free ones")
	out := cli.OutputFlag(cmd)
	s := defaultSettings()
	s.addFlags(cmd.Flags(), "listen", "advertise", "bootstrap", "api", "api_public", "api_hosts", "log_format")
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		binary, err := os.Executable()
		if err != nil {
			return fmt.Errorf("finding this program: %w", err)
		}
		if *fresh {
			if err := local.Remove(*dir); err != nil {
				return testnetError(err)
			}
		}
		cfg := local.Config{Dir: *dir, Binary: binary, Settings: map[string]string{}, Patience: *patience, BasePort: base}
		if cmd.Flags().Changed("peers") {
			cfg.Peers = n
		}
		for _, row := range s.changed(cmd.Flags()) {
			cfg.Settings[row.key] = row.value.String()
		}
		return up(cmd.Context(), cmd, cfg, out)
	}
	return cmd
}

func up(ctx context.Context, cmd *cobra.Command, cfg local.Config, out *cli.Output) error {
	bar := cli.NewProgress("starting")
	cfg.Progress = func(ready, of int) { bar.Update(ready, of, "peers ready") }
	n, err := local.Up(ctx, cfg)
	bar.End()
	if err != nil {
		return testnetError(err)
	}
	return out.Print(cmd, n, func(w io.Writer) {
		up := "1 peer is up"
		if len(n.Peers) > 1 {
			up = fmt.Sprintf("%d peers are up, each connected to all others", len(n.Peers))
		}
		fmt.Fprintf(w, "%s: network %s\n", up, n.ChainID)
		fmt.Fprintln(w, "PEER\tAPI\tPEER ID")
		for _, p := range n.Peers {
			fmt.Fprintf(w, "%d\t%s\t%s\n", p.Index, p.API, p.ID)
		}
	})
}

// peerStatus is a row of peer testnet status.
type peerStatus struct {
	Peer       int    `json:"peer"`
	PeerID     string `json:"peer_id"`
	API        string `json:"api"`
	PID        int    `json:"pid"`
	State      string `json:"state"` // ready, not ready, silent or down
	Reason     string `json:"reason"`
	Height     uint64 `json:"height"`
	TipID      string `json:"tip_id"`
	Neighbours uint32 `json:"neighbours"`
	PoolTxs    uint32 `json:"pool_txs"`
	Memory     int    `json:"memory_bytes"` // resident; 0 where the system does not say
}

func testnetStatus() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "status",
		Short:   "How each peer of a testnet is doing",
		Example: "  peer testnet status\n  peer testnet status -o json | jq '.peers[].height'",
		Args:    cobra.NoArgs,
	}
	dir, out := dirFlag(cmd), cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		n, err := openNetwork(*dir)
		if err != nil {
			return err
		}
		defer n.close()
		var all struct {
			ChainID string       `json:"chain_id"`
			Peers   []peerStatus `json:"peers"`
		}
		all.ChainID = n.ChainID
		for i := range n.Peers {
			s, err := n.status(cmd.Context(), i)
			if err != nil {
				return err
			}
			all.Peers = append(all.Peers, s)
		}
		return out.Write(cmd, all, func(w io.Writer) error {
			err := report.WriteAligned(w, cli.Width(os.Stdout), peerColumns, all.Peers)
			for _, s := range all.Peers {
				if s.Reason != "" {
					fmt.Fprintf(w, "peer %d: %s\n", s.Peer, s.Reason)
				}
			}
			return err
		})
	}
	return cmd
}

// peerColumns are those of peer testnet status.
var peerColumns = []report.Column[peerStatus]{
	{Head: "PEER", Left: true, Cell: func(s peerStatus) string { return strconv.Itoa(s.Peer) }},
	{Head: "STATE", Left: true, Cell: func(s peerStatus) string { return s.State }},
	{Head: "HEIGHT", Left: true, Cell: said(func(s peerStatus) string { return strconv.FormatUint(s.Height, 10) })},
	{Head: "TIP", Left: true, Spare: 3, Cell: said(func(s peerStatus) string { return fmt.Sprintf("%.8s", s.TipID) })},
	{Head: "NEIGHBOURS", Left: true, Cell: said(func(s peerStatus) string { return strconv.Itoa(int(s.Neighbours)) })},
	{Head: "POOL", Left: true, Cell: said(func(s peerStatus) string { return strconv.Itoa(int(s.PoolTxs)) })},
	{Head: "MEMORY", Left: true, Spare: 1, Cell: running(func(s peerStatus) string { return report.Size(s.Memory) })},
	{Head: "PROCESS", Left: true, Spare: 2, Cell: running(func(s peerStatus) string { return strconv.Itoa(s.PID) })},
	{Head: "API", Left: true, Cell: func(s peerStatus) string { return s.API }},
}

// said is a cell of what a peer says of itself, if it has said anything.
func said(cell func(peerStatus) string) func(peerStatus) string {
	return unless(cell, "down", "silent")
}

// running is a cell of a peer's process, if there is one.
func running(cell func(peerStatus) string) func(peerStatus) string { return unless(cell, "down") }

func unless(cell func(peerStatus) string, states ...string) func(peerStatus) string {
	return func(s peerStatus) string {
		if slices.Contains(states, s.State) {
			return "–"
		}
		return cell(s)
	}
}

// statusTimeout is how long a peer may take to answer, before it counts as silent.
const statusTimeout = 3 * time.Second

func (n *network) status(ctx context.Context, i int) (peerStatus, error) {
	p := n.Peers[i]
	s := peerStatus{Peer: i, PeerID: p.ID, API: p.API, State: "down"}
	running, err := p.Process.Running()
	if !running || err != nil {
		return s, err
	}
	s.PID, s.Memory = p.Process.PID, p.Process.Memory()
	ctx, cancel := context.WithTimeout(ctx, statusTimeout)
	defer cancel()
	got, err := n.clients[i].Status(ctx)
	if err != nil {
		s.State, s.Reason = "silent", err.Error()
		return s, nil
	}
	s.State, s.Reason = "ready", cmp.Or(got.Reason, got.Note)
	if !got.Ready {
		s.State = "not ready"
	}
	s.Height, s.TipID, s.Neighbours, s.PoolTxs = got.Height, got.TipId, got.Neighbours, got.PoolTxs
	return s, nil
}

func testnetKill() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "kill PEER",
		Short:   "End a peer by SIGKILL, which it cannot prepare for",
		Example: "  peer testnet kill 0      the orderer",
		Args:    cobra.ExactArgs(1),
	}
	dir := dirFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		i, err := peerNumber(args[0])
		if err != nil {
			return err
		}
		if err := local.Kill(*dir, i); err != nil {
			return testnetError(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "peer %d is killed\n", i)
		return nil
	}
	return cmd
}

func testnetStart() *cobra.Command {
	cmd := &cobra.Command{
		Use:     "start PEER",
		Short:   "Start a peer again that is down",
		Example: "  peer testnet start 0",
		Args:    cobra.ExactArgs(1),
	}
	dir := dirFlag(cmd)
	resetLock := cmd.Flags().Bool("reset-lock", false, "of the orderer, when its home is an old copy: as of peer start")
	patience := cmd.Flags().Duration("timeout", time.Minute, "how long it may take to be ready")
	cmd.RunE = func(cmd *cobra.Command, args []string) error {
		i, err := peerNumber(args[0])
		if err != nil {
			return err
		}
		var flags []string
		if *resetLock {
			flags = append(flags, "--reset-lock")
		}
		if err := local.Start(cmd.Context(), *dir, i, *patience, flags...); err != nil {
			return testnetError(err)
		}
		fmt.Fprintf(cmd.OutOrStdout(), "peer %d is ready\n", i)
		return nil
	}
	return cmd
}

func peerNumber(arg string) (int, error) {
	i, err := strconv.Atoi(arg)
	if err != nil {
		return 0, cli.Usagef("peer %q: want its number, from 0", arg)
	}
	return i, nil
}

func testnetDown() *cobra.Command {
	cmd := &cobra.Command{
		Use:   "down",
		Short: "End every process of a testnet; ledgers and logs stay",
		Example: `  peer testnet down
  peer testnet down --remove      and delete its ledgers and logs`,
		Args: cobra.NoArgs,
	}
	dir := dirFlag(cmd)
	patience := cmd.Flags().Duration("timeout", 10*time.Second, "how long the peers may take to stop before they are killed")
	remove := cmd.Flags().Bool("remove", false, "delete the testnet as well")
	out := cli.OutputFlag(cmd)
	cmd.RunE = func(cmd *cobra.Command, _ []string) error {
		stopped, err := local.Down(*dir, *patience)
		if err != nil {
			return testnetError(err)
		}
		if *remove {
			if err := local.Remove(*dir); err != nil {
				return testnetError(err)
			}
		}
		return out.Print(cmd, map[string]any{"peers": stopped}, func(w io.Writer) {
			counts := map[string]int{}
			for _, s := range stopped {
				counts[s.How]++
			}
			var parts []string
			for _, how := range []string{"stopped", "killed", "not running"} {
				if counts[how] > 0 {
					parts = append(parts, fmt.Sprintf("%d %s", counts[how], how))
				}
			}
			fmt.Fprintf(w, "%s: %s\n", report.Count(len(stopped), "peer"), strings.Join(parts, ", "))
		})
	}
	return cmd
}
