package cli

import (
	"os/exec"
	"strings"
	"testing"
	"unicode/utf8"
)

func sized(text string) (int, error) {
	var n int
	err := Size(&n).Set(text)
	return n, err
}

func TestSizes(t *testing.T) {
	for text, want := range map[string]int{"0": 0, "500": 500, "64KiB": 64 << 10, "4 MiB": 4 << 20, "1GiB": 1 << 30} {
		if got, err := sized(text); err != nil || got != want {
			t.Errorf("%q is %d, %v: want %d", text, got, err, want)
		}
	}
	for _, text := range []string{"", "KiB", "-1", "1kB", "1.5MiB", "x", "9223372036854775807KiB"} {
		if got, err := sized(text); err == nil {
			t.Errorf("%q is %d: want an error", text, got)
		}
	}
	for want, n := range map[string]int{"0": 0, "1023": 1023, "1KiB": 1024, "1025": 1025, "1536KiB": 1536 << 10, "2GiB": 2 << 30} {
		if got := Size(&n).String(); got != want {
			t.Errorf("%d is written %q, want %q", n, got, want)
		}
	}
}

func TestShellQuoted(t *testing.T) {
	for _, word := range []string{"", "plain-0.9/x_y.toml", "a b", "it's", "$HOME", "a;b", "über", "*", "\n", `"\`} {
		out, err := exec.Command("sh", "-c", "printf %s "+ShellQuoted(word)).Output()
		if err != nil || string(out) != word {
			t.Errorf("%q came back as %q, %v", word, out, err)
		}
	}
	if got := ShellQuoted("default"); got != "default" {
		t.Errorf("a plain word became %s", got)
	}
}

func TestWrap(t *testing.T) {
	words := strings.Repeat("seventeen letters ", 20)
	text := "First " + words + "\nand on.\n\nSecond:\n\n  1   a table " + words + "\n"
	got := Wrap(text, "")
	if strings.Join(strings.Fields(got), " ") != strings.Join(strings.Fields(text), " ") {
		t.Errorf("words are lost: %s", got)
	}
	for line := range strings.Lines(got) {
		if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > helpWidth && !strings.HasPrefix(line, " ") {
			t.Errorf("%d characters: %s", n, line)
		}
	}
	if !strings.Contains(got, "\n\nSecond:\n\n  1   a table ") || !strings.HasSuffix(got, "\n") {
		t.Errorf("paragraphs or tables are not what they were:\n%s", got)
	}
	if got := Wrap(words, "    "); !strings.HasPrefix(got, "    seventeen") || strings.Count(got, "\n    seventeen")+strings.Count(got, "\n    letters") != strings.Count(got, "\n") {
		t.Errorf("indented:\n%s", got)
	}
}

// A bar stays on its line, whatever the terminal's width, and never goes back.
func TestProgressStaysOnItsLine(t *testing.T) {
	for _, width := range []int{0, 20, 80} {
		var out strings.Builder
		p := &Progress{what: "waiting for blocks", draw: true, out: &out, width: func() int { return width }}
		full := 0
		for _, at := range []struct{ done, total int }{{100, 100}, {200, 100}, {0, 340}, {90, 340}, {340, 340}} {
			out.Reset()
			p.last = p.last.AddDate(-1, 0, 0) // it is due
			p.Update(at.done, at.total, strings.Repeat("(transactions wait) ", 4))
			line := strings.TrimPrefix(out.String(), "\r\x1b[K")
			if n := utf8.RuneCountInString(line); n == 0 || width > 0 && n >= width {
				t.Errorf("%d characters in a width of %d: %q", n, width, line)
			}
			if n := strings.Count(line, "#"); n < full {
				t.Errorf("at %v the bar went back from %d to %d", at, full, n)
			} else {
				full = n
			}
		}
	}
}
