package scenario

import (
	"fmt"
	"math/big"
	"strconv"
	"strings"
	"time"
)

// Duration, Bytes and Rate read as people write them: 50ms, 1MiB, 50mbit. Each is a
// value that a command line's flags can set (Set, String, Type).
type (
	Duration time.Duration
	Bytes    int64 // B, kB, MB, KiB, MiB
	Rate     int64 // bits a second: bit, kbit, mbit, gbit
)

// unit is a name and how many of the smallest it is.
type unit struct {
	name string
	size int64
}

// The units, each before those that its name ends with.
var (
	byteUnits = []unit{{"MiB", 1 << 20}, {"KiB", 1 << 10}, {"MB", 1e6}, {"kB", 1e3}, {"B", 1}}
	rateUnits = []unit{{"gbit", 1e9}, {"mbit", 1e6}, {"kbit", 1e3}, {"bit", 1}}
)

// maxDigits bounds what is read as a number: more is no amount of anything here.
const maxDigits = 20

// parseAmount reads a decimal number and a unit, exactly; what is not a whole number
// of the smallest unit is refused.
func parseAmount(text string, units []unit) (int64, bool) {
	for _, u := range units {
		number, ok := strings.CutSuffix(text, u.name)
		if !ok {
			continue
		}
		number = strings.TrimSpace(number)
		if len(number) > maxDigits || strings.Trim(number, "0123456789.") != "" {
			return 0, false
		}
		n, ok := new(big.Rat).SetString(number)
		if !ok {
			return 0, false
		}
		n.Mul(n, new(big.Rat).SetInt64(u.size))
		return n.Num().Int64(), n.IsInt() && n.Num().IsInt64()
	}
	return 0, false
}

// formatAmount writes n with the largest unit that divides it.
func formatAmount(n int64, units []unit) string {
	for _, u := range units {
		if n != 0 && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return "0" + units[len(units)-1].name
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
	n, ok := parseAmount(text, byteUnits)
	if !ok {
		return fmt.Errorf("size %q: want a whole number of bytes, such as 250B, 64KiB or 1MiB", text)
	}
	*b = Bytes(n)
	return nil
}

// Set reads a rate with its unit.
func (r *Rate) Set(text string) error {
	n, ok := parseAmount(text, rateUnits)
	if !ok {
		return fmt.Errorf("rate %q: want bits a second, such as 500kbit, 50mbit or 1gbit", text)
	}
	*r = Rate(n)
	return nil
}

// D is the duration as the standard library has it.
func (d Duration) D() time.Duration { return time.Duration(d) }

func (d Duration) String() string { return time.Duration(d).String() }
func (b Bytes) String() string    { return formatAmount(int64(b), byteUnits) }
func (r Rate) String() string     { return formatAmount(int64(r), rateUnits) }

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
