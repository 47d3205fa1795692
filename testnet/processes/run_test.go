package processes

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/testnet/course"
	"grapevine/testnet/local"
	"grapevine/testnet/outcome"
	"grapevine/testnet/scenario"
)

// hang is how long tests wait for other processes. It only makes a failure of what would
// hang: no test is about how fast this machine is.
const hang = 5 * time.Minute

// planned is the plan of four peers, changed.
func planned(t *testing.T, change func(s *scenario.Scenario)) *scenario.Plan {
	t.Helper()
	s := scenario.Defaults()
	s.Name, s.World, s.Peers = "test", scenario.Processes, 4
	change(&s)
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

const second = scenario.Duration(time.Second)

func TestCheck(t *testing.T) {
	for _, c := range []struct {
		says   string // "" for nothing
		change func(s *scenario.Scenario)
	}{
		{"", func(*scenario.Scenario) {}},
		{"", func(s *scenario.Scenario) {
			s.Load.Warm, s.Link.Loss, s.Peers = 0.5, 0.1, local.MaxPeers
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: second, Share: 0.3}, {Kind: scenario.Join, At: 2 * second, Share: 0.3}}
		}},
		{"fault[1] (cut): there are no links", func(s *scenario.Scenario) {
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: second, Share: 0.3}, {Kind: scenario.Cut, At: second, Share: 0.3}}
		}},
		{"fault[0] (loss)", func(s *scenario.Scenario) { s.Faults = []scenario.Fault{{Kind: scenario.Loss, At: second, Loss: 0.1}} }},
		{"fault[0] (slow)", func(s *scenario.Scenario) { s.Faults = []scenario.Fault{{Kind: scenario.Slow, At: second, Rate: 1e6}} }},
		{"201 peers: want 200", func(s *scenario.Scenario) { s.Peers = local.MaxPeers + 1 }},
		{`membership = "static"`, func(s *scenario.Scenario) { s.Membership = scenario.Static }},
		{"load.block_sizes has 2 sizes, and load.every is 900ms", func(s *scenario.Scenario) {
			s.Load.BlockSizes, s.Load.Every = []scenario.Bytes{1000, 2000, 2000}, 900*scenario.Duration(time.Millisecond)
		}},
		{"", func(s *scenario.Scenario) {
			s.Load.BlockSizes, s.Load.Every = []scenario.Bytes{1000, 2000}, second
		}},
		{"", func(s *scenario.Scenario) {
			s.Load.BlockSizes, s.Load.Every = []scenario.Bytes{1000, 1000}, second/2
		}},
		{"", func(s *scenario.Scenario) {
			s.Load.BlockSizes, s.Load.Every, s.Load.TxRate = []scenario.Bytes{1000, 2000}, second/2, 10
		}},
		{"all 4 peers are crashed at the end", func(s *scenario.Scenario) {
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: 50 * second, Peers: []int{0, 1, 2, 3}}}
		}},
		{"", func(s *scenario.Scenario) {
			s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: 50 * second, Peers: []int{0, 1, 3}}}
		}},
	} {
		err := Check(planned(t, c.change))
		if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
			t.Errorf("%v, want an error that says %q", err, c.says)
		}
	}
}

func TestSettings(t *testing.T) {
	plan := planned(t, func(s *scenario.Scenario) {
		s.Load.BlockSizes, s.Load.TxSize = []scenario.Bytes{10_000, 30_000, 20_000}, 1000
		s.Settings = scenario.Settings{Mode: "pull", Fanout: 3, NoCatchup: true, PullEvery: second, FetchTimeout: 2 * second}
	})
	const load = "block_max_txs:30 block_preferred_bytes:4MiB "
	const want = "map[" + load + "catchup:false fanout:3 fetch_timeout:2s mode:pull pull_every:1s]"
	if got := fmt.Sprint(settings(plan)); got != want {
		t.Errorf("they are %s, want %s", got, want)
	}
	plan.Load.TxRate, plan.Settings = 5, scenario.Settings{}
	const users = "map[catchup:true fanout:0 fetch_timeout:0s pull_every:0s]"
	if got := fmt.Sprint(settings(plan)); got != users {
		t.Errorf("of users' load they are %s, want %s", got, users)
	}
}

