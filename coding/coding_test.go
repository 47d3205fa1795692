package coding

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"math/rand/v2"
	"testing"

	"github.com/klauspost/reedsolomon"
)

func random(tb testing.TB, seed uint64, n int) []byte {
	tb.Helper()
	rng := rand.New(rand.NewPCG(seed, 0))
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(rng.Uint32())
	}
	return b
}

func plain(tb testing.TB, size int) Geometry {
	tb.Helper()
	g, err := Plain(size)
	if err != nil {
		tb.Fatal(err)
	}
	return g
}

func TestGeometry(t *testing.T) {
	for _, tc := range []struct {
		size, symbols int // 0: of a plain string
		want          Geometry
	}{
		{1, 0, Geometry{128, 8, 8, 8}},
		{1 << 10, 0, Geometry{128, 8, 8, 8}},
		{1<<10 + 1, 0, Geometry{128, 8, 16, 16}},
		{3 << 10, 0, Geometry{128, 8, 24, 8}},
		{8<<10 + 1, 0, Geometry{128, 8, 72, 32}},
		{1 << 20, 0, Geometry{128, 8, 8192, 8192}},
		{1 << 20, 8388, Geometry{128, 8, 8392, 4096}},
		{2 << 20, 0, Geometry{128, 8, 16384, 16384}},
		{2<<20 + 1, 0, Geometry{256, 4, 8196, 4096}},
		{4 << 20, 0, Geometry{256, 4, 16384, 16384}},
		{4 << 20, 32769, Geometry{256, 4, 32772, 16384}},
		{16 << 20, 0, Geometry{1024, 1, 16384, 16384}},
		{32 << 20, 32769, Geometry{2048, 1, 32769, 16384}},
	} {
		g, err := Plain(tc.size)
		if tc.symbols > 0 {
			g, err = Laid(tc.size, tc.symbols)
		}
		if err != nil || g != tc.want {
			t.Errorf("%d bytes in %d symbols: %+v, %v, want %+v", tc.size, tc.symbols, g, err, tc.want)
		}
	}
	for size := 1; size <= MaxSize; size += 1 + size/7 {
		g := plain(t, size)
		switch {
		case g.Data%g.Leaf != 0 || g.Parity%g.Leaf != 0 || g.Parity&(g.Parity-1) != 0, g.Symbols() > 1<<16,
			3*g.Parity < g.Data, g.Data*g.Symbol < size, (g.Data-g.Leaf)*g.Symbol >= size:
			t.Errorf("%d bytes: %+v", size, g)
		}
	}
	for _, bad := range [][2]int{{0, 1}, {MaxSize + 1, 32768}, {128, 0}, {128, 4}, {1 << 20, 8191}, {1 << 20, 16386}} {
		if g, err := Laid(bad[0], bad[1]); err == nil {
			t.Errorf("%d bytes in %d symbols: %+v", bad[0], bad[1], g)
		}
	}
	for _, size := range []int{-1, 0, MaxSize + 1} {
		if g, err := Plain(size); err == nil {
			t.Errorf("%d bytes: %+v", size, g)
		}
	}
}

func TestLayout(t *testing.T) {
	l := Layout{Symbol: 128}
	var at []int
	for _, size := range []int{100, 28, 1, 127, 129, 127, 126, 3, 300, 10} {
		at = append(at, l.Place(size))
	}
	// 28 ends where the symbol does; 129 fits no symbol's rest; of its last symbol 127 are left.
	if want := []int{0, 100, 128, 129, 256, 385, 512, 640, 768, 1068}; fmt.Sprint(at) != fmt.Sprint(want) || l.Symbols() != 9 {
		t.Errorf("items stand at %v in %d symbols, want %v", at, l.Symbols(), want)
	}
	rng := rand.New(rand.NewPCG(1, 1))
	for range 2000 { // whatever the sizes, Laid takes the result
		sum, most := 0, 1+rng.IntN(1000)
		var sizes []int
		for range 1 + rng.IntN(50) {
			sizes = append(sizes, 1+rng.IntN(most))
			sum += sizes[len(sizes)-1]
		}
		l, end := Layout{Symbol: SymbolSize(sum)}, 0
		for _, size := range sizes {
			at := l.Place(size)
			if at < end || size <= l.Symbol && at/l.Symbol != (at+size-1)/l.Symbol {
				t.Fatalf("items of %v: one of %d at %d, and the one before ends at %d", sizes, size, at, end)
			}
			end = at + size
		}
		if _, err := Laid(sum, l.Symbols()); err != nil {
			t.Fatalf("items of %v: %v", sizes, err)
		}
	}
}

