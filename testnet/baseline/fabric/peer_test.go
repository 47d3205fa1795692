package fabric

import (
	"reflect"
	"slices"
	"testing"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
)

var start = time.Unix(1_000_000, 0)

// blocks returns a chain's first n blocks.
func blocks(n int) []Block {
	var out []Block
	for h := range n {
		b := Block{Height: uint64(h + 1), Size: 1000}
		b.ID[0] = byte(h + 1)
		if h > 0 {
			b.Parent = out[h-1].ID
		}
		out = append(out, b)
	}
	return out
}

// alone makes a peer with neighbours a, b, c …
func alone(cfg Config, neighbours int, chain []Block) *Peer {
	p := New(cfg, 7, start, chain)
	for i := range neighbours {
		p.PeerUp(start, wire.PeerID(rune('a'+i)))
	}
	p.Effects()
	return p
}

// sent returns the messages of one kind among the effects, and to whom each goes.
func sent[M Message](effects []Effect) (messages []M, to [][]wire.PeerID) {
	for _, e := range effects {
		if s, ok := e.(Send); ok {
			if m, ok := s.Message.(M); ok {
				messages, to = append(messages, m), append(to, s.To)
			}
		}
	}
	return messages, to
}

// accepted returns the heights of the blocks accepted among the effects.
func accepted(effects []Effect) (heights []uint64) {
	for _, e := range effects {
		if a, ok := e.(Accept); ok {
			heights = append(heights, a.Block.Height)
		}
	}
	return heights
}

// tick lets time pass until a message of the kind is sent.
func tick[M Message](t *testing.T, p *Peer, now time.Time) (time.Time, M, wire.PeerID) {
	t.Helper()
	for range 100 {
		now = p.Deadline()
		p.Tick(now)
		if list, to := sent[M](p.Effects()); len(list) > 0 {
			return now, list[0], to[0][0]
		}
	}
	var none M
	t.Fatalf("no %T was sent until %v", none, now.Sub(start))
	return now, none, ""
}

func TestEmitterHoldsBackUntilItsTick(t *testing.T) {
	p, all := alone(Fabric(), 12, nil), blocks(12)
	now := start.Add(time.Hour)
	for _, b := range all[:3] {
		p.Receive(now, "a", Push{Block: b})
		p.Receive(now, "b", Push{Block: b})
	}
	effects := p.Effects()
	if list, _ := sent[Push](effects); len(list) > 0 || !slices.Equal(accepted(effects), []uint64{1, 2, 3}) {
		t.Fatalf("before the tick %v were pushed, %v accepted", list, accepted(effects))
	}
	p.puller.at, p.info.at, p.state.checkAt = time.Time{}, time.Time{}, time.Time{}
	if wait := p.Deadline().Sub(now); wait <= 0 || wait > 10*time.Millisecond {
		t.Errorf("the tick is %v away, want at most 10 ms", wait)
	}
	p.Tick(p.Deadline())
	list, to := sent[Push](p.Effects())
	if len(list) != 3 || list[2].Hop != 1 || !reflect.DeepEqual(to[0], to[2]) {
		t.Errorf("%v went to %v, want three blocks with hop 1 to the same neighbours", list, to)
	}
	for _, b := range all[3:] { // ten waiting do not wait
		p.Receive(now, "a", Push{Block: b})
	}
	if list, _ := sent[Push](p.Effects()); len(list) > 0 {
		t.Errorf("%d blocks were pushed before the burst was full", len(list))
	}
	more := blocks(13)[12]
	p.Receive(now, "a", Push{Block: more})
	if list, _ := sent[Push](p.Effects()); len(list) != 10 || !p.emitter.at.IsZero() {
		t.Errorf("a burst of %d, the tick set for %v; want 10, and none", len(list), p.emitter.at)
	}
}

// The sender is taken out after the draw: with three neighbours the fan-out is always two.
func TestSenderIsLeftOutAfterTheDraw(t *testing.T) {
	p := alone(Fabric(), 3, nil)
	now := start
	for _, b := range blocks(5) {
		p.Receive(now, "b", Push{Block: b, Hop: 4})
		var m Push
		now, m, _ = tick[Push](t, p, now)
		if m.Block != b || m.Hop != 5 || p.Stats().Pushed != 2*b.Height {
			t.Errorf("%+v; %d pushes until height %d", m, p.Stats().Pushed, b.Height)
		}
	}
}

