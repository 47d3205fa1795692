package api

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"grapevine/block"
	"grapevine/dissemination/arrival"
)

func TestPagesOfTheChain(t *testing.T) {
	w := newWorld(t, func(c *Config) {
		c.Facts = func(height uint64) (arrival.Accepted, bool) {
			if height != 2 {
				return arrival.Accepted{}, false
			}
			b, err := c.Ledger.Block(2)
			return arrival.Accepted{Height: 2, ID: b.ID(), Bytes: 1000, Latency: 52 * time.Millisecond, At: time.Unix(1, 5),
				Facts: arrival.Facts{Via: arrival.Push, From: "12D3KooWx", Hop: 3, Missing: 4, Again: 50}}, err == nil
		}
	})
	status, body := w.get("/v1/blocks/tip")
	w.want("empty chain", status, body, http.StatusNotFound, "not_found", "no block yet")
	first := w.grow(w.tx("a"))
	tx := w.tx("b")
	second := w.grow(w.tx("c"), tx)
	fact := `"fact":{"via":"push","from":"12D3KooWx","hop":3,"latency":52000000,"missing":4,"duplicates":0.05,"accepted":"1970-01-01T00:00:01.000000005Z"}`
	for _, path := range []string{"/v1/blocks/2", "/v1/blocks/tip", "/v1/blocks/" + second.ID().String()} {
		status, body = w.get(path)
		w.want(path, status, body, http.StatusOK, `{"header":{"id":"`+second.ID().String()+`"`, fact,
			`"parent":"`+first.ID().String()+`"`, `"txs":2,`, fmt.Sprintf(`"bytes":%d,`, second.BodySize),
			`"time":"`+second.Time().UTC().Format(time.RFC3339Nano)+`"`, tx.ID().String()+`"]`)
	}
	status, body = w.get("/v1/blocks/1?txs=none")
	w.want("header", status, body, http.StatusOK, `"height":1,`)
	if strings.Contains(body, "fact") || strings.Contains(body, "body") {
		t.Errorf("header alone: %s", body)
	}
	status, body = w.get("/v1/blocks/2?txs=full&raw=true")
	w.want("full", status, body, http.StatusOK, `"raw":"`, `"sender":"`+w.sender.Public().String()+`"`, `"payload":"Yg=="`)
	status, body = w.get("/v1/txs/" + tx.ID().Short())
	w.want("tx by the beginning of its ID", status, body, http.StatusOK, `"id":"`+tx.ID().String()+`"`, `"height":2,"index":1,`)
	status, body = w.get("/v1/txs/" + tx.ID().String())
	w.want("tx", status, body, http.StatusOK, `"status":"committed"`, `"height":2,"index":1,`, `"expiry":1000,`)
}

func TestPagesRefuse(t *testing.T) {
	w := newWorld(t, nil)
	w.grow(w.tx("a"))
	unknown := block.ID{1}.String()
	tests := []struct {
		path   string
		status int
		want   string
	}{
		{"/v1/blocks/2", 404, "no block at height 2: the chain ends at 1"},
		{"/v1/blocks/" + unknown, 404, "is not in the chain, which ends at height 1"},
		{"/v1/blocks/0", 400, "from 1 on"},
		{"/v1/blocks/-1", 400, "want a height"},
		{"/v1/blocks/abc", 400, "want a height"},
		{"/v1/blocks/" + strings.Repeat("x", 64), 400, "hexadecimal"},
		{"/v1/blocks/1?txs=all", 400, "none, ids or full"},
		{"/v1/blocks/1?raw=yes", 400, "true or false"},
		{"/v1/blocks/1?from=3", 400, "unknown query parameter"},
		{"/v1/blocks/1?raw=true&raw=true", 400, "given 2 times"},
		{"/v1/blocks?from=x", 400, "want a height"},
		{"/v1/blocks?form=1", 400, "unknown query parameter"},
		{"/v1/blocks?txs=all", 400, "none, ids or full"},
		{"/v1/blocks?%zz", 400, "query"},
		{"/v1/txs/12", 400, "64 hexadecimal digits"},
		{"/v1/txs/" + unknown[:10], 404, "begins with " + unknown[:10]},
		{"/v1/txs/" + unknown[:9], 400, "an even number"},
		{"/v1/blocks/fffffffffe", 404, "begins with fffffffffe"},
		{"/v1/txs/" + unknown, 404, `"status":"unknown"`},
		{"/v1/status?x=1", 400, "takes none"},
		{"/v1/members?x=1", 400, "takes none"},
		{"/nothing", 404, "no page GET /nothing"},
		{"/", 404, "/v1/blocks"},
	}
	for _, tt := range tests {
		status, body := w.get(tt.path)
		w.want(tt.path, status, body, tt.status, tt.want)
	}
	status, body := w.post("/grapevine.v1.Node/GetBlock", `{"height":1,"id":"`+unknown+`"}`)
	w.want("both", status, body, 400, "give one of them")
	status, body = w.post("/v1/status", "")
	w.want("method", status, body, 404, "no page POST /v1/status")
}

