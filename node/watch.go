package node

import (
	"context"
	"fmt"
	"time"

	"grapevine/dissemination/arrival"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

const (
	// watchEvery is how often a node looks whether the orderer is heard of.
	watchEvery = time.Second
	// greetWait is how long a node that has just started may not have heard of the orderer
	// without that being worth a word. A guess: several dials.
	greetWait = 10 * time.Second
)

// watch notes once a second what is known of the orderer.
func (n *Node) watch(ctx context.Context) error {
	ticker := time.NewTicker(watchEvery)
	defer ticker.Stop()
	said := ""
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-ticker.C:
			m := n.host.Member(wire.PeerID(n.cfg.Genesis.Producer()))
			n.sight.Store(&m)
			switch note := n.Note(); {
			case said == "" && note != "":
				n.cfg.Logger.Warn("transactions wait", "why", note)
				said = note
			case said != "" && note == "":
				n.cfg.Logger.Info("the orderer is heard again", "orderer", m.Peer)
				said = note
			}
		}
	}
}

// Note says what keeps transactions from being ordered though this node does its work, or
// "": the orderer is silent. It is no reason for this node not to be ready: it takes
// transactions, and starting it again would mend nothing.
func (n *Node) Note() string {
	if n.orderer != nil || !n.running.Load() {
		return ""
	}
	now := time.Now()
	var m p2p.Member
	if seen := n.sight.Load(); seen != nil {
		m = *seen
	}
	last, due := m.Word, m.Due
	// A fresh block is its orderer's word too, and goes faster than a heartbeat.
	if block := n.fresh.Load(); block != nil && block.After(last) {
		if !due.IsZero() {
			due = block.Add(due.Sub(last))
		}
		last = *block
	}
	ago := now.Sub(last).Truncate(time.Second)
	switch {
	case last.IsZero() && now.Sub(n.started) < greetWait:
		return ""
	case last.IsZero():
		return fmt.Sprintf("the orderer has not been heard since this node started %v ago; transactions wait", now.Sub(n.started).Truncate(time.Second))
	case m.State == "left":
		return fmt.Sprintf("the orderer has stopped, as it said %v ago; transactions wait", now.Sub(m.Word).Truncate(time.Second))
	case m.State == "dead", !due.IsZero() && !now.Before(due):
		return fmt.Sprintf("the orderer has not been heard for %v; transactions wait", ago)
	}
	return ""
}

// onFresh notes that the orderer was at work a moment ago.
func (n *Node) onFresh(f arrival.Accepted) {
	if f.Via != arrival.CatchUp {
		now := time.Now()
		n.fresh.Store(&now)
	}
}
