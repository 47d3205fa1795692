// Package baseline is what Grapevine is measured against: a libp2p host that spreads
// blocks over GossipSub (go-libp2p-pubsub) and does nothing else. It has the same doors
// as a node, so it runs on the same links.
//
// There are two ways. As shipped: a block is one message, the mesh has GossipSub's own
// parameters (degree 6, between 5 and 12). Chunked: what a user can get out of the same
// library without changing it: a block is messages of 16 KiB, published as one batch, so
// that each neighbour gets other chunks first, in a mesh of degree 4 (between 3 and 6).
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
// A block counts when the whole of it is here. There is no chain behind it: what
// GossipSub's memory of five heartbeats no longer has, nobody brings.
// A peer that crashes and is back soon may hear nothing until its old connections have
// timed out, after 30 s: the others' GossipSub heeds no second connection while it knows
// of the first.
package baseline
