package ordering

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Times of a roll call.
const (
	// rollWait is how long members that do not answer are waited for, from the first
	// answer on: several dials in vain.
	rollWait = 10 * time.Second
	// rollView is how long the first answers have to bring what others are known of: a
	// round of membership takes a second.
	rollView = 2 * time.Second
	// rollClaim is how long a height that a member claims holds the orderer up while no
	// block comes: it may be a lie. A header above the lock's holds it up for ever.
	rollClaim = 30 * time.Second
	// clockAhead is how far ahead of others' the clock may be: far more than clocks that
	// nobody sets come apart in a week, and far less than matters in a chain's times.
	clockAhead = time.Minute
)

// Member is another peer of the network, as an orderer that calls the roll sees it.
type Member struct {
	Name   string
	Answer bool   // it is connected, and has said how far its chain goes
	Height uint64 // of its chain, by its own account
	// Ahead is how far its clock is ahead of this machine's, by its own account.
	Ahead time.Duration
	Named bool // the operator or the genesis has named it, or this side has dialled it
}

// Rollcall says when an orderer that has just started may sign. Its files may be an old
// copy, and agree with one another: what it has signed since then only others know. So it
// first hears from every member that can be reached, at least one, or in a network with a
// list the majority of it, how far their chains go and which of its headers they know. Nor
// may its clock be ahead of most others': a block's time is never before its parent's, so
// one that is far ahead fixes the chain's time there. It
// is a core, told the time; its zero value waits for one member.
type Rollcall struct {
	// Listed is how many peers the genesis lists; zero: the network is open.
	Listed int
	// Alone says that there are no others.
	Alone bool

	begun    time.Time // when the first answered
	progress time.Time // when the chain last grew
	tip      uint64
	over     bool
}

// Wait returns why the orderer must not sign yet, or nil, and nil ever after. Tip is the
// height of its ledger, or of its lock if that is ahead; known the greatest height of a
// header with its signature that came from others.
func (r *Rollcall) Wait(now time.Time, tip, known uint64, others []Member) error {
	if r.over || r.Alone {
		return nil
	}
	if tip != r.tip || r.progress.IsZero() {
		r.tip, r.progress = tip, now
	}
	answers, ahead, missing := 1, "", []string(nil) // itself included
	for _, m := range others {
		switch {
		case m.Answer:
			answers++
		default:
			missing = append(missing, m.Name)
		}
		if m.Height > tip && ahead == "" {
			ahead = fmt.Sprintf("peer %s says that its chain goes to height %d, this one to %d", m.Name, m.Height, tip)
		}
	}
	if answers == 1 {
		return errors.New("no other peer has answered yet, and only others know whether this home is an old copy; a network of one peer starts with --alone")
	}
	if r.begun.IsZero() {
		r.begun, r.progress = now, now
	}
	clock := tooFarAhead(others)
	switch {
	case clock != nil:
		return clock
	case r.Listed > 0 && 2*answers <= r.Listed:
		return fmt.Errorf("%d of the %d peers that the genesis lists have answered, itself included, want the majority; missing are %s", answers, r.Listed, names(missing))
	case known > tip:
		return fmt.Errorf("others know a block at height %d with its signature, this chain goes to height %d: it catches up first", known, tip)
	case ahead != "" && now.Sub(r.progress) < rollClaim:
		return fmt.Errorf("%s: it catches up first", ahead)
	case now.Sub(r.begun) < rollView:
		return errors.New("the first peers have just answered: it looks for others")
	case len(missing) > 0 && now.Sub(r.begun) < rollWait:
		return fmt.Errorf("it waits for %s, which are known and do not answer, for %v at most", names(missing), rollWait)
	}
	r.over = true
	return nil
}

// tooFarAhead says that this machine's clock is ahead of most others'. Where some have been
// named only they count: who comes by himself may lie, and be many.
func tooFarAhead(others []Member) error {
	named := false
	for _, m := range others {
		named = named || m.Answer && m.Named
	}
	var by []time.Duration
	all := 0
	for _, m := range others {
		if !m.Answer || m.Named != named {
			continue
		}
		all++
		if m.Ahead < -clockAhead {
			by = append(by, -m.Ahead)
		}
	}
	if 2*len(by) <= all {
		return nil
	}
	slices.Sort(by)
	return fmt.Errorf("this machine's clock is ahead of those of %d of %d peers, by %v and more: set it (NTP); if theirs are wrong, name in bootstrap peers whose clocks are right",
		len(by), all, by[0].Round(time.Second))
}

// Over says whether the orderer may sign.
func (r *Rollcall) Over() bool { return r.over || r.Alone }

func names(list []string) string {
	const most = 5
	if len(list) > most {
		return fmt.Sprintf("%s and %d more", strings.Join(list[:most], ", "), len(list)-most)
	}
	if len(list) == 0 {
		return "unknown"
	}
	return strings.Join(list, ", ")
}
