package fresh

import (
	"testing"
	"time"
)

func TestHeard(t *testing.T) {
	start := time.Unix(1000, 0)
	at := func(s int) time.Time { return start.Add(time.Duration(s) * time.Second) }
	var h heard
	behind := func(now int, tip uint64, want int) {
		t.Helper()
		if got := h.behind(at(now), tip); got != time.Duration(want)*time.Second {
			t.Errorf("at %d a chain that ends at %d is %v behind, want %d s", now, tip, got, want)
		}
	}
	behind(0, 5, 0)
	h.note(at(0), 10)
	h.note(at(3), 13) // 11 and 12 were not heard of before it
	h.note(at(4), 12)
	behind(5, 13, 0)
	behind(5, 1<<40, 0)
	behind(5, 12, 2)
	behind(5, 10, 2)
	behind(5, 9, 5)
	behind(5, 2, 5)
	for i := range uint64(heardMost) {
		h.note(at(10), 14+i)
	}
	if len(h.at) != heardMost || h.base != 14 {
		t.Errorf("%d heights are remembered, from %d", len(h.at), h.base)
	}
	behind(20, 9, 10)
	h.note(at(30), 1<<50)
	if len(h.at) != 1 {
		t.Errorf("a jump takes %d places", len(h.at))
	}
	behind(31, 13, 1)
}
