package api

import (
	"context"
	"fmt"
	"math"
	"net"
	"net/netip"
	"strconv"
	"sync"
	"time"

	"connectrpc.com/connect"
	"golang.org/x/sync/semaphore"

	"grapevine/block"
)

// budget bounds the bytes that requests hold: those of all together, and of those that
// come from one address. All of this machine may hold the whole: behind one loopback
// address are many users, and a proxy's clients too.
type budget struct {
	whole *semaphore.Weighted
	size  int64

	mu      sync.Mutex
	sources map[netip.Addr]*source // guarded by mu: those that hold or wait
}

type source struct {
	*semaphore.Weighted
	size  int64
	users int // guarded by the budget's mu
}

func newBudget(size int64) *budget {
	return &budget{whole: semaphore.NewWeighted(size), size: size, sources: map[netip.Addr]*source{}}
}

// account opens a request's account, which is to be closed.
func (b *budget) account(from netip.Addr) *account {
	b.mu.Lock()
	defer b.mu.Unlock()
	s := b.sources[from]
	if s == nil {
		s = &source{size: b.size}
		if !from.IsLoopback() {
			s.size /= 2 // so that it takes more than one to take all
		}
		s.Weighted = semaphore.NewWeighted(s.size)
		b.sources[from] = s
	}
	s.users++
	return &account{budget: b, source: s, from: from}
}

// account is what one request holds of a budget. One goroutine uses it.
type account struct {
	budget *budget
	source *source
	from   netip.Addr
	held   int64
}

// try takes n bytes if they are free now.
func (a *account) try(n int64) bool {
	if !a.source.TryAcquire(n) {
		return false
	}
	if !a.budget.whole.TryAcquire(n) {
		a.source.Release(n)
		return false
	}
	a.held += n
	return true
}

// wait takes n bytes when its turn has come, or returns why ctx ended before that. An
// account waits with nothing in its hands: two that did could wait for each other. What
// is more than a source may hold is taken for all that it may, and so alone.
func (a *account) wait(ctx context.Context, n int64) error {
	n = min(n, a.source.size)
	if err := a.source.Acquire(ctx, n); err != nil {
		return err
	}
	if err := a.budget.whole.Acquire(ctx, n); err != nil {
		a.source.Release(n)
		return err
	}
	a.held += n
	return nil
}

// keep gives back all but n bytes.
func (a *account) keep(n int64) {
	if back := a.held - n; back > 0 {
		a.held = n
		a.source.Release(back)
		a.budget.whole.Release(back)
	}
}

// close gives back everything.
func (a *account) close() {
	a.keep(0)
	a.budget.mu.Lock()
	defer a.budget.mu.Unlock()
	if a.source.users--; a.source.users == 0 {
		delete(a.budget.sources, a.from)
	}
}

// sourceOf returns whom a connection's bytes are counted to: its address; of IPv6 the
// network, whose owner has all addresses in it; without an address, as in memory, this
// machine.
func sourceOf(remote string) netip.Addr {
	host, _, err := net.SplitHostPort(remote)
	if err != nil {
		return netip.IPv6Loopback()
	}
	addr, err := netip.ParseAddr(host)
	if err != nil || addr.Unmap().IsLoopback() {
		return netip.IPv6Loopback()
	}
	if addr = addr.Unmap().WithZone(""); addr.Is6() {
		network, _ := addr.Prefix(64) // its length is right
		return network.Addr()
	}
	return addr
}

// What is held of the budgets. Answers are made whole before they are sent, so they
// count from before anything is read for them until they are with the reader's system.
const (
	// maxBudget bounds the bytes of all requests together, with what their verdicts
	// take: two dozen of the largest.
	maxBudget = 128 << 20
	// maxLarge bounds the large answers of all requests and streams together: two of
	// the default's largest block, in its largest form, being made, or eight being sent.
	maxLarge = 128 << 20
	// maxSmall bounds the others, which so have room while somebody takes large ones
	// and does not read them: 4,096 requests, or 256 of the largest of the small.
	maxSmall  = 64 << 20
	smallSize = 256 << 10
	// leastAnswer is what any request takes: buffers, stacks, and an answer of some
	// kilobytes.
	leastAnswer = 16 << 10
	// answerWait is how long a request waits for its answer's turn. A guess: a large
	// answer is made in a tenth of a second, and who waits longer than this does so for
	// readers that do not read.
	answerWait = 5 * time.Second
)

// holdings are what a request holds of the server's budgets.
type holdings struct {
	body  *account // of the request
	least *account
	large *account
	small *account
	stall time.Duration // after which who reads nothing is gone
}

type holdingsKey struct{}

func holdingsOf(ctx context.Context) *holdings { return ctx.Value(holdingsKey{}).(*holdings) }

// take waits until an answer of n bytes, all that is allocated for it, may be made, and
// lets go of what the last one held.
func (h *holdings) take(ctx context.Context, n int) error {
	h.keep(0)
	a := h.small
	if n > smallSize {
		a = h.large
	}
	return a.wait(ctx, int64(n))
}

// takeSoon is take with a bound on the wait.
func (h *holdings) takeSoon(ctx context.Context, n int) error {
	waiting, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	if err := h.take(waiting, n); ctx.Err() != nil {
		return ctx.Err()
	} else if err != nil {
		return h.busy("answers, which their readers have not taken yet")
	}
	return nil
}

// keep holds n bytes of an answer at most: it is made, and what it was made of is not
// needed any more.
func (h *holdings) keep(n int) {
	h.small.keep(int64(n))
	h.large.keep(int64(n))
}

// close gives back everything.
func (h *holdings) close() {
	for _, a := range []*account{h.body, h.least, h.large, h.small} {
		a.close()
	}
}

// busy refuses a request, with the time after which there will be room: by then who
// sends or reads nothing has been cut off.
func (h *holdings) busy(with string) error {
	return h.later(fmt.Errorf("the node is busy with other %s: try again in %s s", with, h.seconds()))
}

// later refuses what the same node may do when it is asked again.
func (h *holdings) later(why error) error {
	err := connect.NewError(connect.CodeUnavailable, why)
	err.Meta().Set("Retry-After", h.seconds())
	return err
}

func (h *holdings) seconds() string { return strconv.Itoa(int(math.Ceil(h.stall.Seconds()))) }

// What making an answer allocates, in bytes, as a test measures it. Most of it is
// garbage when the answer is sent, but garbage is memory until it is collected.
const (
	txRead     = 280     // a transaction of a block read back, besides its own bytes
	idCost     = 200     // an ID in hexadecimal, as a string and in JSON
	txCost     = 1300    // a transaction with its fields in hexadecimal, and in JSON
	memberCost = 2 << 10 // a member, whose record is at most 1 KiB
	// verdictCost is a transaction of a request, decoded, and the verdict on it.
	verdictCost = 1 << 10
)

// blockCost returns what the answer with a block takes at most.
func blockCost(h *block.Header, d detail) int {
	n, body := int(h.TxCount), int(h.BodySize)
	cost := leastAnswer
	if d.txs != TxsNone || d.raw {
		cost += body + n*txRead
	}
	switch d.txs {
	case TxsIDs:
		cost += n * idCost
	case TxsFull:
		cost += n*txCost + body*9/2 // payloads in base64, twice
	}
	if d.raw {
		cost += body * 11 / 2 // in base64, twice, and once more in the room that JSON is given
	}
	return cost
}
