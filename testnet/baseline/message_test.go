package baseline

import (
	"bytes"
	"fmt"
	"testing"

	"grapevine/block"
)

func TestMessagesMakeTheBlockAgain(t *testing.T) {
	for _, size := range []int{1, chunkBytes - 1, chunkBytes, chunkBytes + 1, 5*chunkBytes + 7} {
		body := bytes.Repeat([]byte{1, 2, 3, 4, 5, 6, 7}, size/7+1)[:size]
		parts := cut(9, body, chunkBytes)
		if want := (size + chunkBytes - 1) / chunkBytes; len(parts) != want {
			t.Errorf("%d bytes: %d messages, want %d", size, len(parts), want)
		}
		all := map[uint64]*assembly{}
		for i := len(parts) - 1; i >= 0; i-- { // in whatever order
			height, got, from, err := add(all, parts[i], fmt.Sprint("peer ", i))
			if err != nil || height != 9 {
				t.Fatalf("%d bytes, message %d: height %d, %v", size, i, height, err)
			}
			if whole := i == 0; whole != (got != nil) {
				t.Fatalf("%d bytes: a body of %d after message %d", size, len(got), i)
			}
			if want := fmt.Sprint("peer ", len(parts)-1); i == 0 && (!bytes.Equal(got, body) || from != want) {
				t.Errorf("%d bytes: %d come out, first sent by %s, want %s", size, len(got), from, want)
			}
		}
		if len(all) > 0 {
			t.Errorf("%d bytes: %d blocks are left over", size, len(all))
		}
	}
}

func TestMessagesThatDoNotFit(t *testing.T) {
	all := map[uint64]*assembly{}
	parts := cut(9, make([]byte, 3*chunkBytes), chunkBytes)
	if _, _, _, err := add(all, parts[0], ""); err != nil {
		t.Fatal(err)
	}
	beyond := append([]byte{}, parts[1]...)
	beyond[11] = 3
	others := cut(9, make([]byte, 4*chunkBytes), chunkBytes)
	for name, m := range map[string][]byte{"short": parts[1][:15], "twice": parts[0], "beyond the count": beyond, "another count": others[1]} {
		if _, _, _, err := add(all, m, ""); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
}

func TestChainEndsBeforeTheFirstGap(t *testing.T) {
	var c Chain
	id := func(h uint64) block.ID { return block.ID{byte(h)} }
	for _, step := range []struct {
		add   uint64
		fresh bool
		tip   uint64
	}{{2, true, 0}, {1, true, 2}, {1, false, 2}, {4, true, 2}, {3, true, 4}} {
		if got := c.add(step.add, id(step.add)); got != step.fresh {
			t.Errorf("block %d is new: %v", step.add, got)
		}
		want := id(step.tip)
		if step.tip == 0 {
			want = block.ID{}
		}
		if h, tip := c.Tip(); h != step.tip || tip != want {
			t.Errorf("after block %d: tip is %s at height %d, want %s at %d", step.add, tip.Short(), h, want.Short(), step.tip)
		}
	}
}
