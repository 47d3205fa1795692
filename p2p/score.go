package p2p

import (
	"fmt"
	"math"
	"time"

	"grapevine/p2p/wire"
)

// Offence is something that a peer can be charged with.
type Offence uint8

// The offences, from the gravest. What no honest peer ever sends costs the
// connection at the second time; what happens to honest peers now and then costs
// it when it goes on.
const (
	Forged    Offence = iota // a wrong signature, root or proof under somebody's name
	Malformed                // bytes that are no message of the protocol, or too many
	Invalid                  // well formed and signed, and against the network's rules
	Unasked                  // an answer to nothing, a request that cannot be served
	Flooding                 // more than a fair share
	Silent                   // no answer in time
	numOffences
)

// weights are the offences' costs in points. All are guesses about proportion.
var weights = [numOffences]float64{Forged: 60, Malformed: 60, Invalid: 40, Unasked: 10, Flooding: 10, Silent: 4}

// String returns the offence's name, as logs and metrics spell it.
func (o Offence) String() string {
	return [...]string{"forged", "malformed", "invalid", "unasked", "flooding", "silent"}[o]
}

const (
	scoreLimit   = 100            // points that cost the connection
	scoreHeal    = 1.0 / 3        // points that a second takes away: five minutes heal all
	firstRefusal = time.Minute    // how long a peer is refused the first time;
	longRefusal  = time.Hour      // doubled each time up to this,
	forgetAfter  = 24 * time.Hour // and begun anew after this long without a refusal
	maxScores    = 4096           // peers remembered; the least guilty is forgotten first
)

// scores is the memory of what peers were charged with: a core, told the time.
type scores struct {
	peers map[wire.PeerID]*score
}

type score struct {
	points  float64 // at the time of at
	at      time.Time
	refusal time.Duration // the last one's length; zero: never refused
	until   time.Time     // refused until
}

func newScores() *scores { return &scores{peers: make(map[wire.PeerID]*score)} }

// charge adds an offence and says whether the peer is to be cut off now: also while it
// is refused, for then there should be no connection.
func (s *scores) charge(now time.Time, p wire.PeerID, o Offence) (cut bool) {
	c := s.peers[p]
	if c == nil {
		s.makeRoom(now)
		c = &score{at: now}
		s.peers[p] = c
	}
	c.points = c.healed(now) + weights[o]
	c.at = now
	if now.Before(c.until) {
		return true
	}
	if c.points < scoreLimit {
		return false
	}
	if c.refusal == 0 || now.Sub(c.until) > forgetAfter {
		c.refusal = firstRefusal
	} else {
		c.refusal = min(2*c.refusal, longRefusal)
	}
	c.points = scoreLimit / 2 // it comes back with half its credit
	c.until = now.Add(c.refusal)
	return true
}

// refused says whether the peer is refused at this time.
func (s *scores) refused(now time.Time, p wire.PeerID) bool {
	c := s.peers[p]
	return c != nil && now.Before(c.until)
}

// text says what a peer's score is, for its Goodbye.
func (s *scores) text(now time.Time, p wire.PeerID) string {
	c := s.peers[p]
	if c == nil {
		return "refused"
	}
	return fmt.Sprintf("refused for %v", c.until.Sub(now).Round(time.Second))
}

func (c *score) healed(now time.Time) float64 {
	return math.Max(0, c.points-scoreHeal*now.Sub(c.at).Seconds())
}

// guilt orders peers by how much would be lost if they were forgotten.
func (c *score) guilt(now time.Time) float64 {
	g := c.healed(now)
	if now.Before(c.until) {
		g += scoreLimit * c.refusal.Minutes()
	} else if c.refusal > 0 && now.Sub(c.until) < forgetAfter {
		g += c.refusal.Minutes()
	}
	return g
}

// makeRoom forgets the least guilty peer when the memory is full; of equals, the
// one with the lowest ID.
func (s *scores) makeRoom(now time.Time) {
	if len(s.peers) < maxScores {
		return
	}
	var least wire.PeerID
	lowest := math.Inf(1)
	for p, c := range s.peers { // the minimum does not depend on the order
		if g := c.guilt(now); g < lowest || g == lowest && p < least {
			least, lowest = p, g
		}
	}
	delete(s.peers, least)
}
