package outcome

import (
	"encoding/json"
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
)

const ms = time.Millisecond

// small is a run of two blocks among six peers, whose figures are worked out by hand:
//
//	peer 0 produces; 1 and 2 run throughout; 3 is away from 90 ms to 350 ms, so not there
//	for block A; 4 never ran, 5 not since the first block.
//	A (1000 bytes, at 100 ms): 1 by push after 10 ms, 2 by pull after 30.5 ms, 3 later by
//	catch-up. B (500 bytes, at 400 ms): 1 and 3 by shards after 20 and 40 ms; 2 never.
func small() *Outcome {
	a, b := block.ID{0xa}, block.ID{0xb}
	o := &Outcome{
		Protocol: "grapevine", World: "events", Seed: 7, End: 1000 * ms, Trace: 0xbeef,
		Blocks: []Block{{1, a, 1000, 100 * ms}, {2, b, 500, 400 * ms}},
		Arrivals: []Arrival{
			{Peer: 0, Height: 1, ID: a, At: 100 * ms, Via: arrival.Own, From: -1},
			{Peer: 1, Height: 1, ID: a, At: 110 * ms, Via: arrival.Push, Hop: 1},
			{Peer: 2, Height: 1, ID: a, At: 130*ms + 500*time.Microsecond, Via: arrival.Pull, From: 1, Hop: 5},
			{Peer: 2, Height: 1, ID: a, At: 140 * ms, Via: arrival.Push, From: 0, Hop: 9},    // again: counts nowhere
			{Peer: 1, Height: 2, ID: block.ID{0xc}, At: 150 * ms, Via: arrival.Push, Hop: 8}, // nobody made it
			{Peer: 3, Height: 1, ID: a, At: 390 * ms, Via: arrival.CatchUp, From: 0, Hop: 0},
			{Peer: 0, Height: 2, ID: b, At: 400 * ms, Via: arrival.Own, From: -1},
			{Peer: 1, Height: 2, ID: b, At: 420 * ms, Via: arrival.Shards, Hop: 3},
			{Peer: 3, Height: 2, ID: b, At: 440 * ms, Via: arrival.Shards, From: 1, Hop: 4},
		},
		Peers: make([]Peer, 6),
	}
	for i, received := range []int64{100, 2000, 1500, 1600, 0} {
		o.Peers[i].Received = received
	}
	o.Peers[2].Again = 800
	for i, sent := range []int64{3000, 1000, 500, 300} {
		o.Peers[i].Sent, o.Peers[i].Idle = sent, 50
	}
	o.Quiet = 100 * ms
	o.Peers[3].Gone(90 * ms)
	o.Peers[3].Back(350 * ms)
	o.Peers[4].Gone(0)
	o.Peers[5].Gone(50 * ms)
	return o
}

func TestRow(t *testing.T) {
	// Pairs that were to be reached: A at 1 and 2, B at 1, 2 and 3; by push or shards 3 of
	// these 5. Latencies 10, 20, 30.5, 40 ms. Bytes 5200, of them 200 while nothing was
	// under way for 100 ms, over 4 peers and 2 blocks; what had to come is 3 × 1000 + 2 × 500.
	const want = `{"protocol":"grapevine","world":"events","peers":6,"blocks":2,"seed":7,"coverage":0.6,` +
		`"p50_ms":20,"p90_ms":40,"p99_ms":40,"max_ms":40,"bytes_per_peer":625,"redundancy":1.25,"duplicates":0.2,` +
		`"idle_bytes":500,"busiest_upload":2.5,"orderer_upload":2,"hop_max":5,"trace":"000000000000beef"}`
	got, err := json.Marshal(small().Row())
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
}

func TestRowOfALatePeer(t *testing.T) {
	o := small()
	o.Peers[3].Away = nil // as if it had been there for A: 290 ms, and not by push
	r := o.Row()
	if r.Max != 290 || r.P50 != 30.5 || r.Coverage != 0.5 {
		t.Errorf("max %v ms, p50 %v ms, coverage %v: want 290, 30.5 and 0.5", r.Max, r.P50, r.Coverage)
	}
}

