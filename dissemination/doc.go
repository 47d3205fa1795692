// Package dissemination is the driver that joins the protocol cores to the world:
// it owns their goroutine and the bytes they speak of, checks signatures and
// hashes before a core hears of an arrival, keeps the chain growing through the
// ledger, and serves what peers ask for.
//
//	        p2p: a goroutine per peer and lane                GossipSub
//	               │ decode, bound, verify                       │ decode, verify
//	               ▼                                             ▼
//	┌─ Driver.Run, the loop ──────────────────────┐          mempool
//	│  fresh   catchup   txs                       │ ◀── Match ──┘
//	│  effects → p2p.Send (never blocks)           │
//	│  chain: whole blocks, by height              │
//	└──────┬────────────────────────────▲──────────┘
//	       ▼ one block at a time        │ accepted, durable
//	   committer: Check ─ accepted ─ Append (synced) ─ pool.Committed
//
// Every message is verified in its reader's goroutine, so the work of many peers
// spreads over the processors and a flood from one holds up that peer's lane only.
package dissemination
