package report

import (
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"math"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/internal/logline"
	"grapevine/p2p/wire"
)

var idA, idB = block.ID{0xaa}, block.ID{0xbb}

// log writes facts as a peer's logger does, so that the test reads the real form.
func logOf(facts ...Fact) string {
	var b strings.Builder
	l := slog.New(slog.NewJSONHandler(&b, nil))
	for _, f := range facts {
		a := arrival.Accepted{
			Height: f.Height, ID: f.ID, Txs: f.Txs, Bytes: f.Bytes, Latency: f.Latency,
			Facts: arrival.Facts{
				Via: f.Via, From: wire.PeerID(f.From), Hop: f.Hop, Missing: f.Missing, Again: int(f.Duplicates * float64(f.Bytes)),
			},
		}
		l.Info(logline.BlockAccepted, a.Attrs()...)
	}
	return b.String()
}

func TestReadLogReadsWhatSlogWrites(t *testing.T) {
	want := Fact{Peer: 3, Height: 7, ID: idA, Txs: 100, Bytes: 12345, Via: arrival.Push, From: "12D3KooWabc",
		Hop: 2, Latency: 3500 * time.Microsecond, Missing: 4, Duplicates: 0.05}
	begun := time.Now()
	facts, unread, err := ReadLog(3, strings.NewReader(logOf(want)))
	if err != nil || unread != 0 || len(facts) != 1 {
		t.Fatalf("got %d facts, %d unread, error %v: want one fact", len(facts), unread, err)
	}
	got := facts[0]
	if got.Time.Before(begun) || got.Time.After(time.Now()) {
		t.Errorf("time is %v: want that of the line, after %v", got.Time, begun)
	}
	got.Time = time.Time{}
	if got != want {
		t.Errorf("got  %+v\nwant %+v", got, want)
	}
}