func TestHopsDoNotOverflow(t *testing.T) {
	p := alone(Fabric(), 3, nil)
	p.Receive(start, "a", Push{Block: blocks(1)[0], Hop: maxHop})
	if _, m, _ := tick[Push](t, p, start); m.Hop != maxHop {
		t.Errorf("hop %d", m.Hop)
	}
}

func TestGossipRemembersTheNewestBlocks(t *testing.T) {
	p, all := alone(Fabric(), 3, nil), blocks(40)
	p.Receive(start, "a", Push{Block: all[30]})
	for _, c := range []struct {
		height  int
		ignored uint64
	}{{20, 1}, {21, 1}, {41 - 9, 1}, {21, 2}} { // 31 is the newest, then 32
		p.Receive(start, "a", Push{Block: all[c.height-1]})
		if got := p.Stats().Ignored; got != c.ignored {
			t.Errorf("after height %d %d are ignored, want %d", c.height, got, c.ignored)
		}
	}
	p.Receive(start, "a", Hello{1})
	list, _ := sent[Digest](p.Effects())
	if len(list) != 1 || !slices.Equal(list[0].Heights, []uint64{31, 32}) {
		t.Errorf("the digest is %v", list)
	}
}

// A block that is too early is passed on, and not kept for the chain.
func TestEarlyBlocks(t *testing.T) {
	p, all := alone(Fabric(), 3, nil), blocks(21)
	for h := 21; h >= 1; h-- {
		p.store = store{keep: 10} // what it forgets is not of interest here
		p.Receive(start, "a", Push{Block: all[h-1]})
	}
	if s, got := p.Stats(), p.Height(); s.Early != 1 || got != 20 {
		t.Errorf("%d blocks were early, height %d: want that of height 21 alone", s.Early, got)
	}
	if len(p.ahead) > 0 {
		t.Errorf("%d blocks wait", len(p.ahead))
	}
}

func TestForksAreNotAccepted(t *testing.T) {
	p, all := alone(Fabric(), 3, nil), blocks(2)
	wrong := all[1]
	wrong.Parent[9] = 1
	p.Receive(start, "a", Push{Block: all[0]})
	p.Receive(start, "a", Push{Block: wrong})
	if p.Stats().Forks != 1 || p.Height() != 1 {
		t.Errorf("%d forks, height %d", p.Stats().Forks, p.Height())
	}
}

func TestBodiesThatCameAgainAreCounted(t *testing.T) {
	p, all := alone(Enhanced(), 3, nil), blocks(3)
	p.Receive(start, "a", Push{Block: all[0]})
	p.Receive(start, "b", Push{Block: all[0]})        // in the chain
	p.Receive(start, "a", Push{Block: all[2]})        // early
	p.Receive(start, "b", Response{1, all[1:3]})      // one of two
	p.Receive(start, "b", StateResponse{1, all[0:2]}) // both
	p.Receive(start, "stranger", Push{Block: all[0]}) // not heard
	if s := p.Stats(); s.Bodies != 7 || s.Again != 4 || s.AgainBytes != 4000 {
		t.Errorf("%d bodies, %d of them again, of %d bytes: want 7, 4 and 4000", s.Bodies, s.Again, s.AgainBytes)
	}
}

