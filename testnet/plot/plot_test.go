package plot

import (
	"bytes"
	"encoding/json"
	"encoding/xml"
	"errors"
	"fmt"
	"image/png"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/outcome"
)

const ms = time.Millisecond

// run is two blocks at four peers. Block k goes from 0 to 2 to 1 to 3, with 10·k ms to
// each; but 3 joins between them, and gets the first from nobody much later.
func run(protocol string) *outcome.Outcome {
	o := &outcome.Outcome{Protocol: protocol, World: "events", Seed: 1, End: time.Second, Peers: make([]outcome.Peer, 4)}
	for k := 1; k <= 2; k++ {
		b := outcome.Block{Height: uint64(k), ID: block.ID{byte(k)}, Bytes: 1000, At: time.Duration(k) * 200 * ms}
		o.Blocks = append(o.Blocks, b)
		for i, peer := range []int{0, 2, 1, 3} {
			a := outcome.Arrival{Peer: peer, Height: b.Height, ID: b.ID, At: b.At + time.Duration(10*i*k)*ms, Via: arrival.Push, From: -1, Hop: i}
			switch {
			case i == 0:
				a.Via = arrival.Own
			case peer == 3 && k == 1:
				a.At, a.Via = 350*ms, arrival.CatchUp
			default:
				a.From = []int{0, 2, 1}[i-1]
			}
			o.Arrivals = append(o.Arrivals, a)
		}
	}
	o.Peers[3].Gone(0)
	o.Peers[3].Back(300 * ms)
	return o
}

func TestCheck(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]error{
		"a.svg": nil, "a.PNG": nil, "a.html": nil, "a.pdf": ErrFormat, "svg": ErrFormat,
		"none/a.svg": fs.ErrNotExist,
	} {
		err := Check(filepath.Join(dir, name))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", name, err, want)
		}
		if want != nil && (err == nil || !strings.Contains(err.Error(), name)) {
			t.Errorf("%s: the error does not name it: %v", name, err)
		}
	}
	if err := Check(filepath.Join(file, "a.svg")); err == nil {
		t.Error("a file taken for a folder")
	}
	if err := Write(filepath.Join(dir, "a.gif"), "s", nil); !errors.Is(err, ErrFormat) {
		t.Errorf("writing a .gif: %v, want ErrFormat", err)
	}
}

// write draws to a file of this extension and returns its bytes.
func write(t *testing.T, extension string, runs ...*outcome.Outcome) []byte {
	t.Helper()
	file := filepath.Join(t.TempDir(), "picture"+extension)
	if err := Write(file, "a <scenario>", runs); err != nil {
		t.Fatal(err)
	}
	text, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	return text
}

// texts returns what stands in an SVG, which must be well-formed.
func texts(t *testing.T, svg []byte) string {
	t.Helper()
	var all strings.Builder
	for d := xml.NewDecoder(bytes.NewReader(svg)); ; {
		token, err := d.Token()
		if errors.Is(err, io.EOF) {
			return all.String()
		}
		if err != nil {
			t.Fatalf("the SVG is not well-formed: %v", err)
		}
		if text, ok := token.(xml.CharData); ok {
			fmt.Fprintf(&all, "%s|", strings.TrimSpace(string(text)))
		}
	}
}

func TestSVG(t *testing.T) {
	svg := write(t, ".svg", run("one"), run("two"))
	got := texts(t, svg)
	if families := regexp.MustCompile(`font-family:[^;]*;`).FindAllString(string(svg), -1); len(families) == 0 || slices.ContainsFunc(families, func(f string) bool { return !strings.Contains(f, "Arial") }) {
		t.Errorf("typefaces %q: want one that viewers have in each", families)
	}
	for _, want := range []string{
		"a <scenario>: 4 peers, 2 blocks of 1000 B, world events, seed 1",
		"one|", "two|", "one, block 2: 4 of 4 peers", "two, block 2: 4 of 4 peers", "own|", "push|", "ms since the block was made",
	} {
		if !strings.Contains(got, want) {
			t.Errorf("%q does not stand in the picture: %s", want, got)
		}
	}
	if strings.Contains(got, "catch-up|") || strings.Contains(got, "shards|") {
		t.Errorf("the legend has ways that the block did not take: %s", got)
	}
}

func TestLargePNG(t *testing.T) {
	for runs, want := range map[int]int{1: 1200, 3: 1200, 4: 1800} { // points of height × 144/72
		var all []*outcome.Outcome
		for i := range runs {
			all = append(all, run(fmt.Sprint("protocol ", i)))
		}
		img, err := png.Decode(bytes.NewReader(write(t, ".png", all...)))
		if err != nil {
			t.Fatal(err)
		}
		if size := img.Bounds().Size(); size.X != 1800 || size.Y != want {
			t.Errorf("a picture of %d runs is %v, want 1800 × %d", runs, size, want)
		}
	}
}

