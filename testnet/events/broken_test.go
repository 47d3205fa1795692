package events

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	"grapevine/block"
	"grapevine/dissemination/effect"
	"grapevine/dissemination/message"
	"grapevine/dissemination/protocol"
	"grapevine/testnet/checks"
	"grapevine/testnet/scenario"
)

// A core that is broken on purpose must be caught by a check: else the check is empty.

// broken is a core of which a part is changed.
type broken struct {
	*protocol.Peer
	effects func([]effect.Effect) []effect.Effect // what becomes of what it wants
	deaf    bool                                  // it is not told what time it is
}

func (b *broken) Effects() []effect.Effect {
	if b.effects == nil {
		return b.Peer.Effects()
	}
	return b.effects(b.Peer.Effects())
}

func (b *broken) Tick(now time.Time) {
	if !b.deaf {
		b.Peer.Tick(now)
	}
}

func (b *broken) Deadline() time.Time {
	if b.deaf {
		return time.Time{}
	}
	return b.Peer.Deadline()
}

// without leaves out the effects of a type.
func without[T effect.Effect](list []effect.Effect) []effect.Effect {
	return slices.DeleteFunc(list, func(x effect.Effect) bool { _, is := x.(T); return is })
}

// judged runs a scenario of 20 peers whose cores are broken, and judges it.
func judged(t *testing.T, change func(*scenario.Scenario), wreck func(p *peer, b *broken)) []string {
	t.Helper()
	s := scenario.Defaults()
	s.Name, s.Membership, s.Peers = "broken", "static", 20
	s.Load.Blocks, s.Load.BlockSizes = 4, []scenario.Bytes{20_000}
	s.Checks.Coverage = 0.9
	if change != nil {
		change(&s)
	}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(p, "grapevine")
	if err != nil {
		t.Fatal(err)
	}
	if wreck != nil {
		sound := w.newMind
		w.newMind = func(p *peer, seed uint64) mind {
			g := sound(p, seed).(*grapevine)
			b := &broken{Peer: g.core.(*protocol.Peer)}
			g.core = b
			wreck(p, b)
			return g
		}
	}
	o, err := w.run(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return checks.Judge(p, o)
}

func wantBreach(t *testing.T, breaches []string, of string) {
	t.Helper()
	if !slices.ContainsFunc(breaches, func(b string) bool { return strings.Contains(b, of) }) {
		t.Errorf("breaches are %q: want one of %q", breaches, of)
	}
}

func TestNothingIsBrokenByItself(t *testing.T) {
	if b := judged(t, nil, nil); len(b) > 0 {
		t.Errorf("a sound network breaks %q", b)
	}
	if b := judged(t, nil, func(*peer, *broken) {}); len(b) > 0 {
		t.Errorf("a wrapped core breaks %q", b)
	}
}

func TestPeersThatDoNotForwardAreCaught(t *testing.T) {
	b := judged(t, func(s *scenario.Scenario) { s.Settings.Fanout = 4 }, func(p *peer, b *broken) {
		if p.number > 0 {
			b.effects = func(list []effect.Effect) []effect.Effect {
				return slices.DeleteFunc(list, func(x effect.Effect) bool {
					s, _ := x.(effect.Send)
					a, is := s.Msg.(*message.Announce)
					return is && !a.Pulled
				})
			}
		}
	})
	wantBreach(t, b, "coverage")
}

func TestAnOrdererThatServesNobodyIsCaught(t *testing.T) {
	b := judged(t, func(s *scenario.Scenario) { s.Settings.NoCatchup = true }, func(p *peer, b *broken) {
		if p.number == 0 {
			b.effects = func(list []effect.Effect) []effect.Effect {
				return withoutMessages(without[effect.Serve](list), func(m message.Message) bool { _, is := m.(*message.Shards); return is })
			}
		}
	})
	wantBreach(t, b, "without the tip")
}

// withoutMessages leaves out the messages of a kind that are sent.
func withoutMessages(list []effect.Effect, which func(message.Message) bool) []effect.Effect {
	return slices.DeleteFunc(list, func(x effect.Effect) bool {
		s, is := x.(effect.Send)
		return is && which(s.Msg)
	})
}

// loseFirst drops a peer's first question about each block.
func loseFirst(b *broken) {
	asked := map[uint64]bool{}
	b.effects = func(list []effect.Effect) []effect.Effect {
		return withoutMessages(list, func(m message.Message) bool {
			var ref uint64
			switch m := m.(type) {
			case *message.Fetch:
				ref = message.Ref(m.Block)
			case *message.Ask:
				ref = m.Ref
			default:
				return false
			}
			first := !asked[ref]
			asked[ref] = true
			return first
		})
	}
}

// Small bodies are fetched; what nobody passes on of large ones is asked for.
func TestALostBodyThatIsNotAskedForAgainIsCaught(t *testing.T) {
	for _, size := range []scenario.Bytes{8_000, 20_000} {
		alone := func(s *scenario.Scenario) {
			s.Settings.NoCatchup, s.Load.BlockSizes = true, []scenario.Bytes{size}
		}
		half := func(p *peer, b *broken) {
			switch {
			case p.number%2 == 1:
				loseFirst(b)
			case p.number == 0:
				b.effects = func(list []effect.Effect) []effect.Effect {
					return withoutMessages(list, func(m message.Message) bool { s, is := m.(*message.Shards); return is && s.Pass })
				}
			}
		}
		wantBreach(t, judged(t, alone, func(p *peer, b *broken) {
			half(p, b)
			b.deaf = p.number > 0 // so nothing makes it ask another
		}), "without the tip")
		if b := judged(t, alone, half); len(b) > 0 {
			t.Errorf("%v: with its time-outs a peer survives the loss of its first requests; breaches are %q", size, b)
		}
	}
}

// A peer whose ledger loses its end in the middle of the run.
func TestAHeightThatGoesBackIsCaught(t *testing.T) {
	s := scenario.Defaults()
	s.Name, s.Membership, s.Peers = "back", "static", 10
	s.Load.BlockSizes = []scenario.Bytes{5000}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	w, err := newWorld(p, "grapevine")
	if err != nil {
		t.Fatal(err)
	}
	w.after(20*time.Second, doing(func(w *world) {
		p, first := w.peers[3], w.blocks[0]
		if p.tip.Height < 2 {
			t.Fatalf("the peer is at height %d after 20 s", p.tip.Height)
		}
		p.tip = block.Tip{Height: 1, ID: first.id, TimeNano: w.start + first.at}
		p.begin(w)
	}))
	o, err := w.run(context.Background(), nil)
	if err != nil {
		t.Fatal(err)
	}
	wantBreach(t, checks.Judge(p, o), "heights out of order")
}
