package report

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"time"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/internal/logline"
)

// Fact is what one peer saw of one block that it accepted: the log line
// with arrival.Accepted.Attrs.
type Fact struct {
	// Peer is the peer's number in the network.
	Peer       int           `json:"-"`
	Time       time.Time     `json:"time"` // when it was accepted
	Height     uint64        `json:"height"`
	ID         block.ID      `json:"id"`
	Txs        int           `json:"txs"`
	Bytes      int           `json:"bytes"`
	Via        arrival.Via   `json:"via"`
	From       string        `json:"from"` // peer ID of who sent it
	Hop        int           `json:"hop"`
	Latency    time.Duration `json:"latency"`    // nanoseconds: accepted, minus the header's time
	Missing    int           `json:"missing"`    // transactions that had to be fetched
	Duplicates float64       `json:"duplicates"` // bodies' worth of it that came again
}

// Line is one line of a peer's log. Fact is set when the line says that a block
// was accepted.
type Line struct {
	Time  time.Time
	Level string
	Msg   string
	Fact  *Fact

	raw []byte
}

// Decode reads the line's other attributes, into a struct with JSON tags.
func (l Line) Decode(into any) error { return json.Unmarshal(l.raw, into) }

// ErrNotJSON says that a log line is not one that a peer's logger wrote whole: a
// panic's trace, or what a killed process left unfinished.
var ErrNotJSON = errors.New("not a line of a JSON log")

// ParseLine reads one line of a peer's JSON log. When a peer was killed in the
// middle of a line, what its successor wrote follows on the same line: the last
// object that begins on the line is then the one that counts.
func ParseLine(peer int, raw []byte) (Line, error) {
	raw = bytes.TrimSpace(raw)
	l, err := parseObject(peer, raw)
	if err == nil {
		return l, nil
	}
	if at := bytes.LastIndex(raw, []byte(`{"time":`)); at > 0 {
		if l, later := parseObject(peer, raw[at:]); later == nil {
			return l, nil
		}
	}
	return Line{}, err
}

func parseObject(peer int, raw []byte) (Line, error) {
	if len(raw) == 0 || raw[0] != '{' {
		return Line{}, ErrNotJSON
	}
	var head struct {
		Time  time.Time `json:"time"`
		Level string    `json:"level"`
		Msg   string    `json:"msg"`
	}
	if err := json.Unmarshal(raw, &head); err != nil {
		return Line{}, fmt.Errorf("%w: %w", ErrNotJSON, err)
	}
	l := Line{Time: head.Time, Level: head.Level, Msg: head.Msg, raw: raw}
	if head.Msg != logline.BlockAccepted {
		return l, nil
	}
	f := Fact{Peer: peer}
	if err := json.Unmarshal(raw, &f); err != nil {
		return Line{}, fmt.Errorf("%q line: %w", logline.BlockAccepted, err)
	}
	if f.Height == 0 || f.ID.IsZero() {
		return Line{}, fmt.Errorf("%q line without height or id: %s", logline.BlockAccepted, raw)
	}
	l.Fact = &f
	return l, nil
}

// ReadLog returns the facts of one peer's log. It counts the lines that it cannot
// read, and passes over a last line that is still being written.
func ReadLog(peer int, r io.Reader) (facts []Fact, unread int, err error) {
	unread, err = ReadLines(peer, r, func(l Line) {
		if l.Fact != nil {
			facts = append(facts, *l.Fact)
		}
	})
	return facts, unread, err
}

// ReadLines calls with every line of one peer's log that ReadLog reads, in order.
func ReadLines(peer int, r io.Reader, with func(Line)) (unread int, err error) {
	in := bufio.NewReaderSize(r, 64<<10)
	for {
		raw, err := in.ReadBytes('\n')
		if errors.Is(err, io.EOF) {
			return unread, nil
		}
		if err != nil {
			return unread, fmt.Errorf("reading log of peer %d: %w", peer, err)
		}
		l, err := ParseLine(peer, raw)
		if err != nil {
			unread++
		} else {
			with(l)
		}
	}
}
