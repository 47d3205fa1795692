package api

import (
	"context"
	"errors"
	"fmt"
	"iter"
	"net"
	"net/http"
	"strings"

	"connectrpc.com/connect"

	"grapevine/api/apipb"
	"grapevine/api/apipb/apipbconnect"
	"grapevine/block"
)

// Client talks to the API of a node. It is safe for concurrent use; all of its
// calls share a connection.
type Client struct {
	node      apipbconnect.NodeClient
	transport *http.Transport
	addr      string
}

// Dial makes a client of the node at addr: host:port, or a URL that begins with
// http:// or https://. It does not connect: the first call does.
func Dial(addr string) *Client { return dial(addr, &http.Transport{}) }

func dial(addr string, t *http.Transport) *Client {
	url := addr
	if !strings.Contains(addr, "://") {
		url = "http://" + addr
	}
	t.Protocols = new(http.Protocols)
	t.Protocols.SetUnencryptedHTTP2(true) // not HTTP/1, or http:// URLs would take that
	t.Protocols.SetHTTP2(true)
	node := apipbconnect.NewNodeClient(&http.Client{Transport: t}, strings.TrimSuffix(url, "/"),
		connect.WithReadMaxBytes(maxAnswerBytes))
	return &Client{node: node, transport: t, addr: addr}
}

// Addr returns the address that Dial was given.
func (c *Client) Addr() string { return c.addr }

// Close lets go of the connection. Streams that are open stay open.
func (c *Client) Close() { c.transport.CloseIdleConnections() }

// Submit hands in transactions, in as many requests as it takes, and returns the
// node's verdict on each. With an error come the verdicts of the requests before.
func (c *Client) Submit(ctx context.Context, txs ...*block.Tx) ([]*apipb.TxVerdict, error) {
	verdicts := make([]*apipb.TxVerdict, 0, len(txs))
	for len(txs) > 0 {
		n := submitBatch(txs)
		req := &apipb.SubmitTxsRequest{Txs: make([][]byte, n)}
		for i, t := range txs[:n] {
			req.Txs[i] = t.Bytes()
		}
		res, err := c.node.SubmitTxs(ctx, connect.NewRequest(req))
		if err != nil {
			return verdicts, c.explain(err)
		}
		if len(res.Msg.Verdicts) != n {
			return verdicts, fmt.Errorf("node at %s: %d verdicts on %d transactions", c.addr, len(res.Msg.Verdicts), n)
		}
		verdicts, txs = append(verdicts, res.Msg.Verdicts...), txs[n:]
	}
	return verdicts, nil
}

// submitBatch returns how many of the first transactions fit into one request,
// at least one.
func submitBatch(txs []*block.Tx) int {
	size := 0
	for i, t := range txs {
		size += t.Size()
		if i > 0 && (i == MaxSubmitTxs || size > MaxSubmitBytes) {
			return i
		}
	}
	return len(txs)
}

// Tx looks a transaction up. One that the node does not know is no error: its
// status is StatusUnknown.
func (c *Client) Tx(ctx context.Context, id block.ID) (*apipb.GetTxResponse, error) {
	return call(ctx, c, c.node.GetTx, &apipb.GetTxRequest{Id: id.String()})
}

// FindTx is Tx for an ID as people write it: whole, or of one in the chain its first 8
// digits or more. When no ID begins so, NotFound says so of the error.
func (c *Client) FindTx(ctx context.Context, id string) (*apipb.GetTxResponse, error) {
	return call(ctx, c, c.node.GetTx, &apipb.GetTxRequest{Id: id})
}

// Block returns a block of the chain, as the request asks for it. For one that the
// chain does not have, NotFound says so of the error.
func (c *Client) Block(ctx context.Context, req *apipb.GetBlockRequest) (*apipb.Block, error) {
	res, err := call(ctx, c, c.node.GetBlock, req)
	return res.GetBlock(), err
}

// Members lists the peers that the node knows of.
func (c *Client) Members(ctx context.Context) (*apipb.GetMembersResponse, error) {
	return call(ctx, c, c.node.GetMembers, &apipb.GetMembersRequest{})
}

// Status says how the node is doing.
func (c *Client) Status(ctx context.Context) (*apipb.GetStatusResponse, error) {
	return call(ctx, c, c.node.GetStatus, &apipb.GetStatusRequest{})
}

// Watch yields every block from a height on, in order and without gaps, until ctx
// ends or the loop is left. An error is the last thing that it yields.
func (c *Client) Watch(ctx context.Context, req *apipb.WatchBlocksRequest) iter.Seq2[*apipb.Block, error] {
	return func(yield func(*apipb.Block, error) bool) {
		ctx, cancel := context.WithCancel(ctx)
		defer cancel()
		stream, err := c.node.WatchBlocks(ctx, connect.NewRequest(req))
		if err != nil {
			yield(nil, c.explain(err))
			return
		}
		defer stream.Close()
		for stream.Receive() {
			if !yield(stream.Msg().Block, nil) {
				return
			}
		}
		err = stream.Err()
		if err == nil {
			err = errors.New("the stream ended")
		}
		yield(nil, c.explain(err))
	}
}

// NotFound says whether a node answered that it has not got what was asked for.
func NotFound(err error) bool { return err != nil && connect.CodeOf(err) == connect.CodeNotFound }

func call[Req, Res any](ctx context.Context, c *Client, method func(context.Context, *connect.Request[Req]) (*connect.Response[Res], error), req *Req) (*Res, error) {
	res, err := method(ctx, connect.NewRequest(req))
	if err != nil {
		return nil, c.explain(err)
	}
	return res.Msg, nil
}

// explain says which node an error is about, and what to do when there is none.
func (c *Client) explain(err error) error {
	var dial *net.OpError
	if errors.As(err, &dial) && dial.Op == "dial" && !errors.Is(err, context.Canceled) {
		return fmt.Errorf("no peer answers at %s: is it running? peer start, or --api ADDR: %w", c.addr, err)
	}
	return fmt.Errorf("node at %s: %w", c.addr, err)
}
