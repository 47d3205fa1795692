package catchup

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_000_000, 0)

func at(ms int) time.Time { return start.Add(time.Duration(ms) * time.Millisecond) }

// asking is a request and whom it goes to.
type asking struct {
	To wire.PeerID
	message.GetRange
}

func requests(e *Engine) (out []asking) {
	for _, x := range e.Effects() {
		if s, ok := x.(effect.Send); ok {
			out = append(out, asking{s.To[0], *s.Msg.(*message.GetRange)})
		}
	}
	return out
}

// piece tells of a piece of a block, and ended of an answer's end.
func piece(e *Engine, now time.Time, from wire.PeerID, number uint32, size int) {
	e.Came(now, from, &message.Chunk{Number: number, Length: size, Size: size})
}

func ended(e *Engine, now time.Time, from wire.PeerID, number uint32, tip, base uint64) {
	e.Came(now, from, &message.Chunk{Number: number, Last: true, Tip: tip, Base: base})
}

func TestSmallGapIsLeftToPullUntilPatienceEnds(t *testing.T) {
	e := New(1, 100)
	e.PeerUp(at(0), "a", 105, 1)
	if r := requests(e); len(r) > 0 {
		t.Fatalf("a gap of 5 was asked for at once: %+v", r)
	}
	if got := e.Deadline(); !got.Equal(at(2000)) {
		t.Fatalf("deadline is %v after the start, want 2 s", got.Sub(start))
	}
	e.Accepted(at(1500), 103) // progress: patience begins anew
	e.Tick(at(2000))
	if r := requests(e); len(r) > 0 {
		t.Fatalf("asked in spite of progress: %+v", r)
	}
	e.Tick(at(3500))
	if r := requests(e); len(r) != 1 || r[0].From != 104 || r[0].Upto != 105 {
		t.Fatalf("after 2 s without progress asked %+v, want 104 to 105", r)
	}
}

func TestRangesGoToSeveralPeersWithoutOverlap(t *testing.T) {
	e := New(1, 0)
	for _, p := range []wire.PeerID{"a", "b", "c"} {
		e.PeerUp(at(0), p, 1000, 1)
	}
	asked := map[uint64]bool{}
	rs := requests(e)
	if len(rs) != 3 {
		t.Fatalf("%d requests, want one per peer", len(rs))
	}
	for _, r := range rs {
		for h := r.From; h <= r.Upto; h++ {
			if asked[h] {
				t.Errorf("height %d is asked for twice", h)
			}
			asked[h] = true
		}
	}
	if len(asked) != 3*batch || !asked[1] {
		t.Errorf("%d heights asked, want %d from 1 on", len(asked), 3*batch)
	}
}

func TestSlowAndWrongPeersArePassedOver(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "a", 50, 1)
	first := requests(e)[0]
	e.PeerUp(at(0), "b", 50, 1)
	second := requests(e)[0]
	if first.To != "a" || second.To != "b" || second.From != batch+1 {
		t.Fatalf("asked %+v and %+v", first, second)
	}
	e.Failed(at(10), "b", second.Number) // a wrong block
	if r := requests(e); len(r) > 0 {
		t.Fatalf("b is asked again at once: %+v", r)
	}
	e.Arrived(at(2000), "a", first.Number, 1, 100)
	e.Tick(at(3000))
	if e.Stats().Timeouts != 0 {
		t.Fatal("a timed out in spite of progress")
	}
	e.Tick(at(5000)) // 3 s without a block
	if e.Stats().Timeouts != 1 {
		t.Fatal("a did not time out after 3 s without a block")
	}
	requests(e)
	e.Tick(at(10_010)) // b has served its time
	r := requests(e)
	if len(r) != 1 || r[0].To != "b" || r[0].From != 2 {
		t.Fatalf("after the penalty asked %+v, want b for 2 on: 1 has arrived", r)
	}
}

// Eight of the largest blocks over one link take longer than a time-out each; blocks
// that trickle are another matter.
func TestPiecesAreProgressAndTrickleIsNot(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "a", 50, 1)
	r := requests(e)[0]
	for ms := 1000; ms <= 8000; ms += 1000 {
		piece(e, at(ms), "a", r.Number, 512<<10)
		e.Tick(at(ms))
	}
	if n := e.Stats().Timeouts; n != 0 {
		t.Errorf("a peer that sends 512 KiB a second timed out %d times", n)
	}
	e.Arrived(at(8000), "a", r.Number, 1, 4<<20)
	ended(e, at(8000), "a", r.Number, 50, 1)
	r = requests(e)[0]
	for i := range 4 {
		e.Arrived(at(10_000+2000*i), "a", r.Number, r.From+uint64(i), 300)
		e.Tick(at(10_000 + 2000*i))
	}
	if n := e.Stats().Timeouts; n != 1 {
		t.Errorf("a peer that sends a small block every two seconds timed out %d times in 8 s, want once", n)
	}
}

