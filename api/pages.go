package api

import (
	"context"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"connectrpc.com/connect"
	"google.golang.org/protobuf/proto"

	"grapevine/api/apipb"
	"grapevine/api/codec"
	"grapevine/block"
)

// pages are the service's methods as plain HTTP.
func (s *Server) pages(mux *http.ServeMux, n *node) {
	mux.HandleFunc("GET /v1/status", page(s, func(ctx context.Context, r *http.Request) (*apipb.GetStatusResponse, error) {
		return answer(ctx, n.GetStatus, &apipb.GetStatusRequest{}, checkQuery(r))
	}))
	mux.HandleFunc("GET /v1/members", page(s, func(ctx context.Context, r *http.Request) (*apipb.GetMembersResponse, error) {
		return answer(ctx, n.GetMembers, &apipb.GetMembersRequest{}, checkQuery(r))
	}))
	mux.HandleFunc("GET /v1/blocks/{block}", page(s, func(ctx context.Context, r *http.Request) (*apipb.Block, error) {
		req, err := blockRequest(r)
		res, err := answer(ctx, n.GetBlock, req, err)
		return res.GetBlock(), err
	}))
	mux.HandleFunc("GET /v1/txs/{id}", s.txPage(n))
	mux.HandleFunc("POST /v1/txs", page(s, func(ctx context.Context, r *http.Request) (*apipb.SubmitTxsResponse, error) {
		req, err := submitRequest(r)
		return answer(ctx, n.SubmitTxs, req, err)
	}))
	mux.HandleFunc("GET /v1/blocks", s.watchPage(n))
	mux.HandleFunc(nothing, func(w http.ResponseWriter, r *http.Request) {
		if asksMethod(r) {
			s.refuse(w, r, connect.NewError(connect.CodeUnimplemented, fmt.Errorf("no method %s: there are %s", r.URL.Path, strings.Join(procedures(), ", "))))
			return
		}
		s.refuse(w, r, connect.NewError(connect.CodeNotFound, fmt.Errorf(
			"no page %s %s: there are /v1/status, /v1/members, /v1/blocks?from=HEIGHT, /v1/blocks/{block}, /v1/txs/{id}, POST /v1/txs, /metrics, /healthz and /readyz", r.Method, r.URL.Path)))
	})
}

// answer calls a method, unless reading its request gave an error.
func answer[Req, Res any](ctx context.Context, method func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error), req *Req, err error) (*Res, error) {
	if err != nil {
		return nil, err
	}
	res, err := method(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, err
	}
	return res.Msg, nil
}

// page serves what method returns as JSON.
func page[Res proto.Message](s *Server, method func(context.Context, *http.Request) (Res, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		res, err := method(r.Context(), r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		s.write(w, r, http.StatusOK, res)
	}
}

// txPage is GetTx, but says of an unknown transaction in HTTP too that it is.
func (s *Server) txPage(n *node) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req := &apipb.GetTxRequest{Id: r.PathValue("id")}
		res, err := answer(r.Context(), n.GetTx, req, checkQuery(r))
		switch {
		case err != nil:
			s.refuse(w, r, err)
		case res.Status == StatusUnknown:
			s.write(w, r, http.StatusNotFound, res)
		default:
			s.write(w, r, http.StatusOK, res)
		}
	}
}

// watchPage is WatchBlocks, a line of JSON for every block. An error after the
// first line is the last line.
func (s *Server) watchPage(n *node) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		req, err := watchRequest(r)
		if err != nil {
			s.refuse(w, r, err)
			return
		}
		started := false
		flush := http.NewResponseController(w).Flush
		start := func() error {
			started = true
			w.Header().Set("Content-Type", "application/x-ndjson")
			return flush()
		}
		err = n.watch(r.Context(), req, start, func(b *apipb.Block) error {
			line, err := codec.Line(b)
			if err != nil {
				return err
			}
			if _, err := w.Write(append(line, '\n')); err != nil {
				return err
			}
			return flush()
		})
		s.refuse(lineWriter{w, started}, r, err)
		if started {
			io.WriteString(w, "\n")
		}
	}
}

// lineWriter keeps an error that follows lines from setting a status.
type lineWriter struct {
	http.ResponseWriter
	started bool
}

// WriteHeader implements http.ResponseWriter.
func (l lineWriter) WriteHeader(status int) {
	if !l.started {
		l.ResponseWriter.WriteHeader(status)
	}
}

// write answers with a message as one line of JSON.
func (s *Server) write(w http.ResponseWriter, r *http.Request, status int, m proto.Message) {
	line, err := codec.Line(m)
	if err != nil {
		s.refuse(w, r, err)
		return
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	if _, err := w.Write(append(line, '\n')); err != nil {
		s.cfg.Logger.Debug("api answer not written", "path", r.URL.Path, "err", err)
	}
}

func submitRequest(r *http.Request) (*apipb.SubmitTxsRequest, error) {
	if err := checkQuery(r); err != nil {
		return nil, err
	}
	body, err := io.ReadAll(r.Body) // guard has bounded it
	if err != nil {
		return nil, err
	}
	req := &apipb.SubmitTxsRequest{}
	if err := (codec.JSON{}).Unmarshal(body, req); err != nil {
		return nil, invalid(`reading {"txs":["<base64>", …]}: %w`, err)
	}
	return req, nil
}

func watchRequest(r *http.Request) (*apipb.WatchBlocksRequest, error) {
	if err := checkQuery(r, "from", "txs", "raw"); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	req := &apipb.WatchBlocksRequest{Txs: q.Get("txs")}
	var err error
	if from := q.Get("from"); from != "" {
		if req.From, err = strconv.ParseUint(from, 10, 64); err != nil {
			return nil, invalid("from is %q: want a height", from)
		}
	}
	req.Raw, err = queryRaw(q)
	return req, err
}

func blockRequest(r *http.Request) (*apipb.GetBlockRequest, error) {
	if err := checkQuery(r, "txs", "raw"); err != nil {
		return nil, err
	}
	q := r.URL.Query()
	req := &apipb.GetBlockRequest{Txs: q.Get("txs")}
	var err error
	if req.Raw, err = queryRaw(q); err != nil {
		return nil, err
	}
	name := r.PathValue("block")
	switch height, err := strconv.ParseUint(name, 10, 64); {
	case name == "tip":
	case len(name) == 64, err != nil && len(name) >= block.ShortDigits:
		req.Id = name
	case err != nil || height == 0:
		return nil, invalid("block %q: want a height from 1 on, an ID of 64 hexadecimal digits or the first 8 of them, or tip", name)
	default:
		req.Height = height
	}
	return req, nil
}

func queryRaw(q url.Values) (bool, error) {
	switch raw := q.Get("raw"); raw {
	case "", "false":
		return false, nil
	case "true":
		return true, nil
	default:
		return false, invalid("raw is %q: want true or false", raw)
	}
}

// checkQuery refuses query parameters that a page does not know, or that are
// given twice.
func checkQuery(r *http.Request, known ...string) error {
	q, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return invalid("query %q: %w", r.URL.RawQuery, err)
	}
	for key, values := range q {
		switch {
		case !slices.Contains(known, key) && len(known) == 0:
			return invalid("unknown query parameter %q: this page takes none", key)
		case !slices.Contains(known, key):
			return invalid("unknown query parameter %q: want %s", key, strings.Join(known, ", "))
		case len(values) > 1:
			return invalid("query parameter %q is given %d times", key, len(values))
		}
	}
	return nil
}
