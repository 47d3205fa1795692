package api

import (
	"bufio"
	"fmt"
	"math"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/api/codec"
	"grapevine/block"
)

// growLarge puts a block of nearly 4 MiB on the chain, of n transactions.
func (w *world) growLarge(n int) *block.Block {
	w.t.Helper()
	txs := make([]*block.Tx, n)
	for i := range txs {
		txs[i] = w.tx(strings.Repeat("x", min(65_000, 4<<20/n-block.TxOverhead)))
	}
	return w.grow(txs...)
}

// heap returns the bytes in use.
func heap() int {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}

// allFree fails unless the server's budgets are all there.
func (w *world) allFree() {
	w.t.Helper()
	for name, b := range map[string]*budget{"requests": w.server.bodies, "large": w.server.large, "small": w.server.small} {
		if !b.whole.TryAcquire(b.size) {
			w.t.Errorf("%s: some of the budget is held", name)
			continue
		}
		b.whole.Release(b.size)
		if len(b.sources) > 0 {
			w.t.Errorf("%s: %d sources are remembered", name, len(b.sources))
		}
	}
}

// TestUnreadAnswersAreBounded asks many times for the largest block and reads nothing:
// first what is asked for at once, then streams.
func TestUnreadAnswersAreBounded(t *testing.T) {
	for _, path := range []string{"/v1/blocks/1?txs=full&raw=true", "/v1/blocks?from=1&txs=full&raw=true"} {
		inBubble(t, nil, func(w *world) {
			const askers = 60
			w.growLarge(60)
			before := heap()
			begun := time.Now()
			readers := make([]*bufio.Reader, askers)
			for i := range readers {
				conn, err := w.dial(w.t.Context(), "", "")
				if err != nil {
					w.t.Fatal(err)
				}
				defer conn.Close()
				fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: localhost\r\n\r\n", path)
				readers[i] = bufio.NewReaderSize(conn, 512)
			}
			synctest.Wait()
			if got := heap() - before; got > maxLarge+askers<<16 {
				w.t.Errorf("%s: %d MiB for %d answers that nobody reads", path, got>>20, askers)
			}
			res, err := w.client.Do(w.request(http.MethodGet, "/v1/blocks/1?txs=none", ""))
			if err != nil || res.StatusCode != http.StatusOK || time.Since(begun) != 0 {
				w.t.Fatalf("a small answer meanwhile: %v, %v, after %v", res, err, time.Since(begun))
			}
			res.Body.Close()
			if !strings.Contains(path, "from") {
				w.someAreRefused(readers)
			}
			time.Sleep(2 * w.server.cfg.Stall * askers) // in turn
			w.stop()
			w.allFree()
		})
	}
}

// someAreRefused reads the first line of each answer.
func (w *world) someAreRefused(readers []*bufio.Reader) {
	w.t.Helper()
	time.Sleep(answerWait)
	count := map[int]int{}
	for _, r := range readers {
		res, err := http.ReadResponse(r, nil)
		if err != nil {
			w.t.Fatal(err)
		}
		count[res.StatusCode]++
		if after := res.Header.Get("Retry-After"); res.StatusCode != http.StatusOK && after != "10" {
			w.t.Errorf("%s: Retry-After is %q", res.Status, after)
		}
	}
	if count[http.StatusOK] < 3 || count[http.StatusOK]+count[http.StatusServiceUnavailable] != len(readers) {
		w.t.Errorf("answers by status: %v", count)
	}
	time.Sleep(w.server.cfg.Stall)
	if res, err := w.client.Do(w.request(http.MethodGet, "/v1/blocks/1?txs=full&raw=true", "")); err != nil || res.StatusCode != http.StatusOK {
		w.t.Errorf("after the others were cut off: %v, %v", res, err)
	} else {
		res.Body.Close()
	}
}