func TestRowWithoutBlocks(t *testing.T) {
	o := &Outcome{Protocol: "grapevine", World: "events", Peers: []Peer{{Received: 30}, {Received: 50}}, End: time.Second}
	const want = `{"protocol":"grapevine","world":"events","peers":2,"blocks":0,"seed":0,"coverage":null,` +
		`"p50_ms":null,"p90_ms":null,"p99_ms":null,"max_ms":null,"bytes_per_peer":40,"redundancy":null,"duplicates":null,` +
		`"idle_bytes":null,"busiest_upload":null,"orderer_upload":null,"hop_max":null,"trace":""}`
	r := o.Row()
	got, err := json.Marshal(r)
	if err != nil || string(got) != want {
		t.Errorf("got  %s, %v\nwant %s", got, err, want)
	}
	var back Row
	if err := json.Unmarshal(got, &back); err != nil || back.P99.Known() || back.BytesPerPeer != 40 {
		t.Errorf("read back as %+v, %v", back, err)
	}
	if r := (&Outcome{}).Row(); r.BytesPerPeer.Known() {
		t.Errorf("of no peers, bytes per peer are %v", r.BytesPerPeer)
	}
}

func TestAway(t *testing.T) {
	var p Peer
	for _, at := range []time.Duration{0, 5} {
		if !p.There(at) || !p.tookPart(at, 10) {
			t.Errorf("a peer that never went away was not there at %v", at)
		}
	}
	p.Back(1) // it was there
	p.Gone(2)
	p.Gone(3) // it was gone
	p.Back(4)
	p.Gone(6)
	want := []Span{{2, 4}, {6, Forever}}
	if fmt.Sprint(p.Away) != fmt.Sprint(want) {
		t.Errorf("away %v, want %v", p.Away, want)
	}
	for at, there := range []bool{true, true, false, false, true, true, false, false} {
		if p.There(time.Duration(at)) != there {
			t.Errorf("at %d: there is %v", at, !there)
		}
	}
	if p.tookPart(6, 10) || !p.tookPart(5, 10) || !p.tookPart(2, 5) || p.tookPart(2, 4) {
		t.Error("took part in a time that it was away for, or did not in one that it was there in")
	}
}

func ExampleWriteTable() {
	rows := []Row{small().Row(), (&Outcome{Protocol: "membership-only", World: "packets", Peers: []Peer{{Received: 300}, {Received: 500}}, End: 2 * time.Second}).Row()}
	var b strings.Builder
	if err := WriteTable(&b, 0, rows); err != nil {
		panic(err)
	}
	for line := range strings.Lines(b.String()) {
		fmt.Fprint(os.Stdout, strings.TrimLeft(line, " "))
	}
	// Output:
	// protocol    world  peers  blocks  by push      p50      p90      p99      max  bytes/peer  per body byte  duplicates  idle/peer/s  busiest up  orderer up  hops
	// grapevine   events      6       2   60.0 %  20.0 ms  40.0 ms  40.0 ms  40.0 ms       625 B           1.25        0.20        500 B        2.50        2.00     5
	// membership-only  packets      2       0        –        –        –        –        –       200 B              –           –            –           –           –     –
}

func ExampleWriteTable_withoutBlocks() {
	o := &Outcome{Protocol: "grapevine", World: "events", Peers: []Peer{{Received: 3000}, {Received: 5000}}, End: 2 * time.Second, Noticed: 90 * time.Second}
	var b strings.Builder
	if err := WriteTable(&b, 0, []Row{o.Row()}); err != nil {
		panic(err)
	}
	for line := range strings.Lines(b.String()) {
		fmt.Fprint(os.Stdout, strings.TrimLeft(line, " "))
	}
	// Output:
	// protocol   world  peers  blocks  bytes/peer/s  crash noticed by all after
	// grapevine  events      2       0       2.0 KiB                  90000.0 ms
}