// While a neighbour owes an answer, what it claimed does not make this peer fetch by
// catch-up what push and pull bring.
func TestLiarIsNotBelieved(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "evil", 1<<40, 1)
	e.PeerUp(at(0), "good", 0, 1)
	if r := requests(e); len(r) != 1 || r[0].To != "evil" {
		t.Fatalf("asked %+v, want evil", r)
	}
	e.Tick(at(3000))
	e.PeerTip(at(3100), "evil", 1<<41)
	e.PeerTip(at(3100), "good", 1)
	if r := requests(e); len(r) > 0 || e.Active() {
		t.Errorf("asked %+v, active %v: want a gap of one left to pull", r, e.Active())
	}
	e.Accepted(at(3200), 1)
	if got := e.Deadline(); !got.Equal(at(3000).Add(owed)) {
		t.Fatalf("deadline is %v after the start, want 10 min 3 s: until then evil owes an answer", got.Sub(start))
	}
}

// A neighbour whose chain, so it says, begins beyond all that this peer could ask for is
// never asked, hence never late. What it claims does not keep catch-up going.
func TestWhoCannotBeAskedIsNotBelieved(t *testing.T) {
	e := New(1, 100)
	e.PeerUp(at(0), "honest", 100, 1)
	e.PeerUp(at(0), "liar", 1<<40, 1<<40)
	for i := range 50 {
		e.PeerTip(at(300*i), "honest", 101+uint64(i)) // it has just announced that block
		if r := requests(e); len(r) > 0 || e.Active() {
			t.Fatalf("of block %d, just announced, asked %+v, active %v: want it left to push", 101+i, r, e.Active())
		}
		e.Accepted(at(300*i), 101+uint64(i))
	}
}

// Over links on which a piece takes eight seconds the answer comes after the time-out.
// It is taken all the same, and from then on this peer knows how long pieces take.
func TestLateAnswersAreTaken(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "a", 2, 1)
	e.Tick(at(2000))
	r := requests(e)[0]
	e.Tick(at(5000)) // time out
	if st := e.Stats(); st.Timeouts != 1 || len(e.Effects()) > 0 {
		t.Fatalf("after 3 s without a piece: %+v, want one time-out, and nothing discarded", st)
	}
	for i := range 8 {
		now := at(10_000 + 8000*i)
		e.Tick(now)
		piece(e, now, "a", r.Number, 60<<10)
		if i%4 == 3 && !e.Arrived(now, "a", r.Number, uint64(1+i/4), 240<<10) {
			t.Errorf("block %d of the late answer is not kept", 1+i/4)
		}
	}
	if st := e.Stats(); st.Timeouts != 1 || st.Blocks != 2 || st.Requests != 1 {
		t.Errorf("%+v: want two blocks of one request, after one time-out", st)
	}
}

// A request is not lost while its connection stands: who owes an answer is not asked
// again, others are asked for the same, and the first that comes is taken.
func TestWhoOwesAnAnswerIsNotAskedAgain(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "a", batch, 1)
	e.PeerUp(at(0), "b", batch, 1)
	first := requests(e)[0]
	for e.Stats().Timeouts == 0 {
		e.Tick(e.Deadline())
	}
	second := requests(e)
	if len(second) != 1 || second[0].To == first.To || second[0].From != first.From {
		t.Fatalf("after the time-out of %+v asked %+v: want the other, for the same", first, second)
	}
	for s := range 300 {
		e.Tick(at(4000 + 1000*s))
	}
	if r := requests(e); len(r) > 0 {
		t.Errorf("asked %+v of those who owe an answer", r)
	}
	for h := uint64(1); h <= batch; h++ {
		piece(e, at(304_000), first.To, first.Number, 100)
		if !e.Arrived(at(304_000), first.To, first.Number, h, 100) {
			t.Errorf("block %d of the first answer is not kept", h)
		}
	}
	ended(e, at(304_000), first.To, first.Number, 10*batch, 1)
	if r := requests(e); len(r) != 1 || r[0].To != first.To || r[0].From != batch+1 {
		t.Errorf("when the first has answered asked %+v: want it, for the next blocks", r)
	}
	e.PeerDown(at(305_000), second[0].To)
	e.PeerUp(at(305_000), second[0].To, 10*batch, 1)
	if r := requests(e); len(r) != 1 || r[0].To != second[0].To {
		t.Errorf("over a new connection asked %+v, want %q", r, second[0].To)
	}
}

// While push brings a block at a fair pace it is not fetched by catch-up as well.
func TestWhatComesByPushIsLeftToIt(t *testing.T) {
	for _, c := range []struct {
		bytes  int // a second
		active bool
	}{{250_000, false}, {20_000, true}} {
		e := New(1, 0)
		e.PeerUp(at(0), "a", 2, 1)
		for ms := 0; ms <= 3000; ms += 100 {
			e.Progressed(c.bytes / 10)
			e.Tick(at(ms))
		}
		if e.Active() != c.active {
			t.Errorf("at %d bytes a second catch-up is active: %v, want %v", c.bytes, e.Active(), c.active)
		}
	}
}

