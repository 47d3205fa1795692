package scenario

import (
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

// refusals are files, what the error says of each, and that it says what to do.
var refusals = []struct{ file, want string }{
	// keys
	{`peer = 3`, `unknown key "peer": did you mean "peers"?`},
	{`Peers = 3`, `unknown key "Peers": did you mean "peers"?`},
	{`load.WARM = 1.0`, `unknown key "load.WARM": did you mean "warm"?`},
	{`xyzzy = 3`, `unknown key "xyzzy": want one of about, `},
	{"[load]\nblocksize = [\"1MiB\"]", `unknown key "load.blocksize": did you mean "block_sizes"?`},
	{"[[class]]\nname = \"a\"\nshare = 0.1\ndelay = \"1s\"", `unknown key "class[0].delay"`},
	{"[[fault]]\nkind = \"cut\"\n[[fault]]\nkin = \"cut\"", `unknown key "fault[1].kin": did you mean "kind"?`},
	{`fault = [{kind = "cut", a = "1s"}]`, `unknown key "fault[0].a"`},
	{`class = [{name = "a", share = 0.1, "" = 1}]`, `unknown key "class[0]."`},
	{`peers = `, `toml: line 1`},
	{`peers = "many"`, `last key "peers"`},
	{"link = {up = 3}", `rate "3" has no unit: want one such as`},
	{"duration = 3", `duration "3": want one such as 250ms`},
	{"[load]\ntx_size = \"1XB\"", `size "1XB": there is no unit "XB": want B, kB`},

	// the head
	{`peers = 1`, `peers 1: want 2 to 100000`},
	{`peers = 0`, `peers 0: want 2`},
	{`peers = 100001`, `peers 100001: want 2`},
	{`seed = -1`, `seed -1: want 0 to 2^63-1`},
	{`world = "event"`, `world "event": did you mean "events"?`},
	{`membership = "dead"`, `membership "dead": `},
	{"membership = \"live\"\npeers = 5001", `membership live with 5001 peers: full views go to 5000`},
	{`protocols = []`, `protocols []: want one at least`},
	{`protocols = ["fabrik"]`, `did you mean "fabric"?`},
	{`protocols = ["fabric", "fabric"]`, `"fabric" stands there twice`},
	{"about = \"a\\nb\"", `about "a\nb": want one line`},
	{`name = " "`, `name " ": want one line`},
	{`duration = "25h"`, `duration 25h0m0s: want 0s to 24h0m0s`},
	{`duration = "28s"`, `duration 28s: the last that happens is at 29s`},
	{"settings.mode = \"shove\"", `settings.mode "shove"`},
	{"settings.fanout = -1", `settings.fanout -1: want 0 to 1024`},
	{`settings.pull_every = "25h"`, `settings.pull_every 25h0m0s`},
	{`settings.fetch_timeout = "25h"`, `settings.fetch_timeout 25h0m0s`},

	// the load
	{`load.blocks = -1`, `load.blocks -1: want 0`},
	{`load.first = "25h"`, `load.first 25h0m0s`},
	{`load.every = "0s"`, `load.every 0s: want more than 0s`},
	{"load.blocks = 1000\nload.every = \"1h\"", `load.blocks 1000, one every 1h0m0s`},
	{`load.block_sizes = []`, `load.block_sizes has 0 sizes`},
	{`load.block_sizes = ["0B"]`, `load.block_sizes: 0B: want 1B to 4MiB`},
	{`load.block_sizes = ["5MiB"]`, `load.block_sizes: 5MiB: want`},
	{"load.block_sizes = [\"4MiB\"]\nload.tx_size = \"118B\"", `a block has 10000 at most: want a larger tx_size`},
	{`load.tx_size = "117B"`, `load.tx_size 117B: want 118B`},
	{`load.tx_size = "65537B"`, `load.tx_size 65537B: want 118B (a transaction without payload) to 64KiB`},
	{`load.warm = 1.1`, `load.warm 1.1: want 0 to 1`},
	{`load.warm = nan`, `load.warm NaN: want 0 to 1`},
	{`load.young = -0.1`, `load.young -0.1: want 0 to 1`},
	{"world = \"packets\"\nload.tx_rate = 5.0\nload.young = 0.5", `load.young 0.5 with a tx_rate`},
	{`load.tx_rate = 5.0`, `load.tx_rate 5 in the event world`},
	{"world = \"packets\"\nload.tx_rate = 5.0\nload.warm = 0.5", `load.warm 0.5 with a tx_rate`},
	{"world = \"packets\"\nload.tx_rate = 5.0\nload.blocks = 0", `load.tx_rate 5 with no blocks`},
	{"world = \"packets\"\nload.tx_rate = inf", `load.tx_rate +Inf: want`},

	// links
	{`link.up = "999bit"`, `link.up 999bit: want 1kbit to 100gbit`},
	{`link.down = "0bit"`, `link.down 0bit`},
	{`link.latency = "11s"`, `link.latency 11s: want 0s to 10s`},
	{`link.jitter = "11s"`, `link.jitter 11s`},
	{`link.loss = 1.0`, `link.loss 1: want 0 to less than 1; a fault of kind "cut" loses all`},
	{`link.loss = -0.1`, `link.loss -0.1`},

	// classes
	{`class = [{share = 0.1}]`, `class[0].name ""`},
	{`class = [{name = "a", share = 0.1}, {name = "a", share = 0.1}]`, `class[1].name "a": another class has it`},
	{`class = [{name = "a"}]`, `class[0] (a): want its share or its peers`},
	{`class = [{name = "a", share = 0.1, peers = [1]}]`, `class[0] (a): want its share or its peers, and not both`},
	{`class = [{name = "a", share = 0}]`, `class[0].share 0: that is nobody`},
	{`class = [{name = "a", share = 1.5}]`, `class[0].share 1.5: want 0 to 1`},
	{`class = [{name = "a", peers = []}]`, `class[0].peers []: that is nobody`},
	{`class = [{name = "a", peers = [50]}]`, `class[0].peers: 50: want 0 (the orderer) to 49`},
	{`class = [{name = "a", peers = [2, 2]}]`, `class[0].peers: 2 stands there twice`},
	{`class = [{name = "a", peers = [2]}, {name = "b", peers = [1, 2]}]`, `class[1].peers: peer 2 is in class "a" too`},
	{`class = [{name = "a", share = 0.6}, {name = "b", share = 0.6}]`, `the classes' shares are 1.2 together`},
	{`class = [{name = "a", peers = [1, 2, 3]}, {name = "b", share = 1.0}]`, `class "b".share 1: only 47 of 50 peers`},
	{`class = [{name = "a", share = 0.1, up = "1bit"}]`, `class[0].up 1bit`},
	{`class = [{name = "a", share = 0.1, latency = "0s"}]`, `class[0].latency 0: in a class zero means what [link] says, here 50ms`},
	{"link.loss = 0.1\nclass = [{name = \"a\", share = 0.1, loss = 0}]", `class[0].loss 0: `},

	{`class = [{name = "a", share = 0.1, up = "0bit"}]`, `class[0].up 0: want 1kbit to 100gbit, or leave it out`},
	{`class = [{name = "a", share = 0.1, down = 0}]`, `class[0].down 0: want`},

	// regions
	{`region = [{weight = 1}]`, `region[0].name ""`},
	{`region = [{name = "a", weight = 1}, {name = "a", weight = 1}]`, `region[1].name "a": another region`},
	{`region = [{name = "a", weight = -1}]`, `region[0].weight -1: want 0`},
	{`region = [{name = "a"}]`, `region[0] (a).weight 0: nobody would be there`},
	{`region = [{name = "a", orderer = true}]`, `the regions' weights are 0 together`},
	{`region = [{name = "a", weight = 1, orderer = true}, {name = "b", weight = 1, orderer = true}]`, `the orderer is in "a" already`},
	{`region = [{name = "asia", weight = 1, latency = {asis = "1ms"}}]`, `there is no region "asis": did you mean "asia"?`},
	{`region = [{name = "a", weight = 1, latency = {a = "11s"}}]`, `region[0].latency to "a" 11s`},
	{`region = [{name = "a", weight = 1, latency = {b = "1ms"}}, {name = "b", weight = 1, latency = {a = "2ms"}}]`, `latency 1ms to "b", which says 2ms back`},

	// faults
	{`fault = [{kind = "cuts"}]`, `fault[0].kind "cuts": did you mean "cut"?`},
	{`fault = [{kind = "cut", peers = [1], share = 0.5}]`, `fault[0] (cut) says whom it befalls in 2 ways`},
	{`fault = [{kind = "cut", share = 0.0}]`, `fault[0].share 0: that is nobody`},
	{`fault = [{kind = "cut", share = 1.5}]`, `fault[0] (cut).share 1.5`},
	{`fault = [{kind = "cut", peers = []}]`, `fault[0] (cut).peers []`},
	{`fault = [{kind = "cut", peers = [-1]}]`, `fault[0] (cut).peers: -1: want`},
	{`fault = [{kind = "cut", region = "x"}]`, `fault[0] (cut).region: there is no region "x": the scenario has none: want a table [[region]]`},
	{`fault = [{kind = "cut", region = "x"}]` + "\n[[region]]\nname = \"asia\"\nweight = 1", `there is no region "x": want one of asia`},
	{`fault = [{kind = "cut", class = "x"}]`, `fault[0] (cut).class: there is no class "x": the scenario has none: want a table [[class]]`},
	{`fault = [{kind = "cut", loss = 0.5}]`, `fault[0] (cut).loss 0.5: want it in a fault of kind "loss" alone`},
	{`fault = [{kind = "cut", rate = "1mbit"}]`, `fault[0] (cut).rate 1mbit: want it in a fault of kind "slow" alone`},
	{`fault = [{kind = "cut", at = "25h"}]`, `fault[0] (cut).at 25h0m0s`},
	{`fault = [{kind = "cut", at = "23h", for = "2h"}]`, `fault[0] (cut) ends at 25h0m0s`},
	{`fault = [{kind = "loss"}]`, `fault[0] (loss).loss 0: want more than 0`},
	{`fault = [{kind = "loss", loss = 1.0}]`, `fault[0] (loss).loss 1: want 0 to less than 1`},
	{`fault = [{kind = "slow"}]`, `fault[0] (slow).rate 0bit: want 1kbit`},
	{`fault = [{kind = "join", share = 0.5}]`, `fault[0] (join).at 0s: who is there from the beginning`},
	{`fault = [{kind = "join", share = 0.5, at = "1s", for = "1s"}]`, `fault[0] (join).for 1s`},
	{`fault = [{kind = "join", peers = [1, 0], at = "1s"}]`, `fault[0] (join).peers: 0 is the orderer`},
	{"class = [{name = \"a\", peers = [0, 3]}]\nfault = [{kind = \"join\", class = \"a\", at = \"1s\"}]", `befalls peer 0, the orderer`},
	{"peers = 2\nfault = [{kind = \"cut\", peers = [1, 0]}]", `fault[0] (cut) befalls all peers`},
	{"peers = 2\nclass = [{name = \"a\", share = 0.1}]\nfault = [{kind = \"cut\", class = \"a\"}]", `befalls nobody`},
	{`fault = [{kind = "cut", peers = [1]}, {kind = "cut", peers = [2, 1], at = "1s"}]`, `fault[1] (cut) befalls peer 1 while fault[0] (cut) does`},
	{`fault = [{kind = "join", peers = [1], at = "5s"}, {kind = "crash", peers = [1], at = "4s"}]`, `fault[1] (crash) befalls peer 1 while fault[0] (join) does`},
	{`fault = [{kind = "crash", share = 0.7}, {kind = "crash", share = 0.5, at = "1s"}]`, `fault[1] (crash).share 0.5 is 25 peers, and only 14 are there`},
	{`fault = [{kind = "crash", at = "1s"}]`, `its faults leave nobody but the orderer from the first block on, at 1s: want`},
	{"world = \"packets\"\nload.tx_rate = 1.0\nfault = [{kind = \"crash\", at = \"1s\"}]", `its faults leave nobody but the orderer`},

	// checks
	{`checks.coverage = 1.1`, `checks.coverage 1.1: want 0 to 1`},
	{`checks.redundancy = -1.0`, `checks.redundancy -1`},
	{`checks.reach = "25h"`, `checks.reach 25h0m0s`},
	{`checks.p99 = "25h"`, `checks.p99 25h0m0s`},
	{`checks.max = "25h"`, `checks.max 25h0m0s`},
	{"checks.p99 = \"2s\"\nchecks.max = \"1s\"", `checks.p99 2s above checks.max 1s`},
}

func TestRefusals(t *testing.T) {
	for _, c := range refusals {
		s, err := Parse("x", []byte(c.file))
		if err == nil {
			_, err = s.Plan()
		}
		if err == nil || !strings.HasPrefix(err.Error(), "scenario x: ") || !strings.Contains(err.Error(), c.want) {
			t.Errorf("%s\n got %v\nwant %s", c.file, err, c.want)
		}
	}
}

// TestRefusalsOfGo is what no file can say, or would be long to say.
func TestRefusalsOfGo(t *testing.T) {
	for want, change := range map[string]func(*Scenario){
		"101 faults: want 100 at most": func(s *Scenario) { s.Faults = slices.Repeat([]Fault{{Kind: Cut, Share: 0.1}}, 101) },
		"--dead 0.9 is 45 peers, and the scenario's own faults leave 34 for it: want less": func(s *Scenario) {
			s.Faults = []Fault{{Kind: Crash, Share: 0.3}, {Kind: Crash, Share: 0.9, Flag: "--dead"}}
		},
		"--dead 0.99 leaves nobody of 50 peers but the orderer: want less": func(s *Scenario) {
			s.Faults = []Fault{{Kind: Crash, Share: 0.99, Flag: "--dead"}}
		},
		"101 classes: want 100 at most":              func(s *Scenario) { s.Classes = make([]Class, 101) },
		"uneven 1: want 0 to less than 1":            func(s *Scenario) { s.Uneven = 1 },
		"101 regions: want 100 at most":              func(s *Scenario) { s.Regions = make([]Region, 101) },
		"fault[0] (cut).for -1s: want 0s to":         func(s *Scenario) { s.Faults = []Fault{{Kind: Cut, For: Duration(-time.Second)}} },
		"load.first -1s: want 0s to":                 func(s *Scenario) { s.Load.First = Duration(-time.Second) },
		"checks.bytes -1B: want 0B":                  func(s *Scenario) { s.Checks.Bytes = -1 },
		"block_sizes has 1001 sizes: want 1 to 1000": func(s *Scenario) { s.Load.BlockSizes = slices.Repeat(s.Load.BlockSizes, 1001) },
	} {
		s := Defaults()
		change(&s)
		if _, err := s.Plan(); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("got %v\nwant %s", err, want)
		}
	}
	if _, err := (Scenario{}).Plan(); err == nil || !strings.Contains(err.Error(), "peers 0") {
		t.Errorf("nothing at all: %v", err)
	}
	if _, err := Parse("x", bytes.Repeat([]byte("\n"), maxFile+1)); err == nil || !strings.Contains(err.Error(), "2097153 bytes: want 2097152 at most") {
		t.Errorf("a large file: %v", err)
	}
	if _, err := (Scenario{Seed: 1 << 63}).TOML(); err == nil || !strings.Contains(err.Error(), "seed 9223372036854775808") {
		t.Errorf("a large seed: %v", err)
	}
}

