package processes

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync"
	"time"

	"grapevine/api/apipb"
)

// answerTimeout is how long a peer may take to say what it has counted, or where it is:
// milliseconds, unless the machine is far too busy for what is played on it.
const answerTimeout = 10 * time.Second

// each calls with every one of the peers at the same time, and joins the errors, each
// with its peer's name.
func (w *world) each(ctx context.Context, peers []int, with func(ctx context.Context, k, i int) error) error {
	ctx, cancel := context.WithTimeout(ctx, answerTimeout)
	defer cancel()
	errs := make([]error, len(peers))
	var all sync.WaitGroup
	for k, i := range peers {
		all.Go(func() {
			if err := with(ctx, k, i); err != nil {
				errs[k] = fmt.Errorf("%s: %w", w.net.Peers[i].Name(), err)
			}
		})
	}
	all.Wait()
	return errors.Join(errs...)
}

// states asks peers where they are.
func (w *world) states(ctx context.Context, peers []int) ([]*apipb.GetStatusResponse, error) {
	states := make([]*apipb.GetStatusResponse, len(peers))
	err := w.each(ctx, peers, func(ctx context.Context, k, i int) (err error) {
		states[k], err = w.clients[i].Status(ctx)
		return err
	})
	return states, err
}

// tally is what a process has counted since its start, in bytes: of frames and of
// GossipSub's messages, and of block bodies that came though they were there already.
type tally struct{ received, sent, again float64 }

func (t tally) plus(u tally) tally {
	return tally{t.received + u.received, t.sent + u.sent, t.again + u.again}
}

func (t tally) minus(u tally) tally {
	return tally{t.received - u.received, t.sent - u.sent, t.again - u.again}
}

// count asks peers what they have counted.
func (w *world) count(ctx context.Context, peers []int, into []tally) error {
	return w.each(ctx, peers, func(ctx context.Context, _, i int) (err error) {
		into[i], err = readTally(ctx, w.net.Peers[i].API)
		return err
	})
}

func readTally(ctx context.Context, addr string) (tally, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+addr+"/metrics", nil)
	if err != nil {
		return tally{}, err
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		return tally{}, err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		return tally{}, fmt.Errorf("%s: %s", req.URL, res.Status)
	}
	return parseTally(res.Body)
}

// The metrics that make up a tally.
const (
	laneBytes   = "grapevine_p2p_bytes_total"
	gossipBytes = "grapevine_p2p_pubsub_bytes_total" // not there before the first message
	againBytes  = "grapevine_block_again_bytes_total"
)

// parseTally reads Prometheus' text format.
func parseTally(r io.Reader) (tally, error) {
	var t tally
	seen := map[string]bool{}
	lines := bufio.NewScanner(r)
	for lines.Scan() {
		series, number, _ := strings.Cut(lines.Text(), " ")
		name, labels, _ := strings.Cut(series, "{")
		if name != laneBytes && name != gossipBytes && name != againBytes {
			continue
		}
		v, err := strconv.ParseFloat(number, 64)
		if err != nil {
			return t, fmt.Errorf("metric %q: %w", lines.Text(), err)
		}
		seen[name] = true
		switch {
		case name == againBytes:
			t.again += v
		case strings.Contains(labels, `direction="in"`):
			t.received += v
		case strings.Contains(labels, `direction="out"`):
			t.sent += v
		}
	}
	for _, name := range []string{laneBytes, againBytes} {
		if !seen[name] {
			return t, errors.Join(lines.Err(), fmt.Errorf("it has no metric %s: is it of another version?", name))
		}
	}
	return t, lines.Err()
}
