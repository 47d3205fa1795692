// Package dissemination is the driver that joins the protocol cores to the world:
// it owns their goroutine and the bytes they speak of, checks signatures and
// hashes before a core hears of an arrival (those against a block that is not whole in
// the loop, all others in the readers), keeps the chain growing through the
// ledger, and serves what peers ask for. What a peer does is decided in
// dissemination/protocol; the simulator (testnet/events) drives the same core.
//
//	        p2p: a goroutine per peer and lane                GossipSub
//	               │ receive.go, ranges.go: decode, bound, verify │ decode, verify
//	               ▼                                             ▼
//	┌─ driver.go, the loop ───────────────────────┐          mempool ◀── intake.go: submitters
//	│  protocol.Peer        txs.Reconciler         │ ◀── Match ──┘            │
//	│  effects → p2p.Send (never blocks)           │                 publish.go: batches
//	│  bodies.go: the bytes of blocks on their way │                          ▼
//	└──────┬────────────────────────────▲──────────┘                      GossipSub
//	       ▼ one block at a time        │ accepted, durable
//	   commit.go: Check ─ accepted ─ Append (synced) ─ pool.Committed
//
// Signatures are verified in the reader's goroutine, so the work of many peers
// spreads over the processors and a flood from one holds up that peer's lane only.
// Methods whose names begin with on, and what they call, run there; those that are
// told the time (now) run in the loop, which owns all that is not said to be guarded.
//
// A new message between peers: dissemination/message says what belongs to it.
package dissemination
