package wire

import (
	"bytes"
	"errors"
	"io"
	"testing"
	"testing/iotest"
)

func framed(t testing.TB, msgs ...[]byte) []byte {
	t.Helper()
	var b bytes.Buffer
	w := NewWriter(&b)
	for _, m := range msgs {
		if err := w.Write(m); err != nil {
			t.Fatal(err)
		}
	}
	return b.Bytes()
}

func pattern(n int) []byte {
	b := make([]byte, n)
	for i := range b {
		b[i] = byte(i * 7)
	}
	return b
}

func TestFramesJoinToTheSameMessages(t *testing.T) {
	var msgs [][]byte
	for _, n := range []int{1, 2, framePayload - 1, framePayload, framePayload + 1, 2 * framePayload, 5*framePayload + 3} {
		msgs = append(msgs, pattern(n))
	}
	raw := framed(t, msgs...)
	want := 0
	for _, m := range msgs {
		want += FramedSize(len(m))
	}
	if len(raw) != want {
		t.Errorf("FramedSize says %d bytes, the writer wrote %d", want, len(raw))
	}
	for name, src := range map[string]io.Reader{
		"whole":       bytes.NewReader(raw),
		"byte a time": iotest.OneByteReader(bytes.NewReader(raw)),
		"data + EOF":  iotest.DataErrReader(bytes.NewReader(raw)),
	} {
		r := NewReader(src, 6*framePayload)
		for i, m := range msgs {
			got, err := r.Next()
			if err != nil || !bytes.Equal(got, m) {
				t.Fatalf("%s: message %d: %d bytes and error %v, want %d bytes", name, i, len(got), err, len(m))
			}
		}
		if _, err := r.Next(); err != io.EOF {
			t.Errorf("%s: after the last message: %v, want io.EOF", name, err)
		}
	}
}

func TestReaderRefuses(t *testing.T) {
	full := append([]byte{0x80, 0, 0xff, 0xfc}, make([]byte, framePayload)...)
	tests := []struct {
		name string
		in   []byte
		want error
		left int // bytes that must not have been read
	}{
		{"empty frame", []byte{0, 0, 0, 0, 9}, ErrMalformed, 1},
		{"frame over the bound", []byte{0, 0, 0xff, 0xfd, 9}, ErrMalformed, 1},
		{"other high bits", []byte{0x40, 0, 0, 1, 9}, ErrMalformed, 1},
		{"short frame that is not the last", []byte{0x80, 0, 0, 5, 9}, ErrMalformed, 1},
		{"message over the limit", []byte{0, 0, 0xc3, 0x51, 9}, ErrOversize, 1},
		{"second frame over the limit", append(bytes.Clone(full), 0, 0, 0x4e, 0x25, 9), ErrOversize, 1},
		{"header cut", []byte{0, 0, 0}, io.ErrUnexpectedEOF, 0},
		{"payload cut", []byte{0, 0, 0, 2, 1}, io.ErrUnexpectedEOF, 0},
		{"second frame missing", full, io.ErrUnexpectedEOF, 0},
	}
	for _, test := range tests {
		limit := 50_000
		if len(test.in) > framePayload {
			limit = framePayload + 20_000
		}
		src := bytes.NewReader(test.in)
		if _, err := NewReader(src, limit).Next(); !errors.Is(err, test.want) {
			t.Errorf("%s: error %v, want %v", test.name, err, test.want)
		}
		if src.Len() != test.left {
			t.Errorf("%s: %d bytes were left unread, want %d", test.name, src.Len(), test.left)
		}
	}
}

// A message that only claims to be large costs what has arrived of it.
func TestReaderMemoryFollowsArrival(t *testing.T) {
	in := []byte{0, 0, 0xff, 0xfc, 1, 2, 3}
	allocated := testing.AllocsPerRun(10, func() {
		var msg []byte
		msg, err := readPayload(bytes.NewReader(in[4:]), nil, framePayload)
		if err == nil || cap(msg) > firstRead {
			t.Errorf("error %v with room for %d bytes", err, cap(msg))
		}
	})
	if allocated > 3 {
		t.Errorf("%v allocations", allocated)
	}
}

func TestAwaitReadsNoMoreThanAHeader(t *testing.T) {
	src := bytes.NewReader(framed(t, pattern(10)))
	r := NewReader(src, 10)
	for range 2 { // the second call finds that a message has begun
		if err := r.Await(); err != nil {
			t.Fatal(err)
		}
	}
	if src.Len() < 10 {
		t.Errorf("Await read into the payload: %d bytes left", src.Len())
	}
	if msg, err := r.Next(); err != nil || len(msg) != 10 {
		t.Errorf("Next: %d bytes, %v", len(msg), err)
	}
}

func FuzzReader(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 7})
	f.Add(framed(f, pattern(3), pattern(framePayload+1)))
	f.Add([]byte{0x80, 0, 0xff, 0xfc, 1})
	f.Fuzz(func(t *testing.T, in []byte) {
		const limit = 2 * framePayload
		src := bytes.NewReader(in)
		r := NewReader(src, limit)
		var again []byte
		for {
			msg, err := r.Next()
			if err != nil {
				break
			}
			if len(msg) == 0 || len(msg) > limit {
				t.Fatalf("message of %d bytes", len(msg))
			}
			again = append(again, framed(t, msg)...)
		}
		// What was read whole is what a Writer writes: the encoding is canonical.
		if !bytes.HasPrefix(in, again) {
			t.Fatal("the messages read are not the ones that a writer would have written")
		}
	})
}

func BenchmarkFrames(b *testing.B) {
	msg := pattern(64 << 10)
	var buf bytes.Buffer
	w := NewWriter(&buf)
	b.SetBytes(int64(len(msg)))
	for b.Loop() {
		buf.Reset()
		if err := w.Write(msg); err != nil {
			b.Fatal(err)
		}
		if _, err := NewReader(&buf, len(msg)).Next(); err != nil {
			b.Fatal(err)
		}
	}
}