// TestZeros holds zeros apart from what is not said.
func TestZeros(t *testing.T) {
	s, err := Parse("x", nil)
	if want := Defaults(); err != nil || s.Load.Blocks != 5 || s.Link != want.Link || s.Name != "x" {
		t.Errorf("nothing is %+v, %v", s, err)
	}
	s, err = Parse("x", []byte("load.blocks = 0\nload.first = \"0s\"\nlink.latency = \"0s\"\nclass = [{name = \"a\", share = 0.1, latency = \"0s\", loss = 0}]\n"))
	if err != nil || s.Load.Blocks != 0 || s.Load.First != 0 || s.Link.Latency != 0 || s.Link.Up != 50e6 {
		t.Errorf("zeros are %+v, %v", s, err)
	}
	s, err = Parse("x", []byte("name = \"y\"\nload.block_sizes = [\"1kB\", \"2kB\"]\nchecks.reach = \"0s\""))
	if err != nil || s.Name != "y" || !reflect.DeepEqual(s.Load.BlockSizes, []Bytes{1000, 2000}) {
		t.Errorf("got %+v, %v", s, err)
	}
	if p, err := s.Plan(); err != nil || p.Checks.Reach.D() != 30*time.Second {
		t.Errorf("a reach of zero is %v, %v: want 30s", p, err)
	}
}