func TestHTML(t *testing.T) {
	text := string(write(t, ".html", run("one"), run("two")))
	if strings.Contains(text, "src=") || strings.Contains(text, "href=") {
		t.Error("the page fetches something")
	}
	if !strings.Contains(text, "<title>a &lt;scenario&gt;: 4 peers") || !strings.Contains(text, "per body byte") {
		t.Errorf("no title or no table: %s", text)
	}
	found := regexp.MustCompile(`const data = (.*);\n`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("no data")
	}
	var d pageData
	if err := json.Unmarshal([]byte(found[1]), &d); err != nil {
		t.Fatal(err)
	}
	if len(d.Shares) != 2 || d.Shares[1].Name != "two" || len(d.Spreads) != 2 {
		t.Fatalf("the data have %d curves and %d spreads", len(d.Shares), len(d.Spreads))
	}
	want := []pagePoint{{0, -1, 0, arrival.Own, 0}, {2, 0, 20, arrival.Push, 1}, {1, 1, 40, arrival.Push, 2}, {3, 2, 60, arrival.Push, 3}}
	if got := d.Spreads[0].Points; fmt.Sprint(got) != fmt.Sprint(want) || d.Spreads[0].Of != 4 {
		t.Errorf("points %v of %d, want %v of 4", got, d.Spreads[0].Of, want)
	}
	const share = "[[0 0] [10 0] [10 0.2] [20 0.2] [20 0.4] [20 0.4] [20 0.6] [40 0.6] [40 0.8] [60 0.8] [60 1] [61.2 1]]"
	if got := fmt.Sprint(d.Shares[0].At); got != share {
		t.Errorf("shares are %s\nwant       %s", got, share)
	}
	c, s := d.Curves, d.Spreads[1].Panel
	if c.X < 0 || c.Y < 0 || c.X+c.W > 900 || c.Y+c.H > 300 || s.X < 450 || s.Y < 300 || s.X+s.W > 900 || s.Y+s.H > 600 {
		t.Errorf("panels are not where they should be: %+v, %+v", c, s)
	}
}

func TestLargeEveryFormatOfNothing(t *testing.T) {
	empty := &outcome.Outcome{Protocol: "one", World: "events", Peers: make([]outcome.Peer, 3)}
	for _, extension := range []string{".svg", ".png", ".html"} {
		if len(write(t, extension, empty)) == 0 || len(write(t, extension)) == 0 {
			t.Errorf("%s of a run without blocks, or of no run, is empty", extension)
		}
	}
}

func TestSteps(t *testing.T) {
	// Two of four, after 10 and 30 ms.
	got := fmt.Sprint(steps([]float64{10, 30}, 4, 50))
	if want := "[{0 0} {10 0} {10 0.25} {30 0.25} {30 0.5} {50 0.5}]"; got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
	many := make([]float64, 5*mostSteps+3)
	for i := range many {
		many[i] = float64(i)
	}
	at := steps(many, len(many), float64(len(many)))
	if len(at) > 2*mostSteps+4 || at[len(at)-1].Y != 1 {
		t.Errorf("a curve of %d points that ends at %v: want at most %d, and 1", len(at), at[len(at)-1].Y, 2*mostSteps+4)
	}
	for i := 1; i < len(at); i++ {
		if at[i].X < at[i-1].X || at[i].Y < at[i-1].Y {
			t.Fatalf("the curve falls at %v", at[i])
		}
	}
}

func TestTypicalIsTheMiddleOne(t *testing.T) {
	o := &outcome.Outcome{Peers: make([]outcome.Peer, 3)}
	for k, late := range []time.Duration{900 * ms, 50 * ms, 70 * ms} {
		b := outcome.Block{Height: uint64(k + 1), ID: block.ID{byte(k + 1)}}
		o.Blocks = append(o.Blocks, b)
		arrive := func(peer, from int, at time.Duration) {
			o.Arrivals = append(o.Arrivals, outcome.Arrival{Peer: peer, Height: b.Height, ID: b.ID, At: at, From: from})
		}
		arrive(0, -1, 0)
		arrive(1, 2, 20*ms) // told by one that accepted it later
		arrive(2, 7, late)  // by nobody who is here
		arrive(1, 0, 950*ms)
	}
	s := typical(o)
	if s.block.Height != 3 || len(s.points) != 3 || s.points[1].from != 2 || s.points[2].from != -1 {
		t.Errorf("block %d with points %+v: want block 3, and peer 1 told by peer 2", s.block.Height, s.points)
	}
}

func TestTicks(t *testing.T) {
	for _, c := range []struct {
		n         int
		low, high float64
		want      string
	}{
		{5, 0, 1, "0.0 0.2 0.4 0.6 0.8 1.0"},
		{8, 0, 12000, "0 2000 4000 6000 8000 10000 12000"},
		{5, 0, 0.07, "0.00 0.02 0.04 0.06"},
		{5, 0, 49, "0 10 20 30 40"},
	} {
		var got []string
		for _, tick := range ticks(c.n).Ticks(c.low, c.high) {
			got = append(got, tick.Label)
		}
		if strings.Join(got, " ") != c.want {
			t.Errorf("%v to %v: %v, want %s", c.low, c.high, got, c.want)
		}
	}
}

func TestSize(t *testing.T) {
	for n, want := range map[int]string{1048500: "1 MiB", 1 << 20: "1 MiB", 163750: "160 KiB", 4 << 20: "4 MiB", 1000: "1000 B", 1536: "1.5 KiB"} {
		if got := size(n); got != want {
			t.Errorf("%d is %q, want %q", n, got, want)
		}
	}
}