func TestReadLogOfAKilledPeer(t *testing.T) {
	first := logOf(Fact{Height: 1, ID: idA, Via: arrival.Push})
	second := logOf(Fact{Height: 2, ID: idB, Via: arrival.Pull})
	third := logOf(Fact{Height: 3, ID: idB, Via: arrival.Pull})
	text := first +
		second[:40] + second + // killed in the middle of the line, then started again
		"panic: something\n" +
		`{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"other"}` + "\n" +
		third[:len(third)-1] // still being written
	facts, unread, err := ReadLog(0, strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	if len(facts) != 2 || facts[0].Height != 1 || facts[1].Height != 2 || unread != 1 {
		t.Errorf("got %+v and %d unread: want heights 1 and 2, and the panic's line unread", facts, unread)
	}
}

func TestOtherLines(t *testing.T) {
	const text = `{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"node sta` + // killed here
		`{"time":"2026-01-02T03:04:06Z","level":"INFO","msg":"node started","height":4}` + "\n"
	var got struct{ Height uint64 }
	var lines []string
	unread, err := ReadLines(0, strings.NewReader(text), func(l Line) {
		lines = append(lines, l.Msg)
		if err := l.Decode(&got); err != nil {
			t.Error(err)
		}
	})
	if err != nil || unread != 0 || fmt.Sprint(lines) != "[node started]" || got.Height != 4 {
		t.Errorf("read %q with height %d, %d unread, %v: want one line, with height 4", lines, got.Height, unread, err)
	}
}

func TestParseLineRefuses(t *testing.T) {
	for name, line := range map[string]string{
		"text":           "goroutine 1 [running]:",
		"empty":          "",
		"half an object": `{"time":"2026-01-02T03:04:05Z","level":"INFO","msg":"blo`,
	} {
		if _, err := ParseLine(0, []byte(line)); !errors.Is(err, ErrNotJSON) {
			t.Errorf("%s: got %v, want ErrNotJSON", name, err)
		}
	}
	for name, line := range map[string]string{
		"no height":   `{"time":"2026-01-02T03:04:05Z","msg":"block accepted","id":"` + idA.String() + `"}`,
		"short id":    `{"time":"2026-01-02T03:04:05Z","msg":"block accepted","height":1,"id":"abcd"}`,
		"text height": `{"time":"2026-01-02T03:04:05Z","msg":"block accepted","height":"1","id":"` + idA.String() + `"}`,
	} {
		if l, err := ParseLine(0, []byte(line)); err == nil {
			t.Errorf("%s: got %+v, want an error", name, l)
		}
	}
}

func TestMerge(t *testing.T) {
	ms := func(n int) time.Duration { return time.Duration(n) * time.Millisecond }
	at := func(s int) time.Time { return time.Unix(int64(s), 0) }
	facts := []Fact{
		{Peer: 1, Height: 2, ID: idB, Txs: 1, Bytes: 10, Via: arrival.CatchUp, Latency: ms(900), Duplicates: 0.6},
		{Peer: 0, Height: 1, ID: idA, Txs: 5, Bytes: 50, Via: arrival.Own, Latency: ms(77)},
		{Peer: 1, Height: 1, ID: idA, Txs: 5, Bytes: 50, Via: arrival.Push, Hop: 1, Latency: ms(3), Duplicates: 0.1, Missing: 1},
		{Peer: 2, Height: 1, ID: idA, Txs: 5, Bytes: 50, Via: arrival.Shards, Hop: 2, Latency: ms(4), Duplicates: 0.2},
		{Peer: 3, Height: 1, ID: idA, Txs: 5, Bytes: 50, Via: arrival.Pull, Hop: 3, Latency: ms(20), Time: at(1)},
		{Peer: 3, Height: 1, ID: idA, Txs: 5, Bytes: 50, Via: arrival.CatchUp, Latency: ms(9000), Time: at(9)}, // again, after a kill
	}
	want := `[{"height":1,"id":"` + idA.String() + `","txs":5,"bytes":50,"peers":4,"p50_ms":4,"p95_ms":20,"max_ms":20,"hop_max":3,"push":2,"pull":1,"catchup":0,"duplicates":0.1},` +
		`{"height":2,"id":"` + idB.String() + `","txs":1,"bytes":10,"peers":1,"p50_ms":900,"p95_ms":900,"max_ms":900,"hop_max":0,"push":0,"pull":0,"catchup":1,"duplicates":0.6}]`
	got, err := json.Marshal(Merge(facts))
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	total := Totals(facts)
	wantTotal := Total{Blocks: 2, Missing: 1, Block: Block{Txs: 6, Bytes: 60, P50: 4, P95: 900, Max: 900, HopMax: 3,
		Push: 2, Pull: 1, Catchup: 1, Duplicates: 0.23}}
	if total != wantTotal {
		t.Errorf("totals are %+v\nwant %+v", total, wantTotal)
	}
}

func TestMergeKeepsAForkApart(t *testing.T) {
	blocks := Merge([]Fact{{Peer: 0, Height: 1, ID: idB}, {Peer: 1, Height: 1, ID: idA}, {Peer: 2, Height: 1, ID: idB}})
	if len(blocks) != 2 || blocks[0].ID != idA || blocks[1].ID != idB || blocks[1].Peers != 2 {
		t.Errorf("got %+v: want a row for each of the two blocks at height 1", blocks)
	}
}

func TestNoBlocksIsAnEmptyList(t *testing.T) {
	got, err := json.Marshal(Report{Peers: 7, Asked: 7, Down: []int{}, Agree: true, Blocks: Merge(nil)})
	if want := `{"peers":7,"asked":7,"down":[],"height":0,"agree":true,"blocks":[]}`; err != nil || string(got) != want {
		t.Errorf("got %s, %v\nwant %s", got, err, want)
	}
}

func TestRank(t *testing.T) {
	for _, c := range []struct {
		n, percent int
		want       float64
	}{{1, 50, 1}, {1, 95, 1}, {2, 50, 1}, {7, 50, 4}, {7, 95, 7}, {100, 50, 50}, {100, 95, 95}, {100, 100, 100}} {
		var s Spread
		for i := c.n; i > 0; i-- {
			s.Add(arrival.Push, time.Duration(i)*time.Millisecond)
		}
		if got := s.Rank(c.percent); got != Figure(c.want) {
			t.Errorf("p%d of 1…%d ms is %v, want %v", c.percent, c.n, got, c.want)
		}
	}
	if got := new(Spread).Rank(50); got.Known() {
		t.Errorf("p50 of nothing is %v", got)
	}
}

func TestFiguresHaveNoExponent(t *testing.T) {
	if got := fmt.Sprintf("%v %v", Figure(12345678.5), Figure(math.NaN())); got != "12345678.5 NaN" {
		t.Errorf("written %s, want 12345678.5 NaN", got)
	}
}

func TestPercentCutsOff(t *testing.T) {
	for f, want := range map[Figure]string{1: "100.0 %", 0.999999: "99.9 %", 0.944: "94.4 %", 0.29: "29.0 %", 0: "0.0 %"} {
		if got := f.Percent(); got != want {
			t.Errorf("%v is written %q, want %q", float64(f), got, want)
		}
	}
}

// TestVerdict: nothing is said of a ledger that was not read.
func TestVerdict(t *testing.T) {
	for _, c := range []struct {
		r    Report
		want string
	}{
		{Report{Peers: 7, Asked: 7, Down: []int{}, Height: 14, Agree: true}, "7 peers, height 14: the ledgers agree"},
		{Report{Peers: 7, Asked: 7, Height: 14}, "7 peers, height 14: THE LEDGERS DO NOT AGREE"},
		{Report{Peers: 4, Asked: 3, Down: []int{3}, Height: 61, Agree: true}, "3 of 4 peers, height 61: their ledgers agree (peer 3 was not asked)"},
		{Report{Peers: 4, Asked: 2, Down: []int{0, 3}, Height: 61}, "2 of 4 peers, height 61: THEIR LEDGERS DO NOT AGREE (peers 0 and 3 were not asked)"},
		{Report{Peers: 4, Asked: 1, Down: []int{0, 2, 3}, Height: 61, Agree: true}, "1 of 4 peers, height 61: its ledger was compared with no other (peers 0, 2 and 3 were not asked)"},
		{Report{Peers: 1, Asked: 1, Height: 2, Agree: true}, "1 peer, height 2: its ledger was compared with no other"},
	} {
		if got := c.r.verdict(); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

// TestTableOfWhatWasNotMeasured: a block that has not left its producer has no latency.
func TestTableOfWhatWasNotMeasured(t *testing.T) {
	facts := []Fact{
		{Peer: 0, Height: 1, ID: idA, Via: arrival.Own, Latency: time.Millisecond},
		{Peer: 0, Height: 2, ID: idB, Via: arrival.Own, Latency: time.Millisecond},
		{Peer: 1, Height: 2, ID: idB, Via: arrival.Pull, Latency: 100 * time.Nanosecond},
	}
	for name, c := range map[string]struct {
		facts []Fact
		want  string // of the columns p50, p95 and max, row by row
	}{
		"nothing":   {nil, "total – – –"},
		"some":      {facts, "1 – – – 2 0.0 ms 0.0 ms 0.0 ms total 0.0 ms 0.0 ms 0.0 ms"},
		"all alone": {facts[:2], "1 – – – 2 – – – total – – –"},
	} {
		var b strings.Builder
		if err := (Report{Peers: 2, Asked: 2, Blocks: Merge(c.facts)}).WriteTable(&b, 0, Totals(c.facts)); err != nil {
			t.Fatal(err)
		}
		lines := strings.Split(b.String(), "\n")
		var got []string
		for _, line := range lines[1 : len(lines)-2] {
			cells := split(line)
			got = append(got, cells[0])
			got = append(got, cells[len(cells)-8:len(cells)-5]...)
		}
		if got := strings.Join(got, " "); got != c.want {
			t.Errorf("%s: the latencies are\n%s\nwant\n%s\nof\n%s", name, got, c.want, b.String())
		}
	}
}

// split splits a row of the table, whose columns are two spaces apart at least.
func split(row string) []string {
	var cells []string
	for cell := range strings.SplitSeq(row, "  ") {
		if cell = strings.TrimSpace(cell); cell != "" {
			cells = append(cells, cell)
		}
	}
	return cells
}

func TestCount(t *testing.T) {
	for n, want := range map[int]string{0: "0 peers", 1: "1 peer", 2: "2 peers"} {
		if got := Count(n, "peer"); got != want {
			t.Errorf("got %q, want %q", got, want)
		}
	}
}

func TestLast(t *testing.T) {
	facts := []Fact{{Peer: 0, Height: 3}, {Peer: 1, Height: 1}, {Peer: 1, Height: 3}, {Peer: 0, Height: 1}, {Peer: 0, Height: 7}}
	for n, want := range map[int]int{0: 5, 1: 1, 2: 3, 3: 5, 9: 5} {
		if got := Last(facts, n); len(got) != want {
			t.Errorf("the last %d are %v: want %d facts", n, got, want)
		}
	}
}

// A table leaves out what does not fit, the least needed first, and says what.
func TestTableFitsAWidth(t *testing.T) {
	facts := []Fact{
		{Peer: 0, Height: 12345, ID: idA, Txs: 10000, Bytes: 1 << 20, Via: arrival.Own},
		{Peer: 1, Height: 12345, ID: idA, Txs: 10000, Bytes: 1 << 20, Via: arrival.Push, Hop: 1, Latency: 300 * time.Millisecond, Duplicates: 0.04},
	}
	for _, c := range []struct {
		width   int
		without string
	}{
		{0, ""}, {140, ""},
		{100, "(in 100 columns without bytes)"},
		{80, "(in 80 columns without id, bytes, duplicates)"},
	} {
		var b strings.Builder
		r := Report{Peers: 200, Asked: 200, Blocks: Merge(facts)}
		if err := r.WriteTable(&b, c.width, Totals(facts)); err != nil {
			t.Fatal(err)
		}
		for line := range strings.Lines(b.String()) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); c.width > 0 && n > c.width {
				t.Errorf("a line of %d characters in a width of %d: %s", n, c.width, line)
			}
		}
		if !strings.Contains(b.String(), c.without) || c.without == "" && strings.Contains(b.String(), "without") {
			t.Errorf("in a width of %d it does not say %q:\n%s", c.width, c.without, b.String())
		}
	}
}

func ExampleReport_WriteTable() {
	facts := []Fact{
		{Peer: 0, Height: 1, ID: idA, Txs: 5, Bytes: 1600, Via: arrival.Own},
		{Peer: 1, Height: 1, ID: idA, Txs: 5, Bytes: 1600, Via: arrival.Push, Hop: 1, Latency: 3 * time.Millisecond, Duplicates: 0.04},
	}
	var b strings.Builder
	r := Report{Peers: 2, Asked: 2, Height: 1, Agree: true, Blocks: Merge(facts)}
	if err := r.WriteTable(&b, 0, Totals(facts)); err != nil {
		panic(err)
	}
	for line := range strings.Lines(b.String()) {
		fmt.Print(strings.TrimLeft(line, " "))
	}
	// Output:
	// height        id  txs    bytes  peers     p50     p95     max  hops  push  pull  catch-up  duplicates
	// 1  aa000000    5  1.6 KiB    2/2  3.0 ms  3.0 ms  3.0 ms     1     1     0         0        0.04
	// total   1 block    5  1.6 KiB         3.0 ms  3.0 ms  3.0 ms     1     1     0         0        0.04
	// 2 peers, height 1: the ledgers agree
}