func TestPull(t *testing.T) {
	p, all := alone(Fabric(), 3, nil), blocks(3)
	now, first, _ := tick[Hello](t, p, start)
	if wait := now.Sub(start); wait > 4*time.Second {
		t.Errorf("the first pull is after %v", wait)
	}
	asked := map[wire.PeerID]uint64{}
	for _, a := range p.puller.asked {
		asked[a.peer] = a.nonce
	}
	if len(asked) != 3 || p.puller.asked[0].nonce != first.Nonce {
		t.Fatalf("%v were asked", asked)
	}
	p.Receive(now, "a", Digest{asked["a"], []uint64{1, 2, 3}})
	p.Receive(now, "b", Digest{asked["a"], []uint64{9}}) // of another's nonce
	p.Receive(now, "a", Digest{asked["a"], []uint64{9}}) // once more
	p.Receive(now.Add(time.Millisecond), "c", Push{Block: all[0]})
	p.Receive(now.Add(time.Millisecond), "b", Digest{asked["b"], []uint64{1, 2, 3}})
	if p.Stats().Ignored != 2 {
		t.Errorf("%d ignored, want 2", p.Stats().Ignored)
	}
	p.Effects()
	end := now.Add(time.Second)
	p.Tick(end.Add(-1))
	if list, _ := sent[Request](p.Effects()); len(list) > 0 {
		t.Errorf("%v before the wait was over", list)
	}
	p.Tick(end)
	list, to := sent[Request](p.Effects())
	var heights []uint64
	for i, r := range list {
		if heights = append(heights, r.Heights...); r.Nonce != asked[to[i][0]] {
			t.Errorf("%s is asked with nonce %d, want %d", to[i][0], r.Nonce, asked[to[i][0]])
		}
	}
	slices.Sort(heights)
	if !slices.Equal(heights, []uint64{1, 2, 3}) { // 1 too: when a offered it, it was not here
		t.Errorf("%v are asked for", heights)
	}
	p.Receive(end, "a", Response{asked["a"], all})
	effects := p.Effects()
	if got := accepted(effects); !slices.Equal(got, []uint64{2, 3}) {
		t.Errorf("%v were accepted", got)
	}
	if a := effects[0].(Accept); a.Via != arrival.Pull || a.From != "a" || a.Hop != -1 {
		t.Errorf("%+v", a)
	}
	if p.Receive(end, "b", Digest{asked["b"], []uint64{4}}); p.Stats().Ignored != 3 {
		t.Error("a digest after the wait was taken")
	}
	at, _, _ := tick[Hello](t, p, end)
	if at.Sub(now) != 4*time.Second {
		t.Errorf("the next pull is %v after the first, want 4 s", at.Sub(now))
	}
	if p.Stats().Pushed != 2 { // of block 1; the others were pulled
		t.Errorf("%d bodies were pushed, want 2", p.Stats().Pushed)
	}
}

// What state transfer has brought gossip does not remember, and is not pulled for that.
func TestTheChainIsNotPulled(t *testing.T) {
	p := alone(Fabric(), 1, blocks(2))
	now, m, _ := tick[Hello](t, p, start)
	p.Receive(now, "a", Digest{m.Nonce, []uint64{1, 2, 3}})
	if _, r, _ := tick[Request](t, p, now); !slices.Equal(r.Heights, []uint64{3}) {
		t.Errorf("%v are asked for", r.Heights)
	}
}

func TestRequestsAreServedForAWhile(t *testing.T) {
	p, all := alone(Fabric(), 3, nil), blocks(2)
	p.Receive(start, "a", Hello{5})
	if list := p.Effects(); len(list) > 0 {
		t.Errorf("who has nothing answers %v", list)
	}
	p.Receive(start, "b", Push{Block: all[0]})
	p.Effects()
	for _, c := range []struct {
		from  wire.PeerID
		nonce uint64
		after time.Duration
		want  int
	}{{"a", 5, 1499 * time.Millisecond, 1}, {"a", 5, 1500 * time.Millisecond, 0}, {"a", 6, 0, 0}, {"b", 5, 0, 0}} {
		p.Receive(start.Add(c.after), c.from, Request{c.nonce, []uint64{1, 2}})
		list, _ := sent[Response](p.Effects())
		if len(list) != c.want || c.want > 0 && !slices.Equal(list[0].Blocks, all[:1]) {
			t.Errorf("nonce %d of %s after %v is answered with %v", c.nonce, c.from, c.after, list)
		}
	}
}

