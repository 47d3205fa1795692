package api

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/api/apipb/apipbconnect"
	"grapevine/api/codec"
	"grapevine/block"
	"grapevine/mempool"
)

// protocols are the ways to speak to the service, each with a client of its own.
func protocols(w *world) map[string]apipbconnect.NodeClient {
	second := new(http.Protocols)
	second.SetUnencryptedHTTP2(true)
	h1, h2 := w.newClient(nil), w.newClient(second)
	dial := func(c *http.Client, opts ...connect.ClientOption) apipbconnect.NodeClient {
		return apipbconnect.NewNodeClient(c, w.url(""), opts...)
	}
	return map[string]apipbconnect.NodeClient{
		"connect over HTTP/1":          dial(h1),
		"connect over HTTP/2":          dial(h2),
		"connect with JSON":            dial(h1, connect.WithCodec(codec.JSON{})),
		"connect with plain protojson": dial(h1, connect.WithProtoJSON()),
		"gRPC":                         dial(h2, connect.WithGRPC()),
		"gRPC web":                     dial(h1, connect.WithGRPCWeb()),
	}
}

func TestEveryProtocolAnswersAllMethods(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range protocols(w) {
		t.Run(name, func(t *testing.T) { useAllMethods(t, w, c) })
	}
}

func useAllMethods(t *testing.T, w *world, c apipbconnect.NodeClient) {
	ctx := t.Context()
	tx := w.tx("payload")
	sub, err := c.SubmitTxs(ctx, connect.NewRequest(&apipb.SubmitTxsRequest{Txs: [][]byte{tx.Bytes()}}))
	if err != nil || len(sub.Msg.Verdicts) != 1 || sub.Msg.Verdicts[0].Status != StatusAccepted || sub.Msg.Verdicts[0].Id != tx.ID().String() {
		t.Fatalf("SubmitTxs: %v, %v", sub, err)
	}
	got, err := c.GetTx(ctx, connect.NewRequest(&apipb.GetTxRequest{Id: tx.ID().String()}))
	if err != nil || got.Msg.Status != StatusPending || string(got.Msg.Tx.Payload) != "payload" || got.Msg.Tx.Nonce != tx.Nonce {
		t.Fatalf("GetTx, pending: %v, %v", got, err)
	}
	stream, err := c.WatchBlocks(ctx, connect.NewRequest(&apipb.WatchBlocksRequest{}))
	if err != nil {
		t.Fatal(err)
	}
	defer stream.Close()
	b := w.grow(tx)
	if !stream.Receive() || stream.Msg().Block.Header.Id != b.ID().String() {
		t.Fatalf("WatchBlocks: %v, %v", stream.Msg(), stream.Err())
	}
	got, err = c.GetTx(ctx, connect.NewRequest(&apipb.GetTxRequest{Id: tx.ID().String()}))
	if err != nil || got.Msg.Status != StatusCommitted || got.Msg.Height != b.Height || string(got.Msg.Tx.Raw) != string(tx.Bytes()) {
		t.Fatalf("GetTx, committed: %v, %v", got, err)
	}
	full, err := c.GetBlock(ctx, connect.NewRequest(&apipb.GetBlockRequest{Height: b.Height, Txs: TxsFull, Raw: true}))
	if err != nil {
		t.Fatal(err)
	}
	if back, err := block.Decode(full.Msg.Block.Body.Raw); err != nil || back.ID() != b.ID() {
		t.Errorf("GetBlock: raw bytes of another block, %v", err)
	}
	status, err := c.GetStatus(ctx, connect.NewRequest(&apipb.GetStatusRequest{}))
	if err != nil || status.Msg.Height != b.Height || status.Msg.TipId != b.ID().String() {
		t.Errorf("GetStatus: %v, %v", status, err)
	}
	if _, err = c.GetMembers(ctx, connect.NewRequest(&apipb.GetMembersRequest{})); err != nil {
		t.Error(err)
	}
	_, err = c.GetBlock(ctx, connect.NewRequest(&apipb.GetBlockRequest{Height: 99}))
	if connect.CodeOf(err) != connect.CodeNotFound || !strings.Contains(err.Error(), "no block at height 99: the chain ends at") {
		t.Errorf("a block that is not there: %v", err)
	}
}

