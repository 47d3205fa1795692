package arrival

import (
	"bytes"
	"encoding/json"
	"log/slog"
	"strings"
	"testing"
)

// A log's line has the way's name, in both forms, and a report reads it from there.
func TestWaysAreWritten(t *testing.T) {
	for v := Unknown; v <= CatchUp; v++ {
		var text, line bytes.Buffer
		slog.New(slog.NewTextHandler(&text, nil)).Info("", "via", v)
		slog.New(slog.NewJSONHandler(&line, nil)).Info("", "via", v)
		var read struct{ Via Via }
		if err := json.Unmarshal(line.Bytes(), &read); err != nil || read.Via != v {
			t.Errorf("%s reads as %v, %v: want %v", line.Bytes(), read.Via, err, v)
		}
		if want := "via=" + v.String(); v != Unknown && !strings.Contains(text.String(), want) {
			t.Errorf("the log says %q, want %s", text.String(), want)
		}
	}
	var v Via
	if err := v.UnmarshalText([]byte("pigeon")); err == nil {
		t.Errorf("a pigeon is %v", v)
	}
}

func TestDuplicates(t *testing.T) {
	for _, c := range []struct {
		again, bytes int
		want         float64
	}{{0, 0, 0}, {50, 1000, 0.05}, {1000, 3000, 0.33}, {2500, 1000, 2.5}} {
		if got := (Accepted{Bytes: c.bytes, Facts: Facts{Again: c.again}}).Duplicates(); got != c.want {
			t.Errorf("%d bytes of a body of %d again are %v bodies, want %v", c.again, c.bytes, got, c.want)
		}
	}
}