// Any k symbols rebuild the code, and more do too.
func TestRebuild(t *testing.T) {
	rng := rand.New(rand.NewPCG(2, 2))
	for _, size := range []int{1, 1000, 5000, 50_000, 300_000, 3 << 20} {
		g := plain(t, size)
		data := random(t, uint64(size), size)
		c := New(g, data)
		if !bytes.Equal(c.Bytes()[:size], data) {
			t.Fatalf("%d bytes: the code is not systematic", size)
		}
		for _, n := range []int{g.Data, g.Data + g.Parity/2, g.Symbols()} {
			p := NewPartial(g)
			for _, i := range rng.Perm(g.Symbols())[:n] {
				p.Put(i, c.symbols[i*g.Symbol:(i+1)*g.Symbol])
			}
			if got, err := p.Rebuild(); err != nil || got.Root() != c.Root() || !bytes.Equal(got.symbols, c.symbols) {
				t.Errorf("%d bytes from %d of %d symbols: %v", size, n, g.Symbols(), err)
			}
		}
		p := NewPartial(g)
		p.Put(0, c.symbols[:(g.Data-1)*g.Symbol])
		if _, err := p.Rebuild(); err == nil || p.Count() != g.Data-1 {
			t.Errorf("%d bytes are rebuilt from %d of %d symbols", size, p.Count(), g.Data)
		}
	}
}

// What is filled in counts when it is said to, and gives way to nothing.
func TestFill(t *testing.T) {
	g := plain(t, 4000)
	data := random(t, 3, 4000)
	c := New(g, data)
	p := NewPartial(g)
	p.Fill(130, data[130:3000])
	if p.Count() != 0 {
		t.Errorf("%d symbols are here", p.Count())
	}
	p.Have(2, 21) // of the first and the last one something lacks
	p.Put(1, c.symbols[128:256])
	p.Put(1, make([]byte, 128)) // too late
	p.Put(g.Data, c.symbols[g.Data*128:][:10*128])
	if p.Count() != 32 || !p.Has(1) || p.Has(0) {
		t.Fatalf("%d symbols are here", p.Count())
	}
	if got, err := p.Rebuild(); err != nil || got.Root() != c.Root() {
		t.Error(err)
	}
}

// Symbols that are of no code rebuild something, and it has another root.
func TestRebuildOfNoCode(t *testing.T) {
	g := plain(t, 10_000)
	c := New(g, random(t, 4, 10_000))
	p := NewPartial(g)
	p.Put(0, c.symbols[:(g.Data-1)*g.Symbol])
	p.Put(g.Data, random(t, 5, 128))
	if got, err := p.Rebuild(); err != nil || got.Root() == c.Root() {
		t.Errorf("%v, or the same root", err)
	}
}

func TestSpans(t *testing.T) {
	for _, size := range []int{1, 2000, 5 << 10, 7 << 10, 100_000} {
		g := plain(t, size)
		c := New(g, random(t, 6, size))
		for first := range g.Leaves() {
			for leaves := 1; leaves <= g.Leaves()+1; leaves++ {
				s := Span{first, leaves}
				if g.Check(s) != nil {
					if NewVerifier(g, c.Root()).Verify(s, make([]byte, leaves*g.LeafBytes()), nil) == nil {
						t.Fatalf("%+v: %+v is no span, and is right", g, s)
					}
					continue
				}
				raw, proof := c.Shards(s)
				if err := NewVerifier(g, c.Root()).Verify(s, raw, proof); err != nil || len(raw) != leaves*g.LeafBytes() || len(proof) != g.ProofLen(s) {
					t.Fatalf("%+v: %+v with %d hashes, want %d: %v", g, s, len(proof), g.ProofLen(s), err)
				}
			}
		}
		for first := range g.Leaves() { // the leaves of each tree, at each level
			for level := range 20 {
				s, ok := g.Span(first, level)
				if ok != (g.Check(s) == nil) || ok && s.Leaves > 1<<level {
					t.Fatalf("%+v: level %d from %d: %+v, %v", g, level, first, s, ok)
				}
			}
		}
	}
}

// Whatever is changed of a span is seen.
func TestSpansThatAreWrong(t *testing.T) {
	g := plain(t, 21<<10)
	c := New(g, random(t, 7, 21<<10))
	other := New(g, random(t, 8, 21<<10))
	for _, s := range []Span{{0, 1}, {20, 1}, {16, 4}, {16, 5}, {0, 21}, {21, 8}, {23, 1}} {
		raw, proof := c.Shards(s)
		wrong := func(name string, s Span, raw []byte, proof []Hash) {
			t.Helper()
			if NewVerifier(g, c.Root()).Verify(s, raw, proof) == nil {
				t.Errorf("%+v: %s is right", s, name)
			}
		}
		for i := 0; i < len(raw); i += 511 {
			b := bytes.Clone(raw)
			b[i] ^= 1
			wrong("a flipped bit", s, b, proof)
		}
		for i := range proof {
			p := append([]Hash(nil), proof...)
			p[i][3] ^= 1
			wrong("another hash", s, raw, p)
		}
		wrong("no proof", s, raw, nil)
		wrong("a long proof", s, raw, append(proof, Hash{}))
		wrong("a byte less", s, raw[1:], proof)
		a, b := other.Shards(s)
		wrong("another code's", s, a, b)
		for _, d := range []int{-s.Leaves, s.Leaves} {
			wrong("another place", Span{s.First + d, s.Leaves}, raw, proof)
		}
	}
}

