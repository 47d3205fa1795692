// Package baseline is what Grapevine is measured against: libp2p hosts that spread blocks
// in others' ways and do nothing else. They have the same doors as a node (Door), so they
// run on the same links. Peer speaks GossipSub (go-libp2p-pubsub); FabricPeer speaks
// Hyperledger Fabric's gossip, whose protocol is the core in the folder fabric.
//
// GossipSub can be used in two ways. As shipped: a block is one message, the mesh has
// GossipSub's own parameters (degree 6, between 5 and 12). Chunked: what a user can get
// out of the same library without changing it: a block is messages of 16 KiB, published
// as one batch, so that each neighbour gets other chunks first, in a mesh of degree 4
// (between 3 and 6).
// Of a MiB in 16, 64 and 128 chunks at degrees 3, 4 and 6, this was the fastest that
// loses nothing; at degree 3 one block in twenty was not complete.
//
// Everything that makes GossipSub lose messages in silence is out of the way, for its
// speed is of interest here and not how a burst overflows it:
//
//   - messages may be as large as the largest block (it says nil and sends nothing when
//     one is larger than 1 MiB, by default);
//   - the queues to neighbours, to validation and to the subscriber have room for
//     thousands of messages (32 each by default); Lost counts what was dropped
//     nevertheless, and tests hold it to zero;
//   - there is no validation, and no signature: a message is named by its hash, as
//     chains do. So a hop costs no more than the wire;
//   - no limits on resources, no pruning of connections;
//   - a connection that was lost is dialled again every second. GossipSub itself leaves
//     that to its user.
//
// All the rest is as it comes: heartbeats of one second, IHAVE gossip, IDONTWANT for
// messages of 1 KiB and more. Peer scoring is off by default, and is here; flood
// publishing likewise.
//
// A block counts when the whole of it is here. There is no chain behind GossipSub: what
// GossipSub's memory of five heartbeats no longer has, nobody brings.
// A peer that crashes and is back soon may hear nothing until its old connections have
// timed out, after 30 s: the others' GossipSub heeds no second connection while it knows
// of the first.
//
// A FabricPeer is the driver of a fabric.Peer:
//
//	streams ─ read: decode, check the bodies ─▶ inbox ─▶ loop ─ Receive, Tick ─▶ fabric.Peer
//	streams ◀─ write, one for each lane ◀─ queue ◀─────── loop ◀─ Send, Accept ──────┘
//
// One goroutine, loop, owns the core. A stream is read when the loop has room for its
// message; a message for a queue with 200 in it is dropped, as Fabric drops it. Streams
// stand before they are used. Of two connections to a peer the newer one is used: whoever
// crashed and came back is heard at once. Bodies are kept once for the whole network
// (Bodies); a peer's Ledger, which outlives it, says which of them it has.
package baseline
