// Package packets is the packet world: whole nodes, over libp2p and QUIC as they are, on
// simulated links, in virtual time.
//
//	scenario.Plan ──▶ Run ══ a process of its own ═▶ Child ─ testing.Main ─ synctest.Test ─ play
//	outcome, error ◀──────── gob on its stdout ◀────────────────────────────────────────────┘
//
//	play: course.Course says when, world does it
//	        ├── kind: nodes (node.Node: grapevine)
//	        │            gossip (baseline.FabricPeer: fabric, fabric-enhanced;
//	        │                    baseline.Peer: gossipsub, gossipsub-chunked)
//	        └── network: simnet, and a port for every peer: cuts, losses, rates, counts
//
// The world's time begins when everybody who is there from the beginning is connected as
// they should be, and eleven seconds more: up to 128 nodes all are neighbours of all,
// more have 64 neighbours or more each, and so have those that speak Fabric's gossip, who
// are told of them; GossipSub's peers have the connections that they dial, ten each.
//
// What is simulated, and how:
//
//   - A link has a rate up and a rate down, each behind a queue with FQ-CoDel (simnet).
//     Between two links lies a latency, and jitter that never reorders.
//   - A lost packet is thrown away behind its receiver's link (or, when a fault of the
//     sender's loses it, before its own); who loses what is drawn from the seed.
//   - A cut throws packets away on both sides; those under way too.
//   - slow exchanges the peer's link for another. What stands in the queue towards the
//     peer at that moment is lost.
//   - A crashed peer falls silent at once; its goroutines end soon after. When it comes
//     back it is a new peer with the ledger of the old one, and an empty pool.
//   - Memory is the disk: a block is durable when it is accepted. Computing takes no
//     time, so a plan's transactions are signed and checked for nothing.
//
// What is counted is the UDP payload at each peer's packet connection, from just before
// the first block (with tx_rate: transaction) until a second after the last acceptance.
// What a cut stops was never sent, what is lost was.
//
// Runs of one seed are alike and not the same: goroutines are not in the seed's hand,
// nor are libp2p's random choices. So there is no trace.
//
// A hundred nodes with two blocks of 1 MiB take 4.5 GB and 100 s on two cores that others
// use too, half of it to connect everybody with everybody; with GOGC=300 in the
// environment 6.5 GB and 75 s.
//
// A GossipSub peer accepts a block when all of it is here; its height is that up to which
// it has every block, so one that missed a block stays there. The hop is not known. One
// that speaks Fabric's gossip accepts block after block, keeps its chain when it crashes,
// and has no pool: a block is a unit of noise, whose ID is its hash, which is checked.
package packets
