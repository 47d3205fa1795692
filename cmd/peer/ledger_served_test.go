package main

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/api/apipb/apipbconnect"
	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/genesis"
)

// liar is a node that serves whatever blocks the test gives it.
type liar struct {
	apipbconnect.UnimplementedNodeHandler
	genesis *genesis.Genesis
	raw     [][]byte
	names   []string // the IDs that it claims; none: the right ones
	lost    bool     // it finds no block by its ID
}

func (l *liar) GetStatus(context.Context, *connect.Request[apipb.GetStatusRequest]) (*connect.Response[apipb.GetStatusResponse], error) {
	limits := l.genesis.BlockLimits()
	return connect.NewResponse(&apipb.GetStatusResponse{
		GenesisId: l.genesis.ID().String(), Orderer: l.genesis.Ordering.Orderer, Height: uint64(len(l.raw)),
		Limits: &apipb.Limits{MaxTxBytes: uint64(limits.MaxTxBytes), MaxBodyBytes: uint64(limits.MaxBodyBytes),
			MaxBlockTxs: uint64(limits.MaxBlockTxs), MaxLifetime: limits.MaxLifetime},
	}), nil
}

func (l *liar) header(i int) *apipb.Header {
	h := &apipb.Header{Height: uint64(i + 1)}
	if b, err := block.Decode(l.raw[i]); err == nil {
		h.Id = b.ID().String()
	}
	if l.names != nil {
		h.Id = l.names[i]
	}
	return h
}

func (l *liar) WatchBlocks(_ context.Context, _ *connect.Request[apipb.WatchBlocksRequest], s *connect.ServerStream[apipb.WatchBlocksResponse]) error {
	for i, raw := range l.raw {
		if err := s.Send(&apipb.WatchBlocksResponse{Block: &apipb.Block{Header: l.header(i), Body: &apipb.Body{Raw: raw}}}); err != nil {
			return err
		}
	}
	return nil
}

func (l *liar) GetBlock(_ context.Context, r *connect.Request[apipb.GetBlockRequest]) (*connect.Response[apipb.GetBlockResponse], error) {
	for i := range l.raw {
		if h := l.header(i); h.Id == r.Msg.Id && !l.lost {
			return connect.NewResponse(&apipb.GetBlockResponse{Block: &apipb.Block{Header: h}}), nil
		}
	}
	return nil, connect.NewError(connect.CodeNotFound, nil)
}

// serve returns the liar's address.
func (l *liar) serve(t *testing.T) string {
	t.Helper()
	mux := http.NewServeMux()
	mux.Handle(apipbconnect.NewNodeHandler(l))
	s := httptest.NewUnstartedServer(mux)
	s.Config.Protocols = new(http.Protocols)
	s.Config.Protocols.SetUnencryptedHTTP2(true)
	s.Start()
	t.Cleanup(s.Close)
	return strings.TrimPrefix(s.URL, "http://")
}

func TestVerifyServedNamesTheFirstThingWrong(t *testing.T) {
	key, other := sig.NewKey([32]byte{1}), sig.NewKey([32]byte{2})
	g, err := joinOrFound(key, "", "served", nil)
	if err != nil {
		t.Fatal(err)
	}
	tx := func(nonce uint64) *block.Tx {
		return other.SignTx(g.ID(), block.TxFields{Nonce: nonce, Expiry: 100, Payload: []byte("payload")})
	}
	make2 := func(signer sig.Key, parent block.Tip, txs ...*block.Tx) *block.Block {
		h := block.Draft(g.ID(), block.Limits{}, parent, 1, signer.Public(), txs)
		return block.New(signer.SignHeader(h), txs)
	}
	first := make2(key, block.Tip{ID: g.ID()}, tx(1), tx(2))
	second := make2(key, first.Tip(), tx(3))
	flipped := func(b *block.Block, at int) []byte {
		raw := b.Bytes()
		if at < 0 {
			at += len(raw)
		}
		raw[at] ^= 1
		return raw
	}
	forged := tx(4).TxFields
	forged.Nonce++
	for name, c := range map[string]struct {
		liar liar
		says string // "": all is well
	}{
		"a good chain":     {liar{raw: [][]byte{first.Bytes(), second.Bytes()}}, ""},
		"an empty chain":   {liar{}, ""},
		"cut off":          {liar{raw: [][]byte{first.Bytes(), second.Bytes()[:100]}}, "height 2: block: malformed signed header"},
		"other payload":    {liar{raw: [][]byte{flipped(first, block.SignedHeaderSize+54), second.Bytes()}}, "height 1: block"},
		"other signature":  {liar{raw: [][]byte{flipped(first, block.HeaderSize)}}, "height 1: header at height 1: wrong signature"},
		"other parent":     {liar{raw: [][]byte{first.Bytes(), make2(key, block.Tip{Height: 1, ID: block.ID{7}}, tx(3)).Bytes()}}, "height 2: header at height 2 stands on"},
		"other producer":   {liar{raw: [][]byte{make2(other, block.Tip{ID: g.ID()}, tx(1)).Bytes()}}, "the orderer is " + g.Ordering.Orderer},
		"forged tx":        {liar{raw: [][]byte{make2(key, block.Tip{ID: g.ID()}, forged.Seal(tx(4).Signature)).Bytes()}}, "wrong signature for sender"},
		"another name":     {liar{raw: [][]byte{first.Bytes()}, names: []string{strings.Repeat("ab", 32)}}, "the node calls it abab"},
		"lost in an index": {liar{raw: [][]byte{first.Bytes()}, lost: true}, "looking it up by its ID"},
	} {
		c.liar.genesis = g
		res, err := verifyServed(t.Context(), c.liar.serve(t), func(uint64, uint64) {})
		switch {
		case c.says == "" && (err != nil || !res.OK || res.Height != uint64(len(c.liar.raw))):
			t.Errorf("%s: got %+v, %v: want all well", name, res, err)
		case c.says != "" && (err == nil || res.OK || !strings.Contains(res.Fault, c.says) || cli.ExitCode(err) != cli.ExitWrong):
			t.Errorf("%s: got %+v, %v: want a fault that says %q", name, res, err, c.says)
		}
	}
}