func TestStatusAndMembersPages(t *testing.T) {
	ready, note := errors.New("two blocks are signed at height 7"), ""
	reg := prometheus.NewRegistry()
	reg.MustRegister(prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: "grapevine_answer", Help: "It."}, func() float64 { return 42 }))
	w := newWorld(t, func(c *Config) {
		c.Ready = func() error { return ready }
		c.Note = func() string { return note }
		c.Gatherer = reg
		c.Status = func() Status {
			return Status{PeerID: "12D3KooWme", Software: "grapevine/1", Mode: "push-pull", Addrs: []string{"/ip4/1.2.3.4"},
				Neighbours: 3, Started: time.Unix(1, 0)}
		}
		c.Members = func() []Member {
			return []Member{{PeerID: "12D3KooWyou", State: "alive", Neighbour: true, Height: 1 << 52, Base: 1, Software: "grapevine/1", Silent: 8 * time.Second}}
		}
	})
	if v, err := w.submit(t.Context(), []*block.Tx{w.tx("x")}); err != nil || v[0].Err != nil {
		t.Fatal(v, err)
	}
	status, body := w.get("/v1/status")
	w.want("status", status, body, http.StatusOK, `"peer_id":"12D3KooWme"`, `"software":"grapevine/1"`, `"chain_id":"api-test"`,
		`"genesis_id":"`+w.cfg.Genesis.ID().String(), `"height":0,"tip_id":"`+w.cfg.Genesis.ID().String()+`","tip_time":""`,
		`"base":1`, `"orderer":"`+w.cfg.Genesis.Ordering.Orderer, `"neighbours":3,"pool_txs":1,"pool_bytes":119,"mode":"push-pull"`,
		`"addrs":["/ip4/1.2.3.4"]`, `"started":"1970-01-01T00:00:01Z"`, `"ready":false,"reason":"two blocks are signed at height 7"`,
		`"limits":{"max_tx_bytes":65536,"max_body_bytes":4194304,"max_block_txs":10000,"max_lifetime":10000,"max_submit_txs":10000,"max_submit_bytes":4194304,"coding":0}`)
	status, body = w.get("/v1/members")
	w.want("members", status, body, http.StatusOK, `"peer_id":"12D3KooWyou","state":"alive","neighbour":true,"addrs":[],"height":4503599627370496,"base":1`, `"silent":8000000000`, `"note":""`)
	status, body = w.get("/metrics")
	w.want("metrics", status, body, http.StatusOK, "grapevine_answer 42")
	status, body = w.get("/debug/pprof/")
	w.want("profiles", status, body, http.StatusOK, "goroutine")
	status, body = w.get("/healthz")
	w.want("healthz", status, body, http.StatusOK, "ok")
	status, body = w.get("/readyz")
	w.want("readyz", status, body, http.StatusServiceUnavailable, ready.Error())
	ready = nil
	status, body = w.get("/readyz")
	w.want("readyz, later", status, body, http.StatusOK, "ok")
	status, body = w.get("/v1/status")
	w.want("status, later", status, body, http.StatusOK, `"ready":true,"reason":""`, `"note":""`)
	note = "the orderer has not been heard for 8s; transactions wait"
	for path, want := range map[string]string{"/readyz": "ok\nnote: " + note + "\n", "/v1/status": `"note":"` + note + `"`, "/v1/members": `"note":"` + note + `"`} {
		status, body = w.get(path)
		w.want(path+" with a note", status, body, http.StatusOK, want)
	}
	status, body = w.post("/v1/txs", `{"txs":["AA=="]}`)
	w.want("submit with a note", status, body, http.StatusOK, `"note":"`+note+`"`)
}