func TestLibrary(t *testing.T) {
	names := Names()
	for i, s := range Library() {
		if s.Name != names[i] || s.About == "" {
			t.Errorf("%s.toml has the name %q, and is about %q", names[i], s.Name, s.About)
		}
		if _, err := s.Plan(); err != nil {
			t.Error(err)
		}
		if got := roundTrip(t, s); !reflect.DeepEqual(got, s) {
			t.Errorf("wrote %+v\nread  %+v", s, got)
		}
	}
	for _, want := range strings.Fields("default warm small regions loss partition crash crowd slow large growth membership") {
		if _, err := Find(want); err != nil {
			t.Error(err)
		}
	}
}

func TestFind(t *testing.T) {
	if _, err := Find("defalt"); !errors.Is(err, ErrUnknown) || !strings.HasSuffix(err.Error(), `: did you mean "default"?`) {
		t.Errorf("got %v", err)
	}
	if _, err := Find("default.toml"); err == nil || !strings.Contains(err.Error(), "no such file") {
		t.Errorf("what ends with .toml is a file: got %v", err)
	}
	path := filepath.Join(t.TempDir(), "mine.toml")
	if err := os.WriteFile(path, []byte("peers = 7"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(strings.TrimSuffix(path, ".toml"), []byte("peers = 8"), 0o600); err != nil {
		t.Fatal(err)
	}
	if s, err := Find(strings.TrimSuffix(path, ".toml")); err != nil || s.Name != "mine" || s.Peers != 8 {
		t.Errorf("got %+v, %v", s, err)
	}
	if s, err := Find(path); err != nil || s.Name != "mine" || s.Peers != 7 {
		t.Errorf("got %+v, %v", s, err)
	}
}

// TestErrorsNameTheFile: as it was named, whether the file alone shows it or its plan.
func TestErrorsNameTheFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "bad.toml")
	for text, want := range map[string]string{
		"lod.blocks = 3":                   `: unknown key "lod": did you mean "load"?`,
		"peers = 1":                        ": peers 1: want 2 to 100000",
		"duration = \"28s\"\nname = \"y\"": ": duration 28s: the last that happens is at 29s",
	} {
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		s, err := Find(path)
		if err == nil {
			_, err = s.Plan()
		}
		if err == nil || !strings.HasPrefix(err.Error(), path+want) || errors.Is(err, ErrUnknown) {
			t.Errorf("%s\n got %v\nwant %s%s", text, err, path, want)
		}
	}
}

