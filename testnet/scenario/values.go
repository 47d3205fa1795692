package scenario

import (
	"fmt"
	"math/big"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Duration, Bytes and Rate read as people write them: 50ms, 1MiB, 50mbit. Each is a
// value that a command line's flags can set (Set, String, Type).
type (
	Duration time.Duration
	Bytes    int64 // B, kB, MB, GB, KiB, MiB, GiB
	Rate     int64 // bits a second: bit, kbit, mbit, gbit, in any case
)

// unit is a name and how many of the smallest it is.
type unit struct {
	name string
	size int64
}

// measure is what amounts are of, and how they are written.
type measure struct {
	name, of, such string
	units          []unit // in the order in which format tries them; the smallest is last
	same           func(a, b string) bool
}

var (
	sizes = measure{"size", "bytes", "250B, 64KiB or 1MiB",
		[]unit{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}, {"GB", 1e9}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}},
		func(a, b string) bool { return a == b }} // Mb would be bits
	rates = measure{"rate", "bits a second", "500kbit, 50mbit or 1gbit",
		[]unit{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}},
		strings.EqualFold}
)

// maxDigits bounds what is read as a number: more is no amount of anything here.
const maxDigits = 20

// parse reads a decimal number and a unit, exactly; what is not a whole number of the
// smallest unit is refused. Zero is the same in all units, and needs none.
func (m measure) parse(text string) (int64, error) {
	name := strings.TrimLeft(text, " +-.0123456789")
	number := strings.TrimSpace(strings.TrimSuffix(text, name))
	name = strings.TrimSpace(name)
	at := slices.IndexFunc(m.units, func(u unit) bool { return m.same(u.name, name) })
	n, ok := parseNumber(number)
	switch {
	case !ok:
		return 0, fmt.Errorf("%s %q: want a number and its unit, such as %s", m.name, text, m.such)
	case n.Sign() < 0:
		return 0, fmt.Errorf("%s %q is negative: want 0 or more", m.name, text)
	case name == "" && n.Sign() == 0:
		return 0, nil
	case name == "":
		return 0, fmt.Errorf("%s %q has no unit: want one such as %s", m.name, text, m.such)
	case at < 0:
		return 0, fmt.Errorf("%s %q: there is no unit %q: want %s", m.name, text, name, m.unitNames())
	}
	n.Mul(n, new(big.Rat).SetInt64(m.units[at].size))
	if !n.IsInt() {
		return 0, fmt.Errorf("%s %q: want a whole number of %s", m.name, text, m.of)
	}
	if !n.Num().IsInt64() {
		return 0, fmt.Errorf("%s %q is too much: want less than 2^63 %s", m.name, text, m.of)
	}
	return n.Num().Int64(), nil
}

// parseNumber reads digits, with a point among them or not, and a minus before or not.
func parseNumber(text string) (*big.Rat, bool) {
	if len(text) > maxDigits || strings.Trim(strings.TrimPrefix(text, "-"), "0123456789.") != "" {
		return nil, false
	}
	return new(big.Rat).SetString(text)
}

// unitNames lists the units, the smallest first.
func (m measure) unitNames() string {
	var names []string
	for _, u := range slices.Backward(m.units) {
		names = append(names, u.name)
	}
	last := len(names) - 1
	return strings.Join(names[:last], ", ") + " or " + names[last]
}

// format writes n with the first unit that divides it.
func (m measure) format(n int64) string {
	for _, u := range m.units {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return "0" + m.units[len(m.units)-1].name
}

// Set reads a duration of Go's form that is not negative.
func (d *Duration) Set(text string) error {
	v, err := time.ParseDuration(text)
	if err != nil || v < 0 {
		return fmt.Errorf("duration %q: want one such as 250ms, 1.5s or 2m", text)
	}
	*d = Duration(v)
	return nil
}

// Set reads an amount of bytes with its unit.
func (b *Bytes) Set(text string) error {
	n, err := sizes.parse(text)
	if err == nil {
		*b = Bytes(n)
	}
	return err
}

// Set reads a rate with its unit.
func (r *Rate) Set(text string) error {
	n, err := rates.parse(text)
	if err == nil {
		*r = Rate(n)
	}
	return err
}

// D is the duration as the standard library has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }
func (b Bytes) String() string    { return sizes.format(int64(b)) }
func (r Rate) String() string     { return rates.format(int64(r)) }

// Type is what a command line's help calls the value.
func (d *Duration) Type() string { return "duration" }

// Type is what a command line's help calls the value.
func (b *Bytes) Type() string { return "size" }

// Type is what a command line's help calls the value.
func (r *Rate) Type() string { return "rate" }

// UnmarshalText is Set.
func (d *Duration) UnmarshalText(text []byte) error { return d.Set(string(text)) }

// UnmarshalText is Set.
func (b *Bytes) UnmarshalText(text []byte) error { return b.Set(string(text)) }

// UnmarshalText is Set.
func (r *Rate) UnmarshalText(text []byte) error { return r.Set(string(text)) }

// MarshalText is String.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// MarshalText is String.
func (b Bytes) MarshalText() ([]byte, error) { return []byte(b.String()), nil }

// MarshalText is String.
func (r Rate) MarshalText() ([]byte, error) { return []byte(r.String()), nil }