// Leaves that follow each other need ever less proof, and what was verified can be proven to
// others.
func TestProofsThatFollow(t *testing.T) {
	for _, size := range []int{100 << 10, 101 << 10, 37 << 10} {
		g := plain(t, size)
		c := New(g, random(t, 9, size))
		hashes := 0
		for first := 0; first < g.Leaves(); first++ {
			if own, _ := g.treeOf(first); (first-own.First)%8 != 0 {
				continue
			}
			v := NewVerifier(g, c.Root()) // of who gets these eight leaves alone
			for j := range 4 {
				s, ok := g.Span(first+2*j, 1)
				if !ok || first < g.DataLeaves() && first+2*j >= g.DataLeaves() {
					break
				}
				raw, whole := c.Shards(s)
				proof := whole
				if j > 0 {
					proof = whole[:g.FollowLen(s)]
					if err := NewVerifier(g, c.Root()).Verify(s, raw, proof); err != ErrShort {
						t.Fatalf("%+v alone: %v", s, err)
					}
					wrong := bytes.Clone(raw)
					wrong[7]++
					if err := v.Verify(s, wrong, proof); err != ErrWrong {
						t.Fatalf("%+v, changed: %v", s, err)
					}
				}
				hashes += len(proof)
				if err := v.Verify(s, raw, proof); err != nil {
					t.Fatalf("%+v with %d hashes: %v", s, len(proof), err)
				}
				if got := v.Proof(s); fmt.Sprint(got) != fmt.Sprint(whole) {
					t.Fatalf("%+v: the proof that was learned is another", s)
				}
				if err := v.Verify(s, raw, whole); err != nil {
					t.Fatalf("%+v again: %v", s, err)
				}
			}
		}
		if each := float64(hashes) / float64(g.Leaves()/2); each > 3 {
			t.Errorf("%d bytes: %.1f hashes a span", size, each)
		}
	}
}

// The bytes are what peers agree on, whatever version computes them on whatever machine.
func TestVectors(t *testing.T) {
	for _, tc := range []struct {
		size         int
		parity, root string
	}{
		{1, "1cfb84573c087901", "f64e461f6581bd5a"},
		{5000, "85ddc761f30234e7", "b7d55a7bc6322784"},
		{1 << 20, "da1e8d17c6884707", "55388977e542d7ae"},
		{3 << 20, "b22772902c4ebce4", "ce2c72fdd33caab5"},
	} {
		g := plain(t, tc.size)
		data := make([]byte, tc.size)
		for i := range data {
			data[i] = byte(i*i>>8 + 7*i + 1)
		}
		c := New(g, data)
		sum := sha256.Sum256(c.symbols[g.Data*g.Symbol:])
		root := c.Root()
		if got := hex.EncodeToString(sum[:8]); got != tc.parity {
			t.Errorf("%d bytes: parity has SHA-256 %q…, want %q", tc.size, got, tc.parity)
		}
		if got := hex.EncodeToString(root[:8]); got != tc.root {
			t.Errorf("%d bytes: root is %q…, want %q", tc.size, got, tc.root)
		}
		slow, err := reedsolomon.New(g.Data, g.Parity, reedsolomon.WithLeopardGF16(true),
			reedsolomon.WithSSSE3(false), reedsolomon.WithSSE2(false), reedsolomon.WithAVX2(false), reedsolomon.WithAVX512(false), reedsolomon.WithGFNI(false), reedsolomon.WithAVXGFNI(false))
		if err != nil {
			t.Fatal(err)
		}
		if ok, err := slow.Verify(g.shards(c.symbols)); !ok || err != nil {
			t.Errorf("%d bytes: without the processor's help the parity is another: %v", tc.size, err)
		}
	}
}

func Benchmark(b *testing.B) {
	g, err := Laid(4194*250, 2*4194)
	if err != nil {
		b.Fatal(err)
	}
	data := random(b, 1, 4194*256)
	c := New(g, data)
	b.Run("encode 1 MiB of 250 bytes each", func(b *testing.B) {
		b.SetBytes(4194 * 250)
		b.ReportAllocs()
		for b.Loop() {
			New(g, data)
		}
	})
	b.Run("rebuild without one in 16", func(b *testing.B) {
		b.SetBytes(4194 * 250)
		b.ReportAllocs()
		for b.Loop() {
			p := NewPartial(g)
			lacking := 0
			for i := 0; i < g.Data; i += 2 {
				if i%32 == 0 {
					lacking += 2
					continue
				}
				p.Put(i, c.symbols[i*g.Symbol:(i+2)*g.Symbol])
			}
			p.Put(g.Data, c.symbols[g.Data*g.Symbol:][:lacking*g.Symbol])
			if got, err := p.Rebuild(); err != nil || got.root != c.root {
				b.Fatal(err)
			}
		}
	})
	b.Run("verify 4 KiB", func(b *testing.B) {
		s := Span{64, 4}
		raw, proof := c.Shards(s)
		b.SetBytes(int64(len(raw)))
		b.ReportAllocs()
		for b.Loop() {
			if err := NewVerifier(g, c.root).Verify(s, raw, proof); err != nil {
				b.Fatal(err)
			}
		}
	})
}
