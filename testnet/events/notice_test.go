package events

import (
	"testing"
	"time"

	"grapevine/testnet/scenario"
)

// A crash is noticed by all when its connections have ended, after 30 s, and the silence
// has then gone on for three times what a member may be silent, 3 s and two rounds for
// each doubling of the members (p2p/membership).
func TestACrashIsNoticed(t *testing.T) {
	s := scenario.Defaults()
	s.Name, s.Peers, s.Membership, s.Duration = "crash", 10, scenario.Live, scenario.Duration(2*time.Minute)
	s.Load.Blocks = 0
	s.Faults = []scenario.Fault{{Kind: scenario.Crash, At: scenario.Duration(10 * time.Second), Peers: []int{4, 7}}}
	p, err := s.Plan()
	if err != nil {
		t.Fatal(err)
	}
	o, err := Run(t.Context(), p, "grapevine", nil)
	if err != nil {
		t.Fatal(err)
	}
	const least = 30*time.Second + 3*(3+2*6)*time.Second
	if o.Noticed < least || o.Noticed > least+5*time.Second {
		t.Errorf("noticed after %v: want %v, and up to 5 s more for the last to look", o.Noticed, least)
	}
	p.Events = nil
	if o, err = Run(t.Context(), p, "grapevine", nil); err != nil || o.Noticed != 0 {
		t.Errorf("without a crash: noticed after %v, %v", o.Noticed, err)
	}
}