func TestRefusalsReachEveryProtocol(t *testing.T) {
	w := newWorld(t, nil)
	for name, c := range protocols(w) {
		req := connect.NewRequest(&apipb.GetStatusRequest{})
		req.Header().Set("Origin", "http://evil.example")
		if _, err := c.GetStatus(t.Context(), req); connect.CodeOf(err) != connect.CodePermissionDenied || !strings.Contains(err.Error(), "other origins") {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestSubmitAnswersForEachTransaction(t *testing.T) {
	w := newWorld(t, nil)
	known, old := w.tx("known"), w.tx("old")
	w.grow(old)
	if _, err := w.cfg.Pool.Submit(time.Now(), []*block.Tx{known}); err != nil {
		t.Fatal(err)
	}
	fresh := w.tx("fresh")
	forged := append([]byte(nil), w.tx("forged").Bytes()...)
	forged[60] ^= 1
	expired := w.sender.SignTx(w.cfg.Genesis.ID(), block.TxFields{Expiry: 1, Payload: []byte("expired")})
	var txs []string
	for _, raw := range [][]byte{fresh.Bytes(), []byte("no transaction"), known.Bytes(), forged, expired.Bytes(), old.Bytes(), nil} {
		txs = append(txs, base64.StdEncoding.EncodeToString(raw))
	}
	body, _ := json.Marshal(map[string]any{"txs": txs})
	for _, path := range []string{"/v1/txs", "/grapevine.v1.Node/SubmitTxs"} {
		status, answer := w.post(path, string(body))
		w.want(path, status, answer, http.StatusOK)
		var got struct {
			Verdicts []struct{ ID, Status, Reason string }
		}
		if err := json.Unmarshal([]byte(answer), &got); err != nil || len(got.Verdicts) != len(txs) {
			t.Fatalf("%s: %v, %s", path, err, answer)
		}
		first := StatusAccepted
		if path != "/v1/txs" {
			first = StatusDuplicate // the second time
		}
		for i, want := range []struct{ id, status, reason string }{
			{fresh.ID().String(), first, ""},
			{"", StatusRefused, "malformed transaction"},
			{known.ID().String(), StatusDuplicate, ""},
			{got.Verdicts[3].ID, StatusRefused, "wrong signature"},
			{expired.ID().String(), StatusRefused, "expired"},
			{old.ID().String(), StatusCommitted, ""},
			{"", StatusRefused, "malformed transaction"},
		} {
			v := got.Verdicts[i]
			if v.ID != want.id || v.Status != want.status || !strings.Contains(v.Reason, want.reason) || (want.reason == "") != (v.Reason == "") {
				t.Errorf("%s, transaction %d: got %+v, want %+v", path, i, v, want)
			}
		}
	}
}

func TestSubmitRefusesWholeRequests(t *testing.T) {
	called := false
	w := newWorld(t, func(c *Config) {
		c.Submit = func(context.Context, []*block.Tx) ([]mempool.Verdict, error) {
			called = true
			return nil, nil
		}
	})
	piece := `"` + strings.Repeat("A", 1<<20) + `"` // 768 KiB
	for want, body := range map[string]string{
		"give at least one":      `{}`,
		"want at most 4194304":   `{"txs":[` + strings.Repeat(piece+",", 5) + `"` + strings.Repeat("A", 352_000) + `"]}`,
		"want at most 10000":     `{"txs":[""` + strings.Repeat(`,""`, MaxSubmitTxs) + `]}`,
		"unknown field":          `{"tx":["AA=="]}`,
		"invalid value":          `{"txs":["no base64!"]}`,
		"unexpected EOF":         `{"txs":[`,
		"txs: null":              `{"txs":[null]}`,
		"unexpected token \"AA=": `{"txs":"AA=="}`,
	} {
		for _, path := range []string{"/v1/txs", "/grapevine.v1.Node/SubmitTxs"} {
			status, answer := w.post(path, body)
			w.want(path+" "+want, status, answer, http.StatusBadRequest, "invalid_argument")
			var e struct{ Message string }
			if err := json.Unmarshal([]byte(answer), &e); err != nil || !strings.Contains(strings.ReplaceAll(e.Message, "\u00a0", " "), want) {
				t.Errorf("%s: answer %s, want %q", path, answer, want)
			}
		}
	}
	if called {
		t.Error("Submit was called")
	}
}

func TestBinaryListsAreCountedBeforeTheyAreRead(t *testing.T) {
	w := newWorld(t, nil)
	many := strings.Repeat("\x0a\x00", MaxSubmitTxs+1)
	r := w.request(http.MethodPost, "/grapevine.v1.Node/SubmitTxs", many)
	r.Header.Set("Content-Type", "application/proto")
	status, body := w.do(r)
	w.want("binary", status, body, http.StatusBadRequest, "unmarshal message: 10001 transactions")
}

// TestTransactionsNeverGoMissing looks transactions up while they go from the pool
// to the chain.
func TestTransactionsNeverGoMissing(t *testing.T) {
	w := newWorld(t, nil)
	n := &node{cfg: w.cfg}
	for range 300 {
		tx := w.tx("x")
		w.cfg.Pool.Offer(time.Now(), []*block.Tx{tx})
		var readers sync.WaitGroup
		for range 8 {
			readers.Go(func() {
				for status := ""; status != StatusCommitted; {
					res, err := n.findTx(tx.ID())
					if err != nil || res.Status == StatusUnknown {
						t.Errorf("on its way to the chain: %v, %v", res, err)
						return
					}
					status = res.Status
				}
			})
		}
		w.grow(tx)
		readers.Wait()
	}
}

func TestSubmitErrors(t *testing.T) {
	var verdicts []mempool.Verdict
	var failure error
	w := newWorld(t, func(c *Config) {
		c.Submit = func(context.Context, []*block.Tx) ([]mempool.Verdict, error) { return verdicts, failure }
	})
	body := fmt.Sprintf(`{"txs":[%q]}`, base64.StdEncoding.EncodeToString(w.tx("x").Bytes()))
	status, answer := w.post("/v1/txs", body)
	w.want("no verdict", status, answer, http.StatusInternalServerError, "0 verdicts on 1 transactions")
	failure = errors.New("the journal's disk is full")
	status, answer = w.post("/v1/txs", body)
	w.want("failure", status, answer, http.StatusInternalServerError, failure.Error())
	failure = fmt.Errorf("%w: no space left on device", mempool.ErrJournal)
	status, answer = w.post("/v1/txs", body)
	w.want("failed journal", status, answer, http.StatusServiceUnavailable, failure.Error())
}

func TestNumbersInJSON(t *testing.T) {
	w := newWorld(t, nil)
	tx := w.sender.SignTx(w.cfg.Genesis.ID(), block.TxFields{Nonce: math.MaxUint64, Expiry: 9, Payload: []byte("x")})
	w.grow(tx)
	status, body := w.post("/grapevine.v1.Node/GetTx", fmt.Sprintf(`{"id":%q}`, tx.ID()))
	w.want("GetTx", status, body, http.StatusOK, `"nonce":18446744073709551615`, `"height":1,`, `"index":0`, `"status":"committed"`)
	for _, height := range []string{"1", `"1"`} {
		status, body = w.post("/grapevine.v1.Node/GetBlock", `{"height":`+height+`}`)
		w.want("GetBlock", status, body, http.StatusOK, `"height":1,`, `"tx_ids":["`+tx.ID().String()+`"]`)
	}
	status, body = w.post("/grapevine.v1.Node/GetStatus", "")
	w.want("GetStatus", status, body, http.StatusOK, `"height":1,`, `"max_lifetime":10000`, `"max_body_bytes":4194304`)
}
