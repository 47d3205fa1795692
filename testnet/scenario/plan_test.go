package scenario

import (
	"math"
	"reflect"
	"slices"
	"testing"
	"time"
)

// planned parses a scenario and plans it.
func planned(t *testing.T, text string) *Plan {
	t.Helper()
	s, err := Parse("x", []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	return p
}

// checkPlan holds a plan against what is true of all.
func checkPlan(t *testing.T, p *Plan) {
	t.Helper()
	if len(p.PeerPlans) != p.Peers {
		t.Fatalf("%d plans of %d peers", len(p.PeerPlans), p.Peers)
	}
	regions, classes := len(p.Regions), p.classNames()
	for i, pp := range p.PeerPlans {
		if pp.Region < -1 || pp.Region >= regions || (pp.Region < 0) != (regions == 0) {
			t.Fatalf("peer %d is in region %d of %d", i, pp.Region, regions)
		}
		if pp.Class != "" && !slices.Contains(classes, pp.Class) || pp.Up < minRate || pp.Down < minRate {
			t.Fatalf("peer %d is %+v", i, pp)
		}
		if d := p.Latency(i, 0); d < 0 || d != p.Latency(0, i) {
			t.Fatalf("peer %d is %v from the orderer, and that is %v back", i, d, p.Latency(0, i))
		}
	}
	if p.PeerPlans[0].Joins != 0 {
		t.Fatalf("the orderer joins at %v", p.PeerPlans[0].Joins)
	}
	blocks := 0
	var before time.Duration
	for _, e := range p.Events {
		if e.At < before || e.At > p.Quiet() || e.At > p.End() {
			t.Fatalf("%+v comes after %v; the last is at %v, the end at %v", e, before, p.Quiet(), p.End())
		}
		before = e.At
		if e.Kind == Propose {
			if e.Block != blocks || e.Fault != -1 || len(e.Peers) > 0 || !p.Alive(0, e.At) || p.TxCount(e.Block) < 1 {
				t.Fatalf("%+v is block %d", e, blocks)
			}
			blocks++
		} else if len(e.Peers) == 0 || !slices.IsSorted(e.Peers) || e.Peers[0] < 0 || e.Peers[len(e.Peers)-1] >= p.Peers {
			t.Fatalf("%+v befalls whom?", e)
		}
	}
	checkTurns(t, p)
}

// checkTurns: whatever begins has not begun, and whatever ends has.
func checkTurns(t *testing.T, p *Plan) {
	t.Helper()
	for peer, pp := range p.PeerPlans {
		alive, cut, loss, rate := pp.Joins == 0, false, false, false
		for _, e := range p.Events {
			if !slices.Contains(e.Peers, peer) {
				continue
			}
			turn := func(is *bool, to bool) {
				if *is == to {
					t.Fatalf("peer %d: %+v, and it was so already", peer, e)
				}
				*is = to
			}
			switch e.Kind {
			case CutOff, Mend:
				turn(&cut, e.Kind == CutOff)
			case Kill, Start:
				turn(&alive, e.Kind == Start)
			case SetLoss:
				turn(&loss, e.Loss > 0)
			case SetRate:
				turn(&rate, e.Rate > 0)
			}
		}
		if alive != p.Alive(peer, p.End()) {
			t.Fatalf("peer %d: alive at the end is %v", peer, !alive)
		}
	}
}

func TestEvents(t *testing.T) {
	p := planned(t, `
peers = 10
load.blocks = 3
load.first = "1s"
load.every = "1s"
fault = [
  {kind = "crash", at = "1s", for = "1s", peers = [2, 1]},
  {kind = "crash", at = "2s", peers = [1]},
  {kind = "join", at = "3s", peers = [7]},
  {kind = "loss", at = "2s", for = "2s", peers = [0], loss = 0.25},
  {kind = "slow", at = "500ms", for = "1s", rate = "1mbit"},
]`)
	s := time.Second
	want := []Event{
		{At: s / 2, Kind: SetRate, Peers: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, Fault: 4, Rate: 1e6},
		{At: s, Kind: Kill, Peers: []int{1, 2}, Fault: 0},
		{At: s, Kind: Propose, Fault: -1, Block: 0},
		{At: s * 3 / 2, Kind: SetRate, Peers: []int{1, 2, 3, 4, 5, 6, 7, 8, 9}, Fault: 4},
		{At: 2 * s, Kind: Start, Peers: []int{1, 2}, Fault: 0},
		{At: 2 * s, Kind: Kill, Peers: []int{1}, Fault: 1},
		{At: 2 * s, Kind: SetLoss, Peers: []int{0}, Fault: 3, Loss: 0.25},
		{At: 2 * s, Kind: Propose, Fault: -1, Block: 1},
		{At: 3 * s, Kind: Start, Peers: []int{7}, Fault: 2},
		{At: 3 * s, Kind: Propose, Fault: -1, Block: 2},
		{At: 4 * s, Kind: SetLoss, Peers: []int{0}, Fault: 3},
	}
	if !reflect.DeepEqual(p.Events, want) {
		t.Errorf("got\n%+v\nwant\n%+v", p.Events, want)
	}
	if p.Quiet() != 4*s || p.End() != 34*s || p.PeerPlans[7].Joins != 3*s {
		t.Errorf("quiet at %v, over at %v, and peer 7 joins at %v", p.Quiet(), p.End(), p.PeerPlans[7].Joins)
	}
	for _, c := range []struct {
		peer int
		at   time.Duration
		want bool
	}{
		{1, s - 1, true}, {1, s, false}, {1, 2 * s, false}, {1, 30 * s, false},
		{2, s, false}, {2, 2*s - 1, false}, {2, 2 * s, true},
		{7, 0, false}, {7, 3*s - 1, false}, {7, 3 * s, true}, {0, 30 * s, true},
	} {
		if got := p.Alive(c.peer, c.at); got != c.want || p.Reachable(c.peer, c.at) != got {
			t.Errorf("peer %d alive at %v: %v", c.peer, c.at, got)
		}
	}
}

// TestFaultsTouch: one that begins as another ends does not clash with it, whichever
// the file names first, and a share of all is everybody but the orderer.
func TestFaultsTouch(t *testing.T) {
	p := planned(t, `
peers = 6
load.blocks = 0
region = [{name = "a", weight = 1}, {name = "b", weight = 1}]
fault = [
  {kind = "crash", at = "2s", for = "1s", share = 1.0},
  {kind = "crash", at = "3s", for = "1s", peers = [1, 2, 3, 4, 5]},
  {kind = "crash", at = "1s", for = "1s"},
  {kind = "cut", at = "1s", region = "b"},
]`)
	checkPlan(t, p)
	for _, e := range p.Events {
		if e.Kind == Kill && !reflect.DeepEqual(e.Peers, []int{1, 2, 3, 4, 5}) {
			t.Errorf("%+v", e)
		}
		for i, pp := range p.PeerPlans {
			if e.Kind == CutOff && slices.Contains(e.Peers, i) != (pp.Region == 1) {
				t.Errorf("%+v, and peer %d is in region %d", e, i, pp.Region)
			}
		}
	}
}

// TestOrdererRegion: it is where the file puts it, whatever the seed.
func TestOrdererRegion(t *testing.T) {
	elsewhere := 0
	for seed := range uint64(20) {
		s := Defaults()
		s.Seed = seed
		s.Regions = []Region{{Name: "a", Weight: 1}, {Name: "b", Orderer: true}}
		p, err := s.Plan()
		if err != nil || p.PeerPlans[0].Region != 1 || p.PeerPlans[1].Region != 0 {
			t.Fatalf("%+v, %v", p.PeerPlans[:2], err)
		}
		s.Regions[1] = Region{Name: "b", Weight: 1}
		if p, err = s.Plan(); err != nil {
			t.Fatal(err)
		}
		elsewhere += 1 - p.PeerPlans[0].Region
	}
	if elsewhere == 0 || elsewhere == 20 {
		t.Errorf("of 20 seeds %d draw the orderer into region a", elsewhere)
	}
}

func TestClassesSayALink(t *testing.T) {
	p := planned(t, `
link = {up = "1mbit", down = "2mbit", latency = "3ms", jitter = "4ms", loss = 0.5}
class = [
  {name = "all", peers = [1], up = "6mbit", down = "7mbit", latency = "8ms", jitter = "9ms", loss = 0.25},
  {name = "none", peers = [2]},
]`)
	ms := Duration(time.Millisecond)
	for peer, want := range []Link{{1e6, 2e6, 3 * ms, 4 * ms, 0.5}, {6e6, 7e6, 8 * ms, 9 * ms, 0.25}, {1e6, 2e6, 3 * ms, 4 * ms, 0.5}} {
		if got := p.PeerPlans[peer].Link; got != want {
			t.Errorf("peer %d has %+v, want %+v", peer, got, want)
		}
	}
}

func TestReachable(t *testing.T) {
	p := planned(t, `
peers = 6
load.blocks = 0
duration = "1m"
fault = [
  {kind = "cut", at = "1s", for = "2s", peers = [1, 2]},
  {kind = "cut", at = "2s", peers = [3]},
  {kind = "cut", at = "4s", for = "1s", peers = [0, 4]},
]`)
	for at, want := range map[time.Duration]string{
		0: "012345", 1: "0345", 2: "045", 3: "01245", 4: "04", 5: "01245", 60: "01245",
	} {
		got := ""
		for peer := range p.Peers {
			if p.Reachable(peer, at*time.Second) {
				got += string(rune('0' + peer))
			}
		}
		if got != want {
			t.Errorf("after %d s peers %s are reachable, want %s", at, got, want)
		}
	}
	if p.End() != time.Minute {
		t.Errorf("it ends after %v, want its duration", p.End())
	}
}

// TestOrdererDown: no block is made by nobody.
func TestOrdererDown(t *testing.T) {
	p := planned(t, `
load.blocks = 10
load.every = "1s"
fault = [{kind = "crash", at = "3s", for = "2s", peers = [0]}]`)
	var at []time.Duration
	for _, e := range p.Events {
		if e.Kind == Propose {
			at = append(at, e.At/time.Second)
		}
	}
	if !reflect.DeepEqual(at, []time.Duration{1, 2, 5, 6, 7, 8, 9, 10}) {
		t.Errorf("blocks at %v", at)
	}
	checkPlan(t, p)
}

// TestStreams: what is drawn for one purpose does not hang on another.
func TestStreams(t *testing.T) {
	head := `
peers = 200
class = [{name = "slow", share = 0.25, up = "1mbit"}, {name = "some", peers = [3, 4]}]
region = [{name = "a", weight = 1}, {name = "b", weight = 2, latency = {a = "9ms", b = "7ms"}}]
`
	first := `{kind = "cut", at = "1s", for = "1s", share = 0.3}, {kind = "crash", at = "2s", for = "1s", share = 0.3}`
	a := planned(t, head+"fault = ["+first+"]")
	b := planned(t, head+"fault = ["+first+`, {kind = "crash", at = "2s", share = 0.6}]`)
	c := planned(t, "seed = 2\n"+head+"fault = ["+first+"]")
	if again := planned(t, head+"fault = ["+first+"]"); !reflect.DeepEqual(a, again) {
		t.Error("the same scenario gives another plan")
	}
	if !reflect.DeepEqual(a.PeerPlans, b.PeerPlans) {
		t.Error("a fault more changes the peers")
	}
	for _, e := range a.Events {
		if !slices.ContainsFunc(b.Events, func(o Event) bool { return reflect.DeepEqual(e, o) }) {
			t.Errorf("a fault more changes %+v", e)
		}
	}
	if reflect.DeepEqual(a.PeerPlans, c.PeerPlans) || reflect.DeepEqual(a.Events[0].Peers, c.Events[0].Peers) {
		t.Error("another seed changes nothing")
	}
	for _, p := range []*Plan{a, b, c} {
		checkPlan(t, p)
	}
	checkDraws(t, a)
}

// checkDraws counts what the shares and weights of TestStreams give.
func checkDraws(t *testing.T, p *Plan) {
	t.Helper()
	count := map[string]int{}
	for i, pp := range p.PeerPlans {
		count[pp.Class]++
		count[p.Regions[pp.Region].Name]++
		if (pp.Class == "slow") != (pp.Up == 1e6) || pp.Down != 50e6 || (pp.Class == "some") != (i == 3 || i == 4) {
			t.Errorf("peer %d is %+v", i, pp)
		}
	}
	if count["slow"] != 50 || count["some"] != 2 || count["a"] < 45 || count["a"] > 90 {
		t.Errorf("got %v, want 50 slow peers, and a third in region a", count)
	}
	var cut, crash []int
	for i, e := range p.Events {
		switch e.Kind {
		case CutOff:
			cut = e.Peers
		case Kill:
			crash = e.Peers
		}
		if e.Kind != Propose && (len(e.Peers) != 60 || slices.Contains(e.Peers, 0)) {
			t.Errorf("event %d befalls %d peers, %v: want 60, and not the orderer", i, len(e.Peers), e.Peers)
		}
	}
	if reflect.DeepEqual(cut, crash) {
		t.Errorf("two faults draw the same peers, %v", cut)
	}
	if p.Random("x", 1).Uint64() == p.Random("x", 2).Uint64() || p.Random("x", 1).Uint64() == p.Random("y", 1).Uint64() || p.Random("x", 1).Uint64() != p.Random("x", 1).Uint64() {
		t.Error("streams are not their own")
	}
}

func TestLatency(t *testing.T) {
	p := planned(t, `
peers = 300
link.latency = "50ms"
class = [{name = "far", peers = [1, 2], latency = "150ms"}]
region = [{name = "a", weight = 1}, {name = "b", weight = 2, latency = {a = "9ms", b = "7ms"}}]`)
	names := map[[2]int]time.Duration{{0, 1}: 9, {1, 0}: 9, {1, 1}: 7}
	seen := map[time.Duration]int{}
	for i := range p.Peers {
		for j := range p.Peers {
			want, ok := names[[2]int{p.PeerPlans[i].Region, p.PeerPlans[j].Region}]
			if !ok {
				want = (p.PeerPlans[i].Latency.D() + p.PeerPlans[j].Latency.D()) / 2 / time.Millisecond
			}
			seen[want]++
			if got := p.Latency(i, j); got != want*time.Millisecond {
				t.Fatalf("from %d to %d: %v, want %d ms", i, j, got, want)
			}
		}
	}
	if len(seen) < 4 {
		t.Errorf("saw %v, want a mean and a link's own too", seen)
	}
	if p := planned(t, `class = [{name = "far", peers = [1, 2], latency = "150ms"}]`); p.Latency(1, 2) != 150*time.Millisecond || p.Latency(0, 1) != 100*time.Millisecond || p.Latency(3, 4) != 50*time.Millisecond {
		t.Errorf("without regions: %v, %v, %v", p.Latency(1, 2), p.Latency(0, 1), p.Latency(3, 4))
	}
}

// Uneven ways differ from pair to pair, are the same both ways, and are what was said on average.
func TestUnevenLatency(t *testing.T) {
	p := planned(t, "peers = 100\nuneven = 0.2\nlink.latency = \"50ms\"")
	least, most, sum, pairs := time.Hour, time.Duration(0), time.Duration(0), 0
	for i := range p.Peers {
		for j := range i {
			d := p.Latency(i, j)
			if d != p.Latency(j, i) {
				t.Fatalf("from %d to %d: %v, and %v back", i, j, d, p.Latency(j, i))
			}
			least, most, sum, pairs = min(least, d), max(most, d), sum+d, pairs+1
		}
	}
	if mean := sum / time.Duration(pairs); least < 40*time.Millisecond || least > 41*time.Millisecond || most > 60*time.Millisecond || most < 59*time.Millisecond || (mean-50*time.Millisecond).Abs() > time.Millisecond {
		t.Errorf("ways take %v to %v, %v on average: want 40 to 60 ms, and 50", least, most, mean)
	}
}

func TestBodies(t *testing.T) {
	p := planned(t, "load.block_sizes = [\"1MiB\", \"100B\", \"500B\"]\nload.blocks = 9")
	for block, want := range []int{4194, 1, 2, 4194, 1, 2} {
		if n := p.TxCount(block); n != want || p.BodyBytes(block) != want*250 || p.TxBytes(block) != 250 {
			t.Errorf("block %d has %d transactions in %d bytes, want %d", block, n, p.BodyBytes(block), want)
		}
	}
}

func TestYoung(t *testing.T) {
	p := planned(t, "load.warm = 1.0\nload.young = 0.1")
	young, others := 0, 0
	for tx := range 10_000 {
		if !p.Warm(0, 0, tx) {
			t.Fatalf("the orderer lacks transaction %d", tx)
		}
		if p.Young(0, tx) {
			young++
		}
		if p.Young(0, tx) == p.Warm(0, 1, tx) {
			t.Fatalf("transaction %d is young: %v, and another peer holds it all the same, or lacks it", tx, p.Young(0, tx))
		}
		if p.Young(0, tx) != p.Young(1, tx) {
			others++
		}
	}
	if young < 850 || young > 1150 || others < 1400 || others > 2200 {
		t.Errorf("%d of 10,000 are young, and %d differ from one block to another: want a tenth, and 0.18", young, others)
	}
}

func TestWarm(t *testing.T) {
	for _, warm := range []string{"0.0", "0.05", "0.5", "0.95", "1.0"} {
		p := planned(t, "load.warm = "+warm)
		const blocks, peers, txs = 3, 20, 1000
		byPeer := make([]int, peers)
		total := 0
		for b := range blocks {
			for peer := range peers {
				for tx := range txs {
					if p.Warm(b, peer, tx) {
						byPeer[peer]++
					}
				}
			}
		}
		if byPeer[0] != blocks*txs {
			t.Errorf("warm %s: the orderer holds %d", warm, byPeer[0])
		}
		w := p.Load.Warm
		for _, n := range byPeer[1:] {
			total += n
			// Five standard deviations of 3,000 draws.
			if d := math.Abs(float64(n) - w*blocks*txs); d > 5*math.Sqrt(w*(1-w)*blocks*txs) {
				t.Errorf("warm %s: a peer holds %d of %d", warm, n, blocks*txs)
			}
		}
		if n := (peers - 1) * blocks * txs; math.Abs(float64(total)-w*float64(n)) > 5*math.Sqrt(w*(1-w)*float64(n)) {
			t.Errorf("warm %s: all hold %d of %d", warm, total, n)
		}
	}
	a, b := planned(t, "load.warm = 0.5"), planned(t, "load.warm = 0.5\nseed = 2")
	same := 0
	for tx := range 1000 {
		if a.Warm(0, 1, tx) == b.Warm(0, 1, tx) {
			same++
		}
	}
	if same < 400 || same > 600 {
		t.Errorf("two seeds agree on %d of 1000, want about half", same)
	}
	same = 0
	for tx := range 1000 {
		if a.Warm(0, 1, tx) == a.Warm(0, 2, tx) {
			same++
		}
		if a.Warm(0, 1, tx) == a.Warm(1, 1, tx) {
			same++
		}
	}
	if same < 850 || same > 1150 {
		t.Errorf("two peers, and two blocks, agree on %d of 2000, want about half", same)
	}
}

// TestAttended: somebody who comes back, or joins, gets the blocks.
func TestAttended(t *testing.T) {
	planned(t, `fault = [{kind = "crash", for = "20s"}]`)
	planned(t, `fault = [{kind = "crash", at = "1001ms"}]`)
	planned(t, "load.blocks = 0\nfault = [{kind = \"crash\"}]")
	planned(t, "peers = 3\nfault = [{kind = \"crash\", peers = [1]}, {kind = \"join\", at = \"5s\", peers = [2]}]")
}

func TestTxRate(t *testing.T) {
	p := planned(t, "world = \"packets\"\nload.tx_rate = 10.0")
	if len(p.Events) > 0 || p.Quiet() != 36*time.Second {
		t.Errorf("%v, quiet at %v: want no blocks of the plan's own, and 36s", p.Events, p.Quiet())
	}
}

func BenchmarkWarm(b *testing.B) {
	p := &Plan{Scenario: Defaults()}
	p.Load.Warm = 0.95
	n := 0
	for i := range b.N {
		if p.Warm(1, 1+i&1023, i>>10) {
			n++
		}
	}
	if b.N > 1000 && n == 0 {
		b.Error("nobody holds anything")
	}
}
