package processes

import (
	"cmp"
	"context"
	"fmt"
	"slices"
	"time"

	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/testnet/outcome"
)

// finish completes the outcome: where the peers are and what they have counted, by
// themselves; the chain, by the highest of them; and what came when, by the logs.
func (w *world) finish(ctx context.Context) error {
	running := w.running()
	states, err := w.states(ctx, running)
	if err != nil {
		return err
	}
	tip := -1 // the peer that has it
	for k, i := range running {
		p := &w.out.Peers[i]
		p.Alive, p.Height = true, states[k].Height
		if p.Height > 0 {
			if p.ID, err = block.ParseID(states[k].TipId); err != nil {
				return fmt.Errorf("%s: %w", w.net.Peers[i].Name(), err)
			}
		}
		if tip < 0 || p.Height > w.out.Peers[tip].Height {
			tip = i
		}
	}
	w.counted()
	w.out.End, w.out.Healed = w.course.Now(), w.course.Healed()
	if err := w.chain(ctx, tip); err != nil {
		return err
	}
	return w.arrivals()
}

// overhead is what the frames take more on the wire, for QUIC's headers and
// acknowledgements: the event world's guess, so that the two compare.
const overhead = 0.05

// counted sums up what was noted, over the peers' lives.
func (w *world) counted() {
	for i := range w.out.Peers {
		t := w.past[i]
		if w.lives[i] != nil {
			t = t.plus(w.last[i]).minus(w.from[i])
		}
		p := &w.out.Peers[i]
		p.Received, p.Sent, p.Again = int64(t.received*(1+overhead)), int64(t.sent*(1+overhead)), int64(t.again)
	}
}

// chain reads the blocks that a peer has.
func (w *world) chain(ctx context.Context, peer int) error {
	height := w.out.Peers[peer].Height
	if height == 0 {
		return nil
	}
	for b, err := range w.clients[peer].Watch(ctx, &apipb.WatchBlocksRequest{From: 1}) {
		if err != nil {
			return fmt.Errorf("%s, reading its chain: %w", w.net.Peers[peer].Name(), err)
		}
		made, err := w.block(b.Header)
		if err != nil {
			return fmt.Errorf("%s, block %d: %w", w.net.Peers[peer].Name(), b.Header.GetHeight(), err)
		}
		w.out.Blocks = append(w.out.Blocks, made)
		if made.Height >= height {
			return nil
		}
	}
	return nil // the loop ends by an error or at the height
}

func (w *world) block(h *apipb.Header) (outcome.Block, error) {
	id, err := block.ParseID(h.GetId())
	if err != nil {
		return outcome.Block{}, err
	}
	at, err := time.Parse(time.RFC3339Nano, h.Time)
	return outcome.Block{Height: h.Height, ID: id, Bytes: int(h.Bytes), At: at.Sub(w.course.Began())}, err
}

// arrivals reads all logs.
func (w *world) arrivals() error {
	numbers := make(map[string]int, len(w.net.Peers))
	for i, p := range w.net.Peers {
		numbers[p.ID] = i
	}
	for i, p := range w.net.Peers {
		d := diary{world: w, peer: i, numbers: numbers, made: w.made()}
		if err := d.read(p.Log()); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
		w.out.Arrivals = append(w.out.Arrivals, d.arrivals...)
	}
	slices.SortStableFunc(w.out.Arrivals, func(a, b outcome.Arrival) int { return cmp.Compare(a.At, b.At) })
	return nil
}

func (w *world) made() map[block.ID]time.Duration {
	made := make(map[block.ID]time.Duration, len(w.out.Blocks))
	for _, b := range w.out.Blocks {
		made[b.ID] = b.At
	}
	return made
}
