package events

import "time"

// instant is virtual time: nanoseconds since the network stood.
type instant = int64

// actor is something that acts when its time has come.
type actor interface{ act(w *world) }

// event is an actor's time. Of two at one time the one that was asked for first acts
// first.
type event struct {
	at  instant
	seq uint64
	do  actor
}

func (e *event) before(o *event) bool { return e.at < o.at || e.at == o.at && e.seq < o.seq }

// queue is a heap of events, of four children each: half as deep as one of two, and
// the children lie side by side.
type queue struct {
	heap []event
	seq  uint64
}

func (q *queue) push(at instant, do actor) {
	q.seq++
	q.heap = append(q.heap, event{at, q.seq, do})
	h, i := q.heap, len(q.heap)-1
	e := h[i]
	for i > 0 {
		up := (i - 1) / 4
		if !e.before(&h[up]) {
			break
		}
		h[i] = h[up]
		i = up
	}
	h[i] = e
}

func (q *queue) pop() event {
	h := q.heap
	first, n := h[0], len(h)-1
	e := h[n]
	h[n] = event{}
	q.heap = h[:n]
	if n > 0 {
		sink(h[:n], e)
	}
	return first
}

// sink puts an event in at the top, and down to where it belongs.
func sink(h []event, e event) {
	i := 0
	for {
		least, from := -1, 4*i+1
		for c := from; c < min(from+4, len(h)); c++ {
			if least < 0 || h[c].before(&h[least]) {
				least = c
			}
		}
		if least < 0 || !h[least].before(&e) {
			break
		}
		h[i] = h[least]
		i = least
	}
	h[i] = e
}

// after asks for an actor's time.
func (w *world) after(d time.Duration, do actor) { w.queue.push(w.now+int64(max(d, 0)), do) }

// doing is an actor of its own, for what happens rarely.
type doing func(w *world)

func (f doing) act(w *world) { f(w) }

// fifo is a queue that grows and keeps its room.
type fifo[T any] struct {
	list []T
	head int
}

func (f *fifo[T]) len() int { return len(f.list) - f.head }

func (f *fifo[T]) push(x T) {
	if f.head > 32 && f.head*2 > len(f.list) {
		n := copy(f.list, f.list[f.head:])
		clear(f.list[n:])
		f.list, f.head = f.list[:n], 0
	}
	f.list = append(f.list, x)
}

func (f *fifo[T]) pop() T {
	x := f.list[f.head]
	var none T
	f.list[f.head] = none
	if f.head++; f.head == len(f.list) {
		f.list, f.head = f.list[:0], 0
	}
	return x
}

func (f *fifo[T]) at(i int) T { return f.list[f.head+i] }