func TestParseTally(t *testing.T) {
	const text = `# HELP grapevine_p2p_bytes_total Bytes
grapevine_p2p_bytes_total{direction="in",lane="blocks"} 1
grapevine_p2p_bytes_total{direction="in",lane="bodies"} 2.5e+06
grapevine_p2p_bytes_total{direction="out",lane="blocks"} 40
grapevine_p2p_pubsub_bytes_total{direction="in"} 500
grapevine_p2p_pubsub_bytes_total{direction="out"} 6000
grapevine_block_again_bytes_total 70000
grapevine_message_bytes_total{direction="in",type="gossip"} 800000
`
	got, err := parseTally(strings.NewReader(text))
	if want := (tally{2_500_501, 6040, 70_000}); err != nil || got != want {
		t.Errorf("got %v, %v: want %v", got, err, want)
	}
	if got := got.plus(tally{1, 2, 3}).minus(tally{1, 1, 1}); got != (tally{2_500_501, 6041, 70_002}) {
		t.Errorf("added and taken off it is %v", got)
	}
	for cut, says := range map[string]string{"p2p_bytes": "no metric " + laneBytes, "again": "no metric " + againBytes} {
		if _, err := parseTally(strings.NewReader(strings.ReplaceAll(text, cut, "other"))); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("without %s: %v, want an error that says %q", cut, err, says)
		}
	}
	if _, err := parseTally(strings.NewReader(strings.ReplaceAll(text, " 40\n", " many\n"))); err == nil || !strings.Contains(err.Error(), "many") {
		t.Errorf("with a count that is no number: %v", err)
	}
}

// TestCounted: peer 0 runs in its first life, peer 1 in its second, peer 2 no more.
func TestCounted(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		fmt.Fprintf(w, "%s{direction=\"in\"} 1000\n%s{direction=\"out\"} 600\n%s 40\n", laneBytes, laneBytes, againBytes)
	}))
	defer server.Close()
	addr := strings.TrimPrefix(server.URL, "http://")
	w := &world{
		net: &local.Session{Network: &local.Network{Peers: []local.Peer{{API: addr}, {API: addr}, {API: addr}}}}, lives: []*local.Started{{}, {}, nil}, out: &outcome.Outcome{Peers: make([]outcome.Peer, 3)}, last: make([]tally, 3),
		from: []tally{{200, 400, 30}, {}, {}}, past: []tally{{}, {2000, 1000, 2}, {3000, 2000, 5}},
	}
	if err := w.Note(t.Context()); err != nil {
		t.Fatal(err)
	}
	w.counted()
	for i, want := range [][3]int64{{840, 210, 10}, {3150, 1680, 42}, {3150, 2100, 5}} {
		if p := w.out.Peers[i]; p.Received != want[0] || p.Sent != want[1] || p.Again != want[2] {
			t.Errorf("peer %d received %d, sent %d, and %d again: want %v", i, p.Received, p.Sent, p.Again, want)
		}
	}
	server.Close()
	if err := w.Note(t.Context()); err == nil || !strings.Contains(err.Error(), "peer 0: ") {
		t.Errorf("of peers that do not answer: %v, want an error that names them", err)
	}
}

// logged writes log lines, as times in milliseconds and what follows.
func logged(t0 time.Time, lines ...string) string {
	var b strings.Builder
	for _, l := range lines {
		var ms int
		var rest string
		if _, err := fmt.Sscanf(l, "%d", &ms); err != nil {
			panic(err)
		}
		_, rest, _ = strings.Cut(l, " ")
		fmt.Fprintf(&b, "{\"time\":%q,\"level\":\"INFO\",%s}\n", t0.Add(time.Duration(ms)*time.Millisecond).Format(time.RFC3339Nano), rest)
	}
	return b.String()
}

func accepts(height int, id block.ID, via string, latency time.Duration) string {
	return fmt.Sprintf(`"msg":"block accepted","height":%d,"id":%q,"bytes":1000,"via":%q,"from":"b","hop":2,"latency":%d`, height, id, via, latency)
}

