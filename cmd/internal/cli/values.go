package cli

import (
	"encoding"
	"errors"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Value is what a flag or a setting holds. It is a pflag.Value, so that the same text means
// the same as a flag and in the environment; config.toml has types of its own.
type Value interface {
	Set(text string) error
	String() string
	Type() string
	// FromTOML returns the text that Set takes for what stands in config.toml.
	FromTOML(v any) (string, error)
	// ToTOML returns how config.toml spells the value.
	ToTOML() string
}

// Owned is a value whose default is that of the part which is told of it. That part gets
// zero, which it takes for its default, when nothing else was given.
func Owned(v, def Value) Value { return ownedValue{v, def} }

type ownedValue struct {
	Value
	def Value
}

// Set refuses zero, which would silently mean the default.
func (v ownedValue) Set(text string) error {
	if err := v.Value.Set(text); err != nil {
		return err
	}
	if v.zero() {
		return fmt.Errorf("want more than zero; leave it out for the default, %s", v.def)
	}
	return nil
}

func (v ownedValue) String() string { return v.shown().String() }
func (v ownedValue) ToTOML() string { return v.shown().ToTOML() }

func (v ownedValue) shown() Value {
	if v.zero() {
		return v.def
	}
	return v.Value
}

func (v ownedValue) zero() bool {
	text := v.Value.String()
	return text == "0" || text == "0s"
}

// Text is any text, or one of those that are allowed.
func Text(to *string, allowed ...string) Value { return textValue{to, allowed} }

type textValue struct {
	to      *string
	allowed []string // empty: anything
}

func (v textValue) String() string { return *v.to }
func (v textValue) Type() string   { return "text" }
func (v textValue) ToTOML() string { return strconv.Quote(*v.to) }

// Words are what shells complete to.
func (v textValue) Words() []string { return v.allowed }

func (v textValue) Set(s string) error {
	if len(v.allowed) > 0 && !slices.Contains(v.allowed, s) {
		return fmt.Errorf("want one of %s", strings.Join(v.allowed, ", "))
	}
	*v.to = s
	return nil
}

func (v textValue) FromTOML(in any) (string, error) {
	s, ok := in.(string)
	if !ok {
		return "", errors.New(`want text in quotes`)
	}
	return s, nil
}

// Word is a value that has names of its own, such as fresh.Mode.
func Word(to interface {
	encoding.TextMarshaler
	encoding.TextUnmarshaler
}, names ...string) Value {
	text, _ := to.MarshalText()
	word := string(text)
	return wordValue{textValue{&word, names}, to}
}

type wordValue struct {
	textValue
	named encoding.TextUnmarshaler
}

func (v wordValue) Set(s string) error {
	if err := v.named.UnmarshalText([]byte(s)); err != nil {
		return err
	}
	return v.textValue.Set(s)
}

// List is texts without commas. The first that is given replaces the default, others are
// added, so that a flag may be given several times.
func List(to *[]string) Value { return &listValue{to: to} }

type listValue struct {
	to  *[]string
	set bool
}

func (v *listValue) String() string { return strings.Join(*v.to, ",") }
func (v *listValue) Type() string   { return "list" }

func (v *listValue) Set(s string) error {
	if !v.set {
		*v.to, v.set = nil, true
	}
	for item := range strings.SplitSeq(s, ",") {
		if item = strings.TrimSpace(item); item != "" {
			*v.to = append(*v.to, item)
		}
	}
	return nil
}

func (v *listValue) FromTOML(in any) (string, error) {
	items, ok := in.([]any)
	texts := make([]string, len(items))
	for i := range items {
		if texts[i], ok = items[i].(string); !ok || strings.Contains(texts[i], ",") {
			return "", errors.New(`want a list such as ["one", "two"], without commas inside`)
		}
	}
	if !ok {
		return "", errors.New(`want a list such as ["one", "two"]`)
	}
	return strings.Join(texts, ","), nil
}

func (v *listValue) ToTOML() string {
	quoted := make([]string, len(*v.to))
	for i, s := range *v.to {
		quoted[i] = strconv.Quote(s)
	}
	return "[" + strings.Join(quoted, ", ") + "]"
}

// Bool is true or false.
func Bool(to *bool) Value { return boolValue{to} }

type boolValue struct{ to *bool }

func (v boolValue) String() string { return strconv.FormatBool(*v.to) }
func (v boolValue) Type() string   { return "bool" }
func (v boolValue) ToTOML() string { return v.String() }

// Words are what shells complete to.
func (v boolValue) Words() []string { return []string{"true", "false"} }

func (v boolValue) Set(s string) error {
	if s != "true" && s != "false" {
		return errors.New("want true or false")
	}
	*v.to = s == "true"
	return nil
}

func (v boolValue) FromTOML(in any) (string, error) {
	b, ok := in.(bool)
	if !ok {
		return "", errors.New("want true or false, without quotes")
	}
	return strconv.FormatBool(b), nil
}

// Count is a number from least to most.
func Count(to *int, least, most int) Value { return countValue{to, least, most} }

type countValue struct {
	to       *int
	min, max int
}

func (v countValue) String() string { return strconv.Itoa(*v.to) }
func (v countValue) Type() string   { return "count" }
func (v countValue) ToTOML() string { return v.String() }

func (v countValue) Set(s string) error {
	n, err := strconv.Atoi(s)
	if err != nil || n < v.min || n > v.max {
		return fmt.Errorf("want a number from %d to %d", v.min, v.max)
	}
	*v.to = n
	return nil
}

func (v countValue) FromTOML(in any) (string, error) { return numberFromTOML(in) }

// Seed is a number from 0 to 2^63-1.
func Seed(to *uint64) Value { return seedValue{to} }

type seedValue struct{ to *uint64 }

func (v seedValue) String() string { return strconv.FormatUint(*v.to, 10) }
func (v seedValue) Type() string   { return "number" }
func (v seedValue) ToTOML() string { return v.String() }

func (v seedValue) Set(s string) error {
	n, err := strconv.ParseUint(s, 10, 63) // TOML's integers have 64 bits and a sign
	if err != nil {
		return errors.New("want a number from 0 to 2^63-1")
	}
	*v.to = n
	return nil
}

func (v seedValue) FromTOML(in any) (string, error) { return numberFromTOML(in) }

func numberFromTOML(in any) (string, error) {
	n, ok := in.(int64)
	if !ok {
		return "", errors.New("want a number, without quotes")
	}
	return strconv.FormatInt(n, 10), nil
}

// Duration is a time, as Go writes it.
func Duration(to *time.Duration) Value { return durationValue{to} }

type durationValue struct{ to *time.Duration }

func (v durationValue) String() string { return v.to.String() }
func (v durationValue) Type() string   { return "duration" }
func (v durationValue) ToTOML() string { return strconv.Quote(v.String()) }

func (v durationValue) Set(s string) error {
	d, err := time.ParseDuration(s)
	if err != nil || d < 0 {
		return errors.New(`want a duration such as 250ms, 1.5s or 2m`)
	}
	*v.to = d
	return nil
}

func (v durationValue) FromTOML(in any) (string, error) {
	s, ok := in.(string)
	if !ok {
		return "", errors.New(`want a duration in quotes, such as "250ms"`)
	}
	return s, nil
}

// Size is a number of bytes.
func Size(to *int) Value { return sizeValue{to} }

type sizeValue struct{ to *int }

func (v sizeValue) String() string { return formatSize(*v.to) }
func (v sizeValue) Type() string   { return "size" }
func (v sizeValue) ToTOML() string { return strconv.Quote(v.String()) }

func (v sizeValue) Set(s string) error {
	n, err := parseSize(s)
	if err == nil {
		*v.to = n
	}
	return err
}

func (v sizeValue) FromTOML(in any) (string, error) {
	switch n := in.(type) {
	case string:
		return n, nil
	case int64:
		return strconv.FormatInt(n, 10), nil
	}
	return "", errors.New(`want a size in quotes, such as "64KiB"`)
}

// units are the sizes' units, largest first.
var units = []struct {
	name string
	size int
}{{"GiB", 1 << 30}, {"MiB", 1 << 20}, {"KiB", 1 << 10}}

// parseSize reads a number of bytes, with KiB, MiB or GiB behind it or nothing.
func parseSize(s string) (int, error) {
	number, unit := strings.TrimSpace(s), 1
	for _, u := range units {
		if rest, ok := strings.CutSuffix(number, u.name); ok {
			number, unit = strings.TrimSpace(rest), u.size
			break
		}
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 0 || n > math.MaxInt/unit {
		return 0, errors.New("want a size such as 500, 64KiB, 4MiB or 1GiB")
	}
	return n * unit, nil
}

// formatSize writes n with the largest unit that divides it.
func formatSize(n int) string {
	for _, u := range units {
		if n >= u.size && n%u.size == 0 {
			return strconv.Itoa(n/u.size) + u.name
		}
	}
	return strconv.Itoa(n)
}

// Shortly writes a duration as people do: 1m, and not 1m0s.
func Shortly(d time.Duration) string {
	if text := d.String(); strings.HasSuffix(text, "m0s") {
		return strings.TrimSuffix(text, "0s")
	}
	return d.String()
}
