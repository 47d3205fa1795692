package p2p

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync/atomic"
	"time"
)

// clocks compares this machine's clock with others'. Nothing that peers say to each other
// depends on clocks, but the certificates of their connections begin an hour before they
// were made, blocks carry their orderer's time, and latencies are differences of clocks.
type clocks struct {
	started time.Time // by the clock, and by what no one sets
	barred  atomic.Pointer[error]
	far     bool // the difference has been logged; of the loop
}

const (
	// clockTold is from which difference on it is logged: more than a Hello takes on a
	// slow link.
	clockTold = 5 * time.Second
	// clockKept is how close they must be again until it may be logged anew.
	clockKept = clockTold / 2
)

// set returns how far this machine's clock was set ahead since the start.
func (c *clocks) set(now time.Time) time.Duration {
	return now.Round(0).Sub(c.started.Round(0)) - now.Sub(c.started)
}

// greetedAt notes how far a peer's clock is ahead, which its Hello tells but for the time
// that it took.
func (l *link) greetedAt(now time.Time, theirs time.Time) {
	l.ahead.Store(int64(theirs.Sub(now.Round(0)) + l.host.clocks.set(now)))
}

// clockAhead returns by how much the peer's clock is ahead of this machine's now.
func (l *link) clockAhead(now time.Time) time.Duration {
	return time.Duration(l.ahead.Load()) - l.host.clocks.set(now)
}

// clockAhead returns by how much most neighbours' clocks are ahead of this machine's: the
// median; and how many neighbours there are.
func (h *Host) clockAhead(now time.Time) (ahead time.Duration, of int) {
	h.mu.RLock()
	defer h.mu.RUnlock()
	var all []time.Duration
	for _, l := range h.neighbours {
		all = append(all, l.clockAhead(now))
	}
	if len(all) == 0 {
		return 0, 0
	}
	slices.Sort(all)
	return all[len(all)/2], len(all)
}

// watchClocks says so when this machine's clock differs from the neighbours'.
func (h *Host) watchClocks(now time.Time) {
	ahead, of := h.clockAhead(now)
	switch far := ahead.Abs(); {
	case !h.clocks.far && far > clockTold:
		h.clocks.far = true
		h.log.Warn("clock differs from the neighbours'", "ahead", -ahead, "neighbours", of,
			"remedy", "set this machine's clock (NTP), if it is not theirs that are wrong")
	case h.clocks.far && far < clockKept:
		h.clocks.far = false
		h.log.Info("clock agrees with the neighbours' again", "neighbours", of)
	}
}

// Barred says why this host cannot connect to anybody, or nil: it has no neighbour, and
// others' certificates begin later than its clock says that it is.
func (h *Host) Barred() error {
	if err := h.clocks.barred.Load(); err != nil {
		return *err
	}
	return nil
}

// judgeCertificate notes whether a dial failed because of the clock.
func (h *Host) judgeCertificate(now time.Time, err error) error {
	if err == nil || !isEarly(err) {
		return err
	}
	err = fmt.Errorf("this machine's clock says %s, and the peer's certificate begins later: set the clock (NTP): %w", now.UTC().Format(time.RFC3339), err)
	h.mu.RLock()
	alone := len(h.neighbours) == 0
	h.mu.RUnlock()
	if alone {
		why := errors.New("no connection: " + err.Error())
		h.clocks.barred.Store(&why)
	}
	return err
}

// isEarly says whether an error is that of a certificate that is not valid yet. Those of
// libp2p have a text only.
func isEarly(err error) bool {
	return strings.Contains(err.Error(), "not yet valid") && strings.Contains(err.Error(), "is before")
}

// isCertificateRefused says whether the peer has refused this host's certificate.
func isCertificateRefused(cause error) bool {
	return cause != nil && strings.Contains(cause.Error(), "bad certificate")
}
