package api

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"strings"
	"testing"
)

func TestHostIsChecked(t *testing.T) {
	local := newWorld(t, func(c *Config) { c.Hosts = []string{"node.lan"} })
	tests := []struct {
		host string
		ok   bool
	}{
		{"localhost", true},
		{"LOCALHOST:1", true},
		{"localhost.:9700", true},
		{"127.0.0.1:80", true},
		{"127.9.9.9", true},
		{"[::1]:9700", true},
		{"node.lan:9700", true},
		{"evil.example", false},
		{"evil.example:9700", false},
		{"localhost.evil.example", false},
		{"127.0.0.1.evil.example", false},
		{"192.168.0.7", false},
	}
	for _, tt := range tests {
		r := local.request(http.MethodGet, "/v1/status", "")
		r.Host = tt.host
		status, body := local.do(r)
		if tt.ok {
			local.want(tt.host, status, body, http.StatusOK, `"chain_id"`)
		} else {
			local.want(tt.host, status, body, http.StatusForbidden, "permission_denied", "ask for it by its address, as "+local.server.Addr(), "api_hosts")
		}
	}
}

func TestPublicServesAnyAddressButNoOtherName(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Listen, c.Public, c.Hosts = ":0", true, []string{"Peer0", "peer0.prod.example.com"} })
	_, port, _ := net.SplitHostPort(w.server.Addr())
	for host, want := range map[string]int{
		"192.168.0.7": http.StatusOK, "[2001:db8::1]:9700": http.StatusOK, "localhost:9700": http.StatusOK,
		"peer0:9700": http.StatusOK, "PEER0": http.StatusOK, "peer0.prod.example.com.": http.StatusOK,
		"peer1:9700": http.StatusForbidden, "evil.peer0": http.StatusForbidden, "peer0.evil.example": http.StatusForbidden,
		"evil.example": http.StatusForbidden,
	} {
		r, _ := http.NewRequest(http.MethodGet, "http://127.0.0.1:"+port+"/healthz", nil)
		r.Host = host
		status, body := w.do(r)
		w.want(host, status, body, want)
	}
}

func TestPublicShowsNoProfiles(t *testing.T) {
	w := newWorld(t, func(c *Config) { c.Public = true })
	status, body := w.get("/debug/pprof/")
	w.want("profiles", status, body, http.StatusNotFound)
}

func TestListenRefusesOtherThanLoopback(t *testing.T) {
	w := newWorld(t, nil)
	for _, addr := range []string{":0", "0.0.0.0:0", "[::]:0", "192.0.2.1:0"} {
		cfg := w.cfg
		cfg.Listen = addr
		s, err := Listen(cfg)
		if err == nil {
			s.Close()
			t.Errorf("listens on %q", addr)
		} else if !strings.Contains(err.Error(), "--api-public") || !strings.Contains(err.Error(), addr) {
			t.Errorf("%q: the error does not name address and flag: %v", addr, err)
		}
	}
	for _, addr := range []string{"127.0.0.1:0", "localhost:0", "[::1]:0"} {
		cfg := w.cfg
		cfg.Listen = addr
		s, err := Listen(cfg)
		if err != nil {
			t.Errorf("%q: %v", addr, err)
			continue
		}
		s.Close()
	}
}

func TestListenSaysWhatIsWrong(t *testing.T) {
	w := newWorld(t, nil)
	taken, noPort, noSubmit, url, port, address := w.cfg, w.cfg, w.cfg, w.cfg, w.cfg, w.cfg
	url.Hosts, port.Hosts, address.Hosts = []string{"http://peer0"}, []string{"ok", "peer0:9700"}, []string{"192.0.2.1"}
	taken.Listen, noPort.Listen, noSubmit.Submit = w.server.Addr(), "127.0.0.1", nil
	for want, cfg := range map[string]Config{
		"choose another port":                  taken,
		"want host:port":                       noPort,
		"Submit is nil":                        noSubmit,
		`api_hosts: "http://peer0" is no name`: url,
		`api_hosts: "peer0:9700": write the name alone, as peer0`: port,
		`api_hosts: "192.0.2.1" is an address`:                    address,
	} {
		if _, err := Listen(cfg); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v, want one with %q", err, want)
		}
	}
}

func TestOriginIsChecked(t *testing.T) {
	w := newWorld(t, nil)
	own := "http://" + w.server.Addr()
	tests := []struct {
		name    string
		headers map[string]string
		ok      bool
	}{
		{"no browser", nil, true},
		{"own page", map[string]string{"Origin": own, "Sec-Fetch-Site": "same-origin"}, true},
		{"address bar", map[string]string{"Sec-Fetch-Site": "none"}, true},
		{"link", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "navigate"}, true},
		{"other page", map[string]string{"Origin": "http://evil.example"}, false},
		{"other port", map[string]string{"Origin": "http://127.0.0.1:1"}, false},
		{"sandbox", map[string]string{"Origin": "null"}, false},
		{"image", map[string]string{"Sec-Fetch-Site": "cross-site", "Sec-Fetch-Mode": "no-cors"}, false},
		{"image of another port", map[string]string{"Sec-Fetch-Site": "same-site", "Sec-Fetch-Mode": "no-cors"}, false},
	}
	for _, tt := range tests {
		r := w.request(http.MethodGet, "/v1/status", "")
		for k, v := range tt.headers {
			r.Header.Set(k, v)
		}
		status, body := w.do(r)
		if tt.ok {
			w.want(tt.name, status, body, http.StatusOK)
		} else {
			w.want(tt.name, status, body, http.StatusForbidden, "other origins")
		}
	}
	form := w.request(http.MethodPost, "/v1/txs", `{"txs":["AA=="]}`)
	form.Header.Set("Sec-Fetch-Site", "cross-site")
	form.Header.Set("Sec-Fetch-Mode", "navigate")
	status, body := w.do(form)
	w.want("a form of another page", status, body, http.StatusForbidden)
}

func TestLargeRequestsAreRefused(t *testing.T) {
	w := newWorld(t, nil)
	large := strings.Repeat(" ", maxRequestBytes+1)
	for _, path := range []string{"/v1/txs", "/grapevine.v1.Node/SubmitTxs"} {
		status, body := w.post(path, large)
		w.want(path, status, body, http.StatusTooManyRequests, "resource_exhausted", "in several")
	}
	// Without a length: the bytes have to be counted.
	conn, err := net.Dial("tcp", w.server.Addr())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go func() {
		fmt.Fprintf(conn, "POST /v1/txs HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n")
		for range maxRequestBytes/1024 + 2 {
			fmt.Fprintf(conn, "400\r\n%1024s\r\n", "")
		}
		fmt.Fprint(conn, "0\r\n\r\n")
	}()
	res, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusTooManyRequests {
		t.Errorf("chunked: status %d", res.StatusCode)
	}
	w.allFree()
}

func TestBusyServerSaysSo(t *testing.T) {
	w := newWorld(t, nil)
	if !w.server.bodies.whole.TryAcquire(maxBudget) {
		t.Fatal("the budget is in use")
	}
	status, body := w.post("/v1/txs", `{"txs":["AA=="]}`)
	w.want("no budget", status, body, http.StatusServiceUnavailable, "busy", "unavailable")
	w.server.bodies.whole.Release(maxBudget)
	status, body = w.post("/v1/txs", `{"txs":["AA=="]}`)
	w.want("budget", status, body, http.StatusOK)
}