// TestDiaries: peer 0, the orderer, made three blocks and crashed for good with a fourth;
// peer 1 was killed with block 2 in its ledger and not in its log, came back, and let go
// of peer 0; peer 2 was killed with block 2 in its log and not in its ledger; peer 3 never
// ran.
func TestDiaries(t *testing.T) {
	const ms = time.Millisecond
	t0 := time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)
	a, b, c, d := block.ID{1}, block.ID{2}, block.ID{3}, block.ID{4}
	w := &world{
		course: &course.Course{Plan: &scenario.Plan{}}, lives: []*local.Started{nil, {}, {}, nil}, net: &local.Session{Network: &local.Network{}},
		out: &outcome.Outcome{End: 900 * ms, Peers: make([]outcome.Peer, 4)},
	}
	w.course.Start(t0)
	for i, id := range []block.ID{a, b, c} {
		w.out.Blocks = append(w.out.Blocks, outcome.Block{Height: uint64(i + 1), ID: id, Bytes: 1000, At: time.Duration(100*i+100) * ms})
	}
	w.out.Peers[0].Gone(450 * ms)
	for i := range 2 {
		w.out.Peers[1+i].Gone(250 * ms)
		w.out.Peers[1+i].Back(300 * ms)
		w.out.Peers[1+i].Height, w.out.Peers[1+i].ID = 3, c
	}
	w.out.Peers[3].Gone(0)
	half := logged(t0, "0 "+accepts(1, a, "push", 0))[:60]
	logs := []string{
		logged(t0, `-50 "msg":"node started","height":0`, "105 "+accepts(1, a, "own", 5*ms), "205 "+accepts(2, b, "own", 5*ms),
			"305 "+accepts(3, c, "own", 5*ms), "405 "+accepts(4, d, "own", 5*ms)),
		logged(t0, `-50 "msg":"node started","height":0`, "130 "+accepts(1, a, "push", 20*ms)) + half +
			logged(t0, `310 "msg":"node started","height":2`, `350 "msg":"peer cut off","peer":"a","offence":"forged","detail":"a root"`,
				"360 "+accepts(3, c, "pull", 50*ms), "905 "+accepts(4, d, "push", 505*ms)), // after it was asked
		logged(t0, `-50 "msg":"node started","height":0`, "130 "+accepts(1, a, "push", 20*ms), "230 "+accepts(2, b, "push", 20*ms),
			`310 "msg":"node started","height":1`, "340 "+accepts(2, b, "catch-up", 120*ms)), // block 3 is not written yet
	}
	dir := t.TempDir()
	for i := range 4 {
		w.net.Peers = append(w.net.Peers, local.Peer{Index: i, ID: string(rune('a' + i)), Home: filepath.Join(dir, fmt.Sprint(i))})
		if i < len(logs) {
			if err := os.Mkdir(w.net.Peers[i].Home, 0o755); err != nil {
				t.Fatal(err)
			}
			if err := os.WriteFile(w.net.Peers[i].Log(), []byte(logs[i]), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := w.arrivals(); err != nil {
		t.Fatal(err)
	}
	var got []string
	for _, x := range w.out.Arrivals {
		got = append(got, fmt.Sprintf("peer %d has %d at %v %s from %d", x.Peer, x.Height, x.At, x.Via, x.From))
	}
	want := []string{
		"peer 0 has 1 at 105ms own from 1", "peer 1 has 1 at 120ms push from -1", "peer 2 has 1 at 120ms push from 1",
		"peer 0 has 2 at 205ms own from 1", "peer 2 has 2 at 220ms push from 1", "peer 1 has 2 at 250ms  from -1",
		"peer 0 has 3 at 305ms own from 1", "peer 2 has 2 at 320ms catch-up from 1", "peer 1 has 3 at 350ms pull from -1",
		"peer 0 has 4 at 405ms own from 1", "peer 2 has 3 at 900ms  from -1",
	}
	if !slices.Equal(got, want) {
		t.Errorf("arrivals are\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
	if p := w.out.Peers[0]; p.Height != 4 || p.ID != d || len(w.out.Blocks) != 4 || w.out.Blocks[3] != (outcome.Block{Height: 4, ID: d, Bytes: 1000, At: 400 * ms}) {
		t.Errorf("the orderer ended at height %d, and the blocks are %+v: want the fourth too", p.Height, w.out.Blocks)
	}
	if got := fmt.Sprint(w.out.Drops); got != "[{1 0 350ms forged: a root}]" {
		t.Errorf("dropped were %s", got)
	}
}

// script is a program that is no peer.
func script(t *testing.T, text string) local.Config {
	t.Helper()
	path := filepath.Join(t.TempDir(), "peer")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n[ $1 = init ] && exec mkdir $3\n"+text+"\n"), 0o755); err != nil {
		t.Fatal(err)
	}
	return local.Config{Dir: filepath.Join(t.TempDir(), "net"), Binary: path, Patience: hang}
}

// left fails the test if a process of the network runs.
func left(t *testing.T, dir string) {
	t.Helper()
	n, err := local.Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range n.Peers {
		if running, err := p.Process.Running(); err != nil || running {
			t.Errorf("%s still runs, %v", p.Name(), err)
		}
	}
}

func TestRunThatDoesNotStand(t *testing.T) {
	cfg := script(t, "echo no such setting >&2; exit 2")
	plan := planned(t, func(*scenario.Scenario) {})
	if _, err := Run(t.Context(), cfg, plan, "grapevine", nil); err == nil || !strings.Contains(err.Error(), "ended before it was ready") || !strings.Contains(err.Error(), "no such setting") {
		t.Errorf("%v, want an error that shows what the peer said", err)
	}
	left(t, cfg.Dir)
	if _, err := Run(t.Context(), cfg, plan, "grapevine", nil); !errors.Is(err, local.ErrThere) || !strings.Contains(err.Error(), cfg.Dir) {
		t.Errorf("in the same directory: %v, want ErrThere", err)
	}
}

func TestRunInterrupted(t *testing.T) {
	cfg := script(t, "exec sleep 60")
	cause := errors.New("enough")
	ctx, cancel := context.WithCancelCause(t.Context())
	cfg.Progress = func(int, int) { cancel(cause) } // all are started
	if _, err := Run(ctx, cfg, planned(t, func(*scenario.Scenario) {}), "grapevine", nil); !errors.Is(err, cause) {
		t.Errorf("%v, want the cause", err)
	}
	left(t, cfg.Dir)
}