// roundTrip writes a scenario and returns what reading that gives, which is written as
// the same text again.
func roundTrip(t *testing.T, s Scenario) Scenario {
	t.Helper()
	text, err := s.TOML()
	if err != nil {
		t.Fatal(err)
	}
	got, err := Parse("another name", text)
	if err != nil {
		t.Fatalf("%v\n%s", err, text)
	}
	if again, err := got.TOML(); err != nil || !bytes.Equal(again, text) {
		t.Fatalf("wrote\n%s\nand then %v\n%s", text, err, again)
	}
	return got
}

// FuzzParse: no text brings the parser or the planner down, and what they accept can
// be written and read again.
func FuzzParse(f *testing.F) {
	f.Add("")
	for _, c := range refusals {
		f.Add(c.file)
	}
	for seed := range uint64(10) {
		text, err := Random(seed).TOML()
		if err != nil {
			f.Fatal(err)
		}
		f.Add(string(text))
	}
	f.Fuzz(func(t *testing.T, text string) {
		s, err := Parse("x", []byte(text))
		if err != nil {
			return
		}
		roundTrip(t, s)
		if s.Peers > 300 || s.Load.Blocks > 300 { // only to be quick
			return
		}
		if p, err := s.Plan(); err == nil {
			checkPlan(t, p)
		}
	})
}