func TestPeerThatHoldsLessThanItSaidIsNotPunished(t *testing.T) {
	e := New(1, 10)
	e.PeerUp(at(0), "a", 50, 1)
	r := requests(e)[0]
	ended(e, at(1), "a", r.Number, 9, 1)
	if e.Stats().Failures != 0 || e.Active() {
		t.Errorf("stats %+v, active %v: an honest 'I hold up to 9' is no failure and nothing to catch up", e.Stats(), e.Active())
	}
	e.PeerTip(at(2), "a", 50)
	r = requests(e)[0]
	ended(e, at(3), "a", r.Number, 50, 1)
	if e.Stats().Failures != 1 {
		t.Error("a peer that says it holds 50 and sends nothing of it is not passed over")
	}
}

func TestRangeBelowBaseIsNotAskedFor(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "a", 100, 60)
	if r := requests(e); len(r) != 1 || r[0].From != 60 {
		t.Errorf("asked %+v: a holds 60 on", r)
	}
}

func TestWaitingBytesAreBounded(t *testing.T) {
	e := New(1, 0)
	e.PeerUp(at(0), "a", 10_000, 1)
	r := requests(e)[0]
	waiting := 0
	for h := uint64(2); ; { // height 1 never comes
		e.PeerDown(at(0), "a")
		e.PeerUp(at(0), "a", 10_000, 2)
		rs := requests(e)
		if len(rs) == 0 {
			break
		}
		r = rs[0]
		h = r.From
		e.Arrived(at(1), "a", r.Number, h, MaxBytes)
		ended(e, at(1), "a", r.Number, 10_000, 2)
		requests(e)
		if waiting += MaxBytes; waiting > 2*budget {
			t.Fatalf("%d bytes wait for height 1, and more are asked for", waiting)
		}
	}
	if waiting < budget/2 {
		t.Errorf("only %d bytes were let in of a budget of %d", waiting, budget)
	}
}

// Random answers, failures, losses and departures: every height is fetched, none
// is asked of two at once, and the same seed does the same.
func TestRandomServersAreCaughtUpWith(t *testing.T) {
	run := func(seed uint64) string {
		rng := rand.New(rand.NewPCG(seed, 2))
		e := New(seed, 0)
		const top = 3000
		for i := range 6 {
			e.PeerUp(start, wire.PeerID(fmt.Sprint("p", i)), top, 1)
		}
		now, tip, have, trace := start, uint64(0), map[uint64]bool{}, ""
		var open []asking
		for step := 0; tip < top; step++ {
			if step > 100_000 {
				t.Fatalf("seed %d: stuck at height %d with %d requests open", seed, tip, len(open))
			}
			for _, r := range requests(e) {
				trace += fmt.Sprintln(r)
				for _, o := range open {
					if r.From <= o.Upto && o.From <= r.Upto && o.To != r.To && have[r.From] {
						t.Fatalf("seed %d: %+v overlaps %+v", seed, r, o)
					}
				}
				open = append(open, r)
			}
			now = now.Add(time.Duration(rng.IntN(100)) * time.Millisecond)
			if len(open) > 0 {
				i := rng.IntN(len(open))
				r := open[i]
				open = append(open[:i], open[i+1:]...)
				switch rng.IntN(10) {
				case 0:
					e.Failed(now, r.To, r.Number)
				case 1: // lost: it times out
				default:
					stop := r.From + uint64(rng.IntN(batch))
					for h := r.From; h <= min(stop, r.Upto); h++ {
						if e.Arrived(now, r.To, r.Number, h, 1000) {
							have[h] = true
						}
					}
					ended(e, now, r.To, r.Number, top, 1)
				}
			}
			for have[tip+1] {
				tip++
			}
			e.Accepted(now, tip)
			if at := e.Deadline(); len(open) == 0 && !at.IsZero() && at.After(now) {
				now = at
			}
			if at := e.Deadline(); !at.IsZero() && !at.After(now) {
				e.Tick(now)
			}
		}
		return trace
	}
	for seed := range uint64(20) {
		first := run(seed)
		if again := run(seed); first != again {
			t.Errorf("seed %d gave two traces", seed)
		}
	}
}

// Those that were chosen, or have brought something, are asked before a crowd that claims.
func TestUsefulPeersAreAskedFirst(t *testing.T) {
	e := New(1, 0)
	for i := range 100 {
		p := wire.PeerID(fmt.Sprintf("%03d", i))
		e.PeerUp(at(0), p, Gap, 1) // not so far that it begins
		if i%10 == 0 {
			e.Useful(p)
		}
	}
	for _, n := range e.peers {
		n.tip = 1000
	}
	e.step(at(1))
	asked := requests(e)
	if len(asked) != parallel {
		t.Fatalf("%d are asked", len(asked))
	}
	useful := 0
	for _, r := range asked {
		if r.To[2] == '0' {
			useful++
		}
	}
	if useful != parallel {
		t.Errorf("%d of %d that are asked are useful", useful, parallel)
	}
}
