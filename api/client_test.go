package api

import (
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"grapevine/api/apipb"
	"grapevine/block"
)

func TestClient(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Members = func() []Member { return []Member{{PeerID: "12D3KooWyou"}} }
	})
	ctx := t.Context()
	c := Dial(w.server.Addr())
	defer c.Close()
	txs := []*block.Tx{w.tx("a"), w.tx("b")}
	verdicts, err := c.Submit(ctx, txs...)
	if err != nil || len(verdicts) != 2 || verdicts[1].Id != txs[1].ID().String() || verdicts[1].Status != StatusAccepted {
		t.Fatalf("Submit: %v, %v", verdicts, err)
	}
	if tx, err := c.Tx(ctx, block.ID{1}); err != nil || tx.Status != StatusUnknown {
		t.Errorf("Tx: %v, %v", tx, err)
	}
	if _, err := c.Block(ctx, &apipb.GetBlockRequest{Height: 1}); !NotFound(err) || !strings.Contains(err.Error(), w.server.Addr()) {
		t.Errorf("Block: %v", err)
	}
	w.grow(txs...)
	if b, err := c.Block(ctx, &apipb.GetBlockRequest{Height: 1}); err != nil || len(b.Body.TxIds) != 2 {
		t.Errorf("Block: %v, %v", b, err)
	}
	if s, err := c.Status(ctx); err != nil || s.Height != 1 {
		t.Errorf("Status: %v, %v", s, err)
	}
	if m, err := c.Members(ctx); err != nil || len(m.Members) != 1 || m.Members[0].PeerId != "12D3KooWyou" {
		t.Errorf("Members: %v, %v", m, err)
	}
	w.grow(w.tx("c"))
	height := uint64(1)
	for b, err := range c.Watch(ctx, &apipb.WatchBlocksRequest{From: 1}) {
		if err != nil || b.Header.Height != height {
			t.Fatalf("Watch: %v, %v", b, err)
		}
		if height++; height > 2 {
			break
		}
	}
	w.noStreams()
}

func TestClientSubmitsInBatches(t *testing.T) {
	w := newWorld(t, nil)
	var txs []*block.Tx
	for range 70 { // 4.5 MB
		txs = append(txs, w.tx(strings.Repeat("x", 65_000)))
	}
	c := Dial(w.server.Addr())
	defer c.Close()
	verdicts, err := c.Submit(t.Context(), txs...)
	if err != nil || len(verdicts) != len(txs) {
		t.Fatalf("%d verdicts, %v", len(verdicts), err)
	}
	for i, v := range verdicts {
		if v.Status != StatusAccepted || v.Id != txs[i].ID().String() {
			t.Errorf("transaction %d: %v", i, v)
		}
	}
	if n := submitBatch(txs); n != 64 {
		t.Errorf("the first batch has %d transactions, want 64", n)
	}
	if n := submitBatch(make([]*block.Tx, 0)); n != 0 {
		t.Errorf("a batch of nothing has %d transactions", n)
	}
}

func TestClientSaysWhatToDo(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	c := Dial(addr)
	_, err = c.Status(t.Context())
	if want := "no peer answers at " + addr + ": is it running? peer start, or --api ADDR"; err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("error %v, want %s", err, want)
	}
	for _, err := range c.Watch(t.Context(), &apipb.WatchBlocksRequest{}) {
		if err == nil || !strings.Contains(err.Error(), "no peer answers at "+addr) {
			t.Errorf("Watch: %v", err)
		}
	}
	ctx, cancel := context.WithCancel(context.Background())
	cancel()
	if _, err = c.Status(ctx); !errors.Is(err, context.Canceled) || strings.Contains(err.Error(), "no peer") {
		t.Errorf("cancelled: %v", err)
	}
	if err := c.explain(&net.OpError{Op: "dial", Err: context.Canceled}); strings.Contains(err.Error(), "no peer") {
		t.Errorf("cancelled while dialling: %v", err)
	}
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	if _, err = Dial(other.URL).Status(t.Context()); err == nil || !strings.Contains(err.Error(), "node at "+other.URL) {
		t.Errorf("another server: %v", err)
	}
}
