package ordering

import (
	"errors"
	"fmt"
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
)

// Member is another peer of the network, as an orderer that calls the roll sees it.
type Member struct {
	Name   string
	Answer bool   // it is connected, and has said how far its chain goes
	Height uint64 // of its chain, by its own account
}

// Rollcall says when an orderer that has just started may sign. Its files may be an old
// copy, and agree with one another: what it has signed since then only others know. So it
// first hears from every member that can be reached, at least one, or in a network with a
// list the majority of it, how far their chains go and which of its headers they know. It
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
	switch {
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
