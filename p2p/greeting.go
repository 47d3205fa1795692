package p2p

import (
	"errors"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p/core/network"

	"grapevine/block/sig"
	"grapevine/p2p/wire"
)

// The protocol versions that this software speaks. In version 2 a member record is
// named by a hash too; in version 3 blocks travel as shards.
const (
	versionLow  = 3
	versionHigh = 3
)

// ErrSameIdentity is matched by Run's error when another, older node of the network
// runs with the same identity.
var ErrSameIdentity = errors.New("another node runs with this identity")

// hello is what this host says first on a connection.
func (h *Host) hello() wire.Hello {
	tip, base := h.cfg.Status()
	return wire.Hello{
		Genesis:     h.cfg.Genesis.ID(),
		VersionLow:  h.versionLow,
		VersionHigh: h.versionHigh,
		Software:    h.cfg.Software,
		Tip:         tip,
		Base:        base,
		Clock:       time.Now(),
		Instance:    h.instance,
		Started:     h.started,
	}
}

// check says why a Hello keeps two peers apart. The Goodbye is for them, the text
// for our operator.
func (h *Host) check(hello wire.Hello) (*wire.Goodbye, string) {
	switch ours := h.cfg.Genesis.ID(); {
	case hello.Genesis != ours:
		return &wire.Goodbye{
				Code: wire.WrongNetwork,
				Text: fmt.Sprintf("other network: your genesis is %s, mine is %s", hello.Genesis, ours),
			}, fmt.Sprintf("the peer is in another network: its genesis is %s, ours is %s; start with that network's genesis.json, or take the peer out of bootstrap",
				hello.Genesis, ours)
	case hello.VersionHigh < h.versionLow || hello.VersionLow > h.versionHigh:
		return &wire.Goodbye{
				Code: wire.WrongVersion,
				Text: fmt.Sprintf("no common version: you speak %d to %d, I speak %d to %d", hello.VersionLow, hello.VersionHigh, h.versionLow, h.versionHigh),
			}, fmt.Sprintf("the peer speaks protocol versions %d to %d (%s), we speak %d to %d: update the older of the two",
				hello.VersionLow, hello.VersionHigh, hello.Software, h.versionLow, h.versionHigh)
	}
	return nil, ""
}

// readControl reads the control lane: Hello, then everything else.
func (l *link) readControl(s network.Stream) error {
	select {
	case <-l.known: // what is read here must reach the loop after the link itself
	case <-l.closing:
		return io.EOF
	}
	r := wire.NewReader(s, wire.MaxControl)
	if err := s.SetReadDeadline(time.Now().Add(l.host.timing.hello)); err != nil {
		return err
	}
	probes, share := 0, newMeter(time.Now())
	for first := true; ; first = false {
		raw, err := l.readMessage(wire.Control, s, r)
		if err != nil {
			return err
		}
		m, err := wire.DecodeControl(raw)
		if err != nil {
			return err
		}
		if _, isHello := m.(wire.Hello); isHello != first {
			if _, bye := m.(wire.Goodbye); !bye {
				return fmt.Errorf("%w: %T at the wrong time", wire.ErrMalformed, m)
			}
		}
		if _, isProbe := m.(wire.Probe); isProbe {
			if probes++; probes > maxProbes {
				return fmt.Errorf("%w: more than %d probes", wire.ErrMalformed, maxProbes)
			}
		}
		if _, bye := m.(wire.Goodbye); !bye {
			switch share.take(time.Now()) {
			case tooMuch:
				l.host.Charge(l.peer, Flooding, "too many messages of the control lane")
				continue
			case enough:
				continue
			}
		}
		if !l.hear(m) {
			return errParted
		}
	}
}

// A neighbour's share of the control lane's messages, each of which may cost signatures:
// a few exchanges of views a second, from a neighbour that has hundreds of others, its
// heartbeats, and what decides between connections. What is above it is passed over
// before it costs more than its decoding, and charged when it is far above.
const (
	controlBurst  = 64
	controlPerSec = 8
	controlOver   = 16 // how far above that it may go before it is charged
)

// meter is a token bucket of messages.
type meter struct {
	tokens float64
	at     time.Time // when tokens was right
}

// measure is what a meter says of a message.
type measure uint8

