package scenario

import (
	"bytes"
	"cmp"
	"fmt"
	"math"
	"time"

	"github.com/BurntSushi/toml"

	"grapevine/dissemination/fresh"
)

// The worlds.
const (
	Events    = "events"
	Packets   = "packets"
	Processes = "processes"
)

// The values of Scenario.Membership.
const (
	Auto   = "auto"
	Live   = "live"
	Static = "static"
)

// Grapevine is the protocol of this project; the others are there to be compared.
const Grapevine = "grapevine"

// What there is to choose from. A world need not run every protocol.
var (
	worlds      = []string{Events, Packets, Processes}
	memberships = []string{Auto, Live, Static}
	modes       = fresh.Modes()
	protocols   = []string{Grapevine, "fabric", "fabric-enhanced", "gossipsub", "gossipsub-chunked"}
	kinds       = []string{Cut, Crash, Loss, Slow, Join, Withhold}
)

// defaultReach is the bound where a scenario names none: three
// periodic pulls of the slowest protocol here (10 s).
const defaultReach = Duration(30 * time.Second)

// Defaults returns what a file that says nothing means: five cold blocks of 1 MiB to
// 50 peers, with the links and the spacing of the reference measurements.
func Defaults() Scenario {
	return Scenario{
		Seed:       1,
		Peers:      50,
		World:      Events,
		Protocols:  []string{Grapevine},
		Membership: Auto,
		Load: Load{
			Blocks:     5,
			First:      Duration(time.Second),
			Every:      Duration(7 * time.Second),
			BlockSizes: []Bytes{1 << 20},
			TxSize:     250,
		},
		Link:   Link{Up: 50e6, Down: 50e6, Latency: Duration(50 * time.Millisecond)},
		Checks: Checks{Reach: defaultReach},
	}
}

// maxFile bounds a file: a scenario of 100,000 peers that names each of them twice
// still fits.
const maxFile = 2 << 20

// Parse reads a scenario. A key that does not exist and a value that makes no sense
// are errors that say what and where, what it is and what it should be.
func Parse(name string, text []byte) (Scenario, error) {
	return parseFile("", name, text)
}

// parseFile is Parse of a file, which errors name.
func parseFile(path, name string, text []byte) (Scenario, error) {
	s, err := parse(name, text)
	if err == nil {
		err = s.Validate()
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("%s: %w", Scenario{Name: name, file: path}.called(), err)
	}
	s.file = path
	return s, nil
}

// called is what errors call the scenario.
func (s Scenario) called() string {
	if s.file != "" {
		return s.file
	}
	return "scenario " + s.Name
}

func parse(name string, text []byte) (Scenario, error) {
	s := Defaults()
	if len(text) > maxFile {
		return s, fmt.Errorf("%d bytes: want %d at most", len(text), maxFile)
	}
	var raw map[string]any
	if _, err := toml.Decode(string(text), &raw); err != nil {
		return s, err
	}
	if err := checkKeys(raw); err != nil {
		return s, err
	}
	if seed, ok := raw["seed"].(int64); ok && seed < 0 { // the decoder would make it a large one
		return s, fmt.Errorf("seed %d: want 0 to 2^63-1", seed)
	}
	// Keys that the text has not got keep their defaults.
	if _, err := toml.Decode(string(text), &s); err != nil {
		return s, err
	}
	s.Name = cmp.Or(s.Name, name)
	return s, checkZeros(raw, s.Link)
}

// checkZeros refuses zeros that would be read as if their keys were not there.
func checkZeros(raw map[string]any, link Link) error {
	for _, table := range []string{"class", "fault"} {
		for i, t := range tables(raw[table]) {
			if v, ok := t["share"]; ok && isZero(v) {
				return fmt.Errorf("%s[%d].share 0: that is nobody: leave the %s out", table, i, table)
			}
		}
	}
	said := []struct {
		key, value string
		zero       bool
	}{
		{"latency", link.Latency.String(), link.Latency == 0},
		{"jitter", link.Jitter.String(), link.Jitter == 0},
		{"loss", fmt.Sprint(link.Loss), link.Loss == 0},
	}
	for i, t := range tables(raw["class"]) {
		for _, key := range []string{"up", "down"} {
			if v, ok := t[key]; ok && isZero(v) {
				return fmt.Errorf("class[%d].%s 0: want %s to %s, or leave it out", i, key, Rate(minRate), Rate(maxRate))
			}
		}
		for _, of := range said {
			if v, ok := t[of.key]; ok && isZero(v) && !of.zero {
				return fmt.Errorf("class[%d].%s 0: in a class zero means what [link] says, here %s: write 0 there, and put the others in classes", i, of.key, of.value)
			}
		}
	}
	return nil
}

// isZero says whether a TOML value is zero, or a text that reads as a duration or a
// rate of none.
func isZero(v any) bool {
	switch v := v.(type) {
	case int64:
		return v == 0
	case float64:
		return v == 0
	case string:
		d, err := time.ParseDuration(v)
		n, wrong := rates.parse(v)
		return err == nil && d == 0 || wrong == nil && n == 0
	}
	return false
}

// tables returns a TOML value's tables, whichever way the file spells them.
func tables(v any) []map[string]any {
	switch v := v.(type) {
	case []map[string]any:
		return v
	case []any:
		var out []map[string]any
		for _, item := range v {
			if t, ok := item.(map[string]any); ok {
				out = append(out, t)
			}
		}
		return out
	}
	return nil
}

// wholeLink is a Link that is written with its zeros.
type wholeLink struct {
	Up      Rate     `toml:"up"`
	Down    Rate     `toml:"down"`
	Latency Duration `toml:"latency"`
	Jitter  Duration `toml:"jitter"`
	Loss    float64  `toml:"loss"`
}

// TOML returns a file that Parse reads as this scenario.
func (s Scenario) TOML() ([]byte, error) {
	if s.Seed > math.MaxInt64 {
		return nil, fmt.Errorf("seed %d: want 0 to 2^63-1: TOML's integers have a sign", s.Seed)
	}
	var b bytes.Buffer
	// A class leaves zeros out, for they mean nothing in it; [link] writes all it has,
	// for the defaults are others.
	link := map[string]any{"link": wholeLink(s.Link)}
	s.Link = Link{}
	for _, part := range []any{s, link} {
		e := toml.NewEncoder(&b)
		e.Indent = ""
		if err := e.Encode(part); err != nil {
			return nil, fmt.Errorf("writing scenario %s: %w", s.Name, err)
		}
		b.WriteByte('\n')
	}
	return bytes.TrimSpace(append(b.Bytes(), '\n')), nil
}
