package adversary

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/genesis"
	"grapevine/testnet/local"
)

// Config says where the network is, and how long each case takes.
type Config struct {
	Network  local.Config
	Cases    []Case // the calm one is played first, whether or not it is among them
	Duration time.Duration
	Rate     int // transactions a second
	// LeastP95 is what p95 may be in any case, however quick the calm one is.
	LeastP95 time.Duration
}

// DefaultLeastP95 is three blocks' time.
const DefaultLeastP95 = time.Second

// Row is what became of the honest peers in one case.
type Row struct {
	Case string `json:"case"`
	What string `json:"what"`
	// P50 and P95 are of a transaction's way into every honest ledger, in milliseconds.
	P50 float64 `json:"p50_ms"`
	P95 float64 `json:"p95_ms"`
	// Memory is by how much the peer that grew most grew, at its height, in bytes.
	Memory int `json:"memory"`
	// Liars is how many are a neighbour of an honest peer in the end.
	Liars    int      `json:"liars"`
	Breaches []string `json:"breaches"`
}

// What must hold in every case.
const (
	mostMemory = 100 << 20 // a peer may grow by so much
	timesCalm  = 3         // or by so many times the calm case's p95
	patience   = 30 * time.Second
)

// field is a network of honest peers.
type field struct {
	net     *local.Session
	genesis *genesis.Genesis
	clients []*api.Client
	addrs   []string // multiaddrs of all peers
	cfg     Config
	calm    time.Duration // p95 of the calm case
}

// Run makes a network, plays the cases, and tells each row as it comes. The network's
// processes are ended before it returns.
func Run(ctx context.Context, cfg Config, tell func(Row)) (err error) {
	net, err := local.Begin(cfg.Network)
	if err != nil {
		return err
	}
	defer func() {
		_, ended := net.End(10 * time.Second)
		err = errors.Join(err, ended)
	}()
	f := &field{net: net, cfg: cfg}
	if f.genesis, err = genesis.Load(filepath.Join(net.Peers[0].Home, "genesis.json")); err != nil {
		return err
	}
	peers := make([]int, len(net.Peers))
	for i, p := range net.Peers {
		peers[i] = i
		f.clients = append(f.clients, api.Dial(p.API))
		defer f.clients[i].Close()
		f.addrs = append(f.addrs, p.Listen[0]+"/p2p/"+p.ID)
	}
	starts, err := net.Start(peers)
	if err == nil {
		err = net.Await(ctx, starts)
	}
	if err != nil {
		return err
	}
	calm := Cases()[0]
	for _, c := range append([]Case{calm}, slices.DeleteFunc(slices.Clone(cfg.Cases), func(c Case) bool { return c.Name == calm.Name })...) {
		row, err := f.play(ctx, &c)
		if err != nil {
			return fmt.Errorf("case %s: %w", c.Name, err)
		}
		tell(row)
	}
	return nil
}

// play plays one case, and judges it.
func (f *field) play(ctx context.Context, c *Case) (Row, error) {
	row := Row{Case: c.Name, What: c.What, Breaches: []string{}}
	status, err := f.clients[0].Status(ctx)
	if err != nil {
		return row, err
	}
	before := f.memory()
	ids, stop, err := join(ctx, c, f.genesis, f.addrs)
	if err != nil {
		return row, errors.Join(err, stop())
	}
	watched, unwatch := context.WithCancel(ctx)
	var watch sync.WaitGroup
	watch.Go(func() { row.Memory = f.growth(watched, before) })
	p := &probe{clients: f.clients, signer: newSigner(f.genesis.ID(), status)}
	took, lost, err := p.run(ctx, time.Second/time.Duration(f.cfg.Rate), f.cfg.Duration, patience)
	unwatch()
	watch.Wait()
	if ctx.Err() != nil {
		return row, errors.Join(context.Cause(ctx), stop())
	}
	breach := func(format string, args ...any) { row.Breaches = append(row.Breaches, fmt.Sprintf(format, args...)) }
	if err != nil {
		breach("%v", err)
	}
	if lost > 0 {
		breach("%d transactions did not come to every peer within %v", lost, patience)
	}
	if len(took) > 0 {
		p95 := took[len(took)*95/100]
		row.P50, row.P95 = millis(took[len(took)/2]), millis(p95)
		if f.calm == 0 {
			f.calm = p95
		}
		if most := max(f.cfg.LeastP95, timesCalm*f.calm); p95 > most {
			breach("p95 is %v, want at most %v", p95.Round(time.Millisecond), most.Round(time.Millisecond))
		}
	}
	if row.Memory > mostMemory {
		breach("a peer grew by %d MiB, want at most %d", row.Memory>>20, mostMemory>>20)
	}
	f.neighbours(ctx, ids, &row, breach)
	if c.Caught && row.Liars > 0 {
		breach("%d of %d liars are still neighbours", row.Liars, c.Liars)
	}
	if err := stop(); err != nil {
		return row, err
	}
	if err := f.agree(ctx); err != nil {
		breach("%v", err)
	}
	return row, nil
}

func millis(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }

// memory returns each peer's resident memory.
func (f *field) memory() []int {
	out := make([]int, len(f.net.Peers))
	for i, p := range f.net.Peers {
		out[i] = p.Process.Memory()
	}
	return out
}

// growth returns how much the peer that grows most grows by, until ctx ends.
func (f *field) growth(ctx context.Context, before []int) (most int) {
	for {
		for i, m := range f.memory() {
			most = max(most, m-before[i])
		}
		select {
		case <-ctx.Done():
			return most
		case <-time.After(100 * time.Millisecond):
		}
	}
}

// neighbours looks whether all honest peers are alive and connected to each other, and
// counts the liars that are neighbours of one.
func (f *field) neighbours(ctx context.Context, liars []string, row *Row, breach func(string, ...any)) {
	found := map[string]bool{}
	for i, c := range f.clients {
		members, err := c.Members(ctx)
		if err != nil {
			breach("peer %d does not answer: %v", i, err)
			continue
		}
		honest := 0
		for _, m := range members.Members {
			switch {
			case !m.Neighbour:
			case slices.Contains(liars, m.PeerId):
				found[m.PeerId] = true
			case slices.ContainsFunc(f.net.Peers, func(p local.Peer) bool { return p.ID == m.PeerId }):
				honest++
			}
		}
		if want := len(f.clients) - 1; honest != want {
			breach("peer %d is connected to %d honest peers, want %d", i, honest, want)
		}
	}
	row.Liars = len(found)
}

// agree holds the ledgers against each other at the lowest of their heights.
func (f *field) agree(ctx context.Context) error {
	lowest := ^uint64(0)
	for _, c := range f.clients {
		s, err := c.Status(ctx)
		if err != nil {
			return err
		}
		if !s.Ready {
			return fmt.Errorf("peer %s is not ready: %s", c.Addr(), s.Reason)
		}
		lowest = min(lowest, s.Height)
	}
	if lowest == 0 {
		return nil
	}
	first := ""
	for i, c := range f.clients {
		b, err := c.Block(ctx, &apipb.GetBlockRequest{Height: lowest})
		if err != nil {
			return err
		}
		if i == 0 {
			first = b.Header.Id
		} else if b.Header.Id != first {
			return fmt.Errorf("ledgers differ at height %d: %s and %s", lowest, first, b.Header.Id)
		}
	}
	return nil
}