const (
	fair    measure = iota
	enough          // it is above the share
	tooMuch         // it is far above
)

func newMeter(now time.Time) meter { return meter{controlBurst, now} }

func (m *meter) take(now time.Time) measure {
	m.tokens = min(controlBurst, m.tokens+controlPerSec*now.Sub(m.at).Seconds()) - 1
	m.at = now
	switch {
	case m.tokens >= 0:
		return fair
	case m.tokens >= -controlOver:
		return enough
	}
	m.tokens = 0
	return tooMuch
}

// maxProbes bounds the signatures that a connection can ask for. Each Probe stands
// for another connection to the same peer, which is rare.
const maxProbes = 64

var errParted = errors.New("the peer said goodbye")

// hear acts on a message of the control lane; false means that it was the last.
func (l *link) hear(m wire.ControlMessage) bool {
	h := l.host
	switch m := m.(type) {
	case wire.Hello:
		if g, text := h.check(m); g != nil {
			h.logRefusal(l, text)
			l.dismiss(*g)
			return true // until the peer has closed the connection
		}
		l.greetedAt(time.Now(), m.Clock)
		l.mu.Lock()
		l.hello = &m
		l.mu.Unlock()
		h.post(greeted{l, m})
	case wire.Begin:
		h.post(began{l})
	case wire.Probe:
		l.sendControl(h.alive(m.Rival))
	case wire.Alive:
		if !sig.Verify(l.key(), wire.DomainAlive, h.cfg.Genesis.ID(), m.SignedBytes(), m.Signature) {
			h.Charge(l.peer, Forged, "wrong signature on an Alive")
			break
		}
		h.post(answered{l, m})
	case wire.Membership:
		h.heardMembership(l, m)
	case wire.Goodbye:
		h.heardGoodbye(l, m)
		return false
	case wire.Beat: // it has done what it is for
	}
	return true
}

// alive answers a Probe about a rival.
func (h *Host) alive(rival uint64) wire.Alive {
	a := wire.Alive{Instance: h.instance, Started: h.started, Rival: rival}
	a.Signature = h.cfg.Key.Sign(wire.DomainAlive, h.cfg.Genesis.ID(), a.SignedBytes())
	return a
}

// heardGoodbye says in the log what our operator can do about it, and stops the
// host when it is the younger of two with one identity.
func (h *Host) heardGoodbye(l *link, g wire.Goodbye) {
	h.metrics.goodbyes.WithLabelValues(g.Code.String(), "in").Inc()
	log := h.log.With("peer", l.peer, "addr", l.conn.RemoteMultiaddr().String(), "code", g.Code.String(), "text", g.Text)
	switch g.Code {
	case wire.Leaving, wire.Surplus:
		log.Debug("peer said goodbye")
	case wire.WrongNetwork:
		h.logRefusal(l, "the peer is in another network: "+g.Text+"; start with that network's genesis.json, or take the peer out of bootstrap")
	case wire.WrongVersion:
		h.logRefusal(l, "the peer is of another version: "+g.Text+"; update the older of the two")
	case wire.SameIdentity:
		if h.yieldsTo(g.Rival) {
			h.post(rivalFound{*g.Rival, l.peer})
		} else {
			log.Warn("peer claims, without proof, that an older node has our identity")
		}
	default:
		log.Warn("peer said goodbye")
	}
}

// yieldsTo says whether a rival is proven to be another live node with our identity,
// and older.
func (h *Host) yieldsTo(rival *wire.Alive) bool {
	return rival != nil &&
		rival.Rival == h.instance && rival.Instance != h.instance &&
		sig.Verify(h.cfg.Key.Public(), wire.DomainAlive, h.cfg.Genesis.ID(), rival.SignedBytes(), rival.Signature) &&
		isOlder(rival.Started, rival.Instance, h.started, h.instance)
}

// logRefusal reports a peer that can never be a neighbour: aloud if we dialled it,
// since then our operator named it.
func (h *Host) logRefusal(l *link, text string) {
	args := []any{"peer", l.peer, "addr", l.conn.RemoteMultiaddr().String(), "err", text}
	if l.outbound() {
		h.log.Error("cannot connect", args...)
	} else {
		h.log.Debug("refused a peer", args...)
	}
}
