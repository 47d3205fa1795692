// Package api is the HTTP face of a node, and a client of it.
//
// One port serves the service of apipb/api.proto to Connect and gRPC clients, over
// HTTP/1.1 and unencrypted HTTP/2, and the same methods as plain pages:
//
//	GET  /v1/status               GetStatus
//	GET  /v1/members              GetMembers
//	GET  /v1/blocks/{block}       GetBlock, by height or ID, or "tip"
//	GET  /v1/blocks?from=HEIGHT   WatchBlocks, one block a line
//	GET  /v1/txs/{id}             GetTx
//	POST /v1/txs                  SubmitTxs, {"txs":["<base64>", …]}
//	GET  /metrics /healthz /readyz
//	GET  /debug/pprof/            profiles, unless Config.Public
//	POST /grapevine.v1.Node/…     Connect and gRPC; curl -H 'Content-Type: application/json' -d '{}'
//	POST /grpc.reflection.v1…     tells grpcurl and its like of the service; v1alpha too
//
// The two pages of blocks take ?txs=none, ids or full and ?raw=true as well.
// Errors are {"code": …, "message": …} with Connect's codes. A method that is not there is
// Unimplemented, and said so before the request has ended.
//
// # Who is let in
//
// The API has no passwords. It listens on loopback unless Config.Public says
// otherwise, and a web page that a browser on the same machine shows is kept out:
// a Host header must be an address or one of the node's own names (localhost, that of
// Config.Listen, and Config.Hosts), so that a page cannot reach in under a name of its
// own (DNS rebinding), and a request that a
// browser marks as coming from another origin is refused.
//
// # What is bounded
//
// Connections, all together and those of one address, streams, a request's bytes and
// the bytes of all requests together, as they arrive, the transactions in a request, and
// the time that headers, a request's body and the reading of an answer may take. What
// making and sending answers takes of memory has a budget too, large answers one and
// small answers another, and no address but loopback may hold more than half of it, nor
// of the streams. A request waits some seconds for its turn, and is then refused with a
// time after which to come again (Unavailable, or 503 with Retry-After). A stream holds
// one block at most, and nothing between blocks: it reads the ledger at its reader's pace.
//
// No connection waits for a place. The one that has waited longest for a request makes
// room, and where all have one a newcomer is answered once, if it asks for /healthz,
// /readyz or /metrics, which count in no budget, and is else told to come again.
//
// A reader that takes nothing of an answer for Config.Stall, or takes it at less than
// half a Mbit/s, is cut off: over HTTP/1 its connection ends, over HTTP/2 the request.
//
// # Goroutines
//
// Run's own, those that net/http starts for connections and requests, and one that
// shuts down. All have ended when Run returns, but for requests that Config.Grace was
// too short for: their contexts have ended.
package api