func TestContagion(t *testing.T) {
	p, all := alone(Enhanced(), 12, nil), blocks(2)
	p.Proposed(start, all[0])
	if list, to := sent[Push](p.Effects()); len(list) != 1 || len(to[0]) != 1 || list[0].Hop != 0 {
		t.Errorf("the producer pushes %v to %v, want one with hop 0", list, to)
	}
	for _, c := range []struct{ hop, pushes, adverts int }{{0, 1, 0}, {0, 0, 0}, {1, 1, 0}, {2, 0, 1}, {2, 0, 0}} {
		p.Receive(start, "a", Push{Block: all[1], Hop: c.hop})
		effects := p.Effects()
		pushes, _ := sent[Push](effects)
		adverts, to := sent[Advert](effects)
		if len(pushes) != c.pushes || len(adverts) != c.adverts {
			t.Errorf("after hop %d: %v and %v", c.hop, pushes, adverts)
		}
		if c.adverts > 0 && (adverts[0] != Advert{2, 3} || len(to[0]) < 3 || len(to[0]) > 4) {
			t.Errorf("%v goes to %v", adverts[0], to[0])
		}
	}
	for _, c := range []struct{ hop, adverts int }{{8, 1}, {9, 0}} {
		p.Receive(start, "a", Advert{2, c.hop})
		if list, _ := sent[Advert](p.Effects()); len(list) != c.adverts {
			t.Errorf("after hop %d: %v", c.hop, list)
		}
	}
}

func TestWants(t *testing.T) {
	p, all := alone(Enhanced(), 5, nil), blocks(2)
	p.Receive(start, "a", Advert{1, 3})
	p.Receive(start, "b", Advert{1, 4})
	effects := p.Effects()
	if wants, to := sent[Want](effects); len(wants) != 1 || wants[0] != (Want{1, 3}) || to[0][0] != "a" {
		t.Errorf("%v go to %v, want one, to the first", wants, to)
	}
	if adverts, _ := sent[Advert](effects); len(adverts) != 2 {
		t.Errorf("%v: want the number passed on before the body is here, once for each hop", adverts)
	}
	p.Receive(start, "c", Want{1, 4})
	p.Receive(start, "c", Want{1, 5}) // waits already
	p.Receive(start, "d", Want{2, 4}) // which nobody was asked for
	p.PeerDown(start, "e")
	if list := p.Effects(); len(list) > 0 || p.Stats().Ignored != 2 {
		t.Errorf("%v before the body is here; %d ignored, want 2", list, p.Stats().Ignored)
	}
	p.Receive(start, "a", Answer{all[0], 3})
	effects = p.Effects()
	if list, to := sent[Answer](effects); len(list) != 1 || list[0] != (Answer{all[0], 4}) || to[0][0] != "c" {
		t.Errorf("%v goes to %v, want one to c", list, to)
	}
	if got := effects[len(effects)-1]; got != (Accept{all[0], arrival.Push, "a", 3}) {
		t.Errorf("the last effect is %+v", got)
	}
	p.Receive(start, "d", Want{1, 6})
	if list, _ := sent[Answer](p.Effects()); len(list) != 1 || list[0].Hop != 6 {
		t.Errorf("%v for a block that is here", list)
	}
	if p.Receive(start, "a", Answer{all[1], 3}); p.Height() != 1 {
		t.Error("an answer that nobody asked for was taken")
	}
}

// Fabric's own knows no adverts.
func TestAdvertsToFabric(t *testing.T) {
	p := alone(Fabric(), 3, nil)
	p.Receive(start, "a", Advert{1, 3})
	if list := p.Effects(); len(list) > 0 || p.Stats().Ignored != 1 {
		t.Errorf("%v", list)
	}
}

// What state transfer brings goes to those who wanted it, too.
func TestTransferAnswersWants(t *testing.T) {
	p, all := alone(Enhanced(), 3, nil), blocks(1)
	p.Receive(start, "a", Advert{1, 3})
	p.Receive(start, "b", Want{1, 4})
	p.Receive(start, "c", StateInfo{1})
	now, r, _ := tick[StateRequest](t, p, start)
	p.Receive(now, "c", StateResponse{r.Nonce, all})
	if list, to := sent[Answer](p.Effects()); len(list) != 1 || to[0][0] != "b" {
		t.Errorf("%v goes to %v", list, to)
	}
}
