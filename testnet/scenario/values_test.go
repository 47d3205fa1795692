package scenario

import (
	"strings"
	"testing"
)

func TestAmountsReadAsPeopleWriteThem(t *testing.T) {
	for _, c := range []struct {
		text string
		want Bytes
		back string
	}{
		{"0B", 0, "0B"}, {"250B", 250, "250B"}, {"1kB", 1000, "1kB"}, {"1000B", 1000, "1kB"},
		{"64KiB", 64 << 10, "64KiB"}, {"1.5 MiB", 3 << 19, "1536KiB"}, {"2MB", 2e6, "2MB"},
		{"0.001kB", 1, "1B"}, {"0", 0, "0B"}, {"2GiB", 2 << 30, "2GiB"}, {"3GB", 3e9, "3GB"},
	} {
		var b Bytes
		if err := b.Set(c.text); err != nil || b != c.want || b.String() != c.back {
			t.Errorf("%q is %d, %s, %v: want %d, %s", c.text, b, b, err, c.want, c.back)
		}
	}
	for _, c := range []struct {
		text string
		want Rate
		back string
	}{
		{"1bit", 1, "1bit"}, {"56kbit", 56e3, "56kbit"}, {"0.5mbit", 5e5, "500kbit"},
		{"50mbit", 50e6, "50mbit"}, {"1024mbit", 1024e6, "1024mbit"}, {"1gbit", 1e9, "1gbit"},
		{"50Mbit", 50e6, "50mbit"}, {"1 GBIT", 1e9, "1gbit"}, {"0", 0, "0bit"},
	} {
		var r Rate
		if err := r.Set(c.text); err != nil || r != c.want || r.String() != c.back {
			t.Errorf("%q is %d, %s, %v: want %d, %s", c.text, r, r, err, c.want, c.back)
		}
	}
}

func TestWhatIsNoAmount(t *testing.T) {
	for _, text := range []string{
		"", "B", "1", "1 ", "-1B", "+1B", "1e3B", "0x1B", "1_0B", ".B", "0.1B", "1/2kB", "1TB", "1mib", "1b",
		"9223372036854775808B", "99999999999999MiB", "111111111111111111111B", "000000000000000000001B", "1.0.0B", "infB", "50mbit",
	} {
		b := Bytes(7)
		if err := b.Set(text); err == nil || b != 7 {
			t.Errorf("the size %q is %d, want an error", text, b)
		}
	}
	for _, text := range []string{"", "50", "50mbps", "-1mbit", "0.5bit", "1KiB"} {
		r := Rate(7)
		if err := r.Set(text); err == nil || r != 7 {
			t.Errorf("the rate %q is %d, want an error", text, r)
		}
	}
	for _, text := range []string{"", "5", "-5s", "5 s", "1d"} {
		d := Duration(7)
		if err := d.Set(text); err == nil || d != 7 {
			t.Errorf("the duration %q is %s, want an error", text, d)
		}
	}
}

// TestErrorsOfAmounts: each says what is wrong with it.
func TestErrorsOfAmounts(t *testing.T) {
	for text, want := range map[string]string{
		"":              `size "": want a number and its unit, such as 250B, 64KiB or 1MiB`,
		"MiB":           `size "MiB": want a number and its unit`,
		"1.0.0B":        `size "1.0.0B": want a number and its unit`,
		"1":             `size "1" has no unit: want one such as 250B, 64KiB or 1MiB`,
		"1TiB":          `size "1TiB": there is no unit "TiB": want B, kB, MB, GB, KiB, MiB or GiB`,
		"1mib":          `size "1mib": there is no unit "mib": want B, `,
		"-1MiB":         `size "-1MiB" is negative: want 0 or more`,
		"-1":            `size "-1" is negative: want 0 or more`,
		"0.5B":          `size "0.5B": want a whole number of bytes`,
		"9999999999GiB": `size "9999999999GiB" is too much: want less than 2^63 bytes`,
	} {
		if err := new(Bytes).Set(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
	}
	for text, want := range map[string]string{
		"50":     `rate "50" has no unit: want one such as 500kbit, 50mbit or 1gbit`,
		"50MB/s": `rate "50MB/s": there is no unit "MB/s": want bit, kbit, mbit or gbit`,
		"1.5bit": `rate "1.5bit": want a whole number of bits a second`,
	} {
		if err := new(Rate).Set(text); err == nil || !strings.HasPrefix(err.Error(), want) {
			t.Errorf("%q: got %v\nwant %s", text, err, want)
		}
	}
}
