package processes

import (
	"errors"
	"io/fs"
	"os"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/internal/logline"
	"grapevine/testnet/outcome"
	"grapevine/testnet/report"
)

// diary is what a peer's log says of it, over all its lives.
//
// A log line is written a moment after what it tells of, by another goroutine than the
// one that writes to the ledger. So when a peer is killed the last blocks of its ledger
// may not stand in its log; and its log's last block need not be in its ledger. How high
// the ledger is the next life says when it begins. What is missing by then came before
// the kill, and nobody knows how.
type diary struct {
	*world
	peer     int
	numbers  map[string]int             // by peer ID
	made     map[block.ID]time.Duration // the chain's blocks, by when they were made
	arrivals []outcome.Arrival
	err      error
}

func (d *diary) read(path string) error {
	f, err := os.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil // it never ran
	}
	if err != nil {
		return err
	}
	defer f.Close()
	if _, err := report.ReadLines(d.peer, f, d.line); err != nil || d.err != nil {
		return errors.Join(err, d.err)
	}
	d.end()
	return nil
}

// height returns that of the last block that came.
func (d *diary) height() uint64 {
	if n := len(d.arrivals); n > 0 {
		return d.arrivals[n-1].Height
	}
	return 0
}

func (d *diary) line(l report.Line) {
	at := l.Time.Sub(d.course.Began())
	switch {
	case l.Fact != nil:
		d.accepted(l.Fact, at)
	case l.Msg == logline.NodeStarted:
		var of struct{ Height uint64 }
		d.err = errors.Join(d.err, l.Decode(&of))
		d.fill(of.Height, d.died(at))
	case l.Msg == logline.PeerCutOff:
		var of struct{ Peer, Offence, Detail string }
		d.err = errors.Join(d.err, l.Decode(&of))
		dropped, known := d.numbers[of.Peer]
		if !known {
			dropped = -1
		}
		d.out.Drops = append(d.out.Drops, outcome.Drop{Peer: d.peer, Dropped: dropped, At: at, Why: of.Offence + ": " + of.Detail})
	}
}

// accepted notes a block, at its time and the latency that the peer measured: the line
// is written later.
func (d *diary) accepted(f *report.Fact, written time.Duration) {
	made, known := d.made[f.ID]
	if !known {
		made = written - f.Latency
		if f.Via == arrival.Own && f.Height > uint64(len(d.out.Blocks)) { // made, and died with its producer
			d.out.Blocks = append(d.out.Blocks, outcome.Block{Height: f.Height, ID: f.ID, Bytes: f.Bytes, At: made})
		}
	}
	from, known := d.numbers[f.From]
	if !known || from == d.peer {
		from = -1
	}
	d.add(outcome.Arrival{Peer: d.peer, Height: f.Height, ID: f.ID, At: made + f.Latency, Via: f.Via, From: from, Hop: f.Hop})
}

// add keeps a peer's arrivals in the order in which they were written, also if the
// machine's clock is set.
func (d *diary) add(a outcome.Arrival) {
	if n := len(d.arrivals); n > 0 {
		a.At = max(a.At, d.arrivals[n-1].At)
	}
	d.arrivals = append(d.arrivals, a)
}

// died returns when the life before the one that began at a time had ended.
func (d *diary) died(begun time.Duration) time.Duration {
	var at time.Duration
	for _, s := range d.out.Peers[d.peer].Away {
		if s.From <= begun {
			at = s.From
		}
	}
	return at
}

// fill adds the blocks up to a height that came by a time and stand nowhere in the log.
func (d *diary) fill(upto uint64, by time.Duration) {
	for h := d.height() + 1; h <= upto && h <= uint64(len(d.out.Blocks)); h++ {
		d.add(outcome.Arrival{Peer: d.peer, Height: h, ID: d.out.Blocks[h-1].ID, At: by, From: -1})
	}
}

// end closes the diary with what the peer itself said that it has.
func (d *diary) end() {
	p := &d.out.Peers[d.peer]
	if d.lives[d.peer] == nil { // it can be asked no more
		if n := len(d.arrivals); n > 0 {
			p.Height, p.ID = d.arrivals[n-1].Height, d.arrivals[n-1].ID
		}
		return
	}
	for n := len(d.arrivals); n > 0 && d.arrivals[n-1].Height > p.Height; n-- { // since then
		d.arrivals = d.arrivals[:n-1]
	}
	d.fill(p.Height, d.out.End)
}