// TestAnswersCostNoMoreThanIsTaken compares what is taken of the budget with what is
// allocated.
func TestAnswersCostNoMoreThanIsTaken(t *testing.T) {
	w := newWorld(t, nil)
	n := &node{cfg: w.server.cfg}
	for _, txs := range []int{60, 9000} {
		b := w.growLarge(txs)
		w.growLarge(60) // the block is read back, not from the cache
		w.growLarge(60)
		w.growLarge(60)
		for _, d := range []detail{{TxsNone, false}, {TxsIDs, false}, {TxsFull, false}, {TxsNone, true}, {TxsFull, true}} {
			took, size := math.MaxInt, 0
			for range 3 { // the least: the first fills tables, and whoever else allocates only adds
				var before, after runtime.MemStats
				runtime.ReadMemStats(&before)
				v, err := n.block(b.Height, d)
				if err != nil {
					t.Fatal(err)
				}
				line, err := codec.Line(v)
				if err != nil {
					t.Fatal(err)
				}
				runtime.ReadMemStats(&after)
				took, size = min(took, int(after.TotalAlloc-before.TotalAlloc)), len(line)
			}
			cost := blockCost(&b.Header, d)
			t.Logf("%d transactions, %+v: %d bytes of JSON, allocates %d of %d", txs, d, size, took, cost)
			if took > cost || cost > 2*took+4*leastAnswer {
				t.Errorf("%d transactions, %+v: allocates %d bytes, and takes %d of the budget", txs, d, took, cost)
			}
		}
	}
}

// TestDribblingReadersAreCutOff reads a little now and then, so that no single write
// takes as long as Stall.
func TestDribblingReadersAreCutOff(t *testing.T) {
	inBubble(t, nil, func(w *world) {
		w.growLarge(60)
		conn, err := w.dial(w.t.Context(), "", "")
		if err != nil {
			w.t.Fatal(err)
		}
		defer conn.Close()
		fmt.Fprint(conn, "GET /v1/blocks/1?raw=true HTTP/1.1\r\nHost: localhost\r\n\r\n")
		begun, buf, err := time.Now(), make([]byte, 4<<10), error(nil)
		for err == nil {
			time.Sleep(time.Second)
			_, err = conn.Read(buf)
		}
		if took := time.Since(begun); took > 2*w.server.cfg.Stall {
			w.t.Errorf("cut off after %v", took)
		}
		w.stop()
		w.allFree()
	})
}

func TestBusyReachesEveryProtocol(t *testing.T) {
	w := newWorld(t, nil)
	b := w.server.small
	if !b.whole.TryAcquire(b.size) {
		t.Fatal("the budget is in use")
	}
	for name, c := range protocols(w) {
		_, err := c.GetStatus(t.Context(), connect.NewRequest(&apipb.GetStatusRequest{}))
		if connect.CodeOf(err) != connect.CodeUnavailable || !strings.Contains(err.Error(), "try again in 10 s") {
			t.Errorf("%s: %v", name, err)
		}
	}
	for path, want := range map[string]int{"/v1/status": http.StatusServiceUnavailable, "/healthz": 200, "/readyz": 200, "/metrics": 200} {
		status, body := w.get(path)
		w.want(path, status, body, want)
	}
	b.whole.Release(b.size)
}

func TestSourcesHaveShares(t *testing.T) {
	b := newBudget(100)
	far := b.account(sourceOf("192.0.2.1:5"))
	if far.try(51) || !far.try(50) {
		t.Error("one address may have other than half")
	}
	near := b.account(sourceOf("127.0.0.1:5"))
	if !near.try(50) || near.try(1) {
		t.Error("this machine does not get the rest")
	}
	near.close()
	near = b.account(sourceOf("pipe"))
	far.close()
	if !near.try(100) {
		t.Error("this machine does not get all")
	}
	near.close()
	if len(b.sources) != 0 || !b.whole.TryAcquire(100) {
		t.Error("something is left")
	}
	if sourceOf("[2001:db8::1]:1") != sourceOf("[2001:db8::2%eth0]:1") || sourceOf("[::ffff:192.0.2.1]:1") != sourceOf("192.0.2.1:2") {
		t.Error("addresses of one owner are told apart")
	}
}
