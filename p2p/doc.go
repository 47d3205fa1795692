// Package p2p is a peer's link to the others: one libp2p host, and on top of it
// neighbours, lanes and the transactions' topic. It is the node's only package that
// imports libp2p.
//
// # Connections
//
// A peer is connected over QUIC, or over TCP with Noise or TLS and yamux. The gate
// refuses peers that the genesis does not admit and peers with a low score, after
// the handshake and mutely. Every connection then goes through the same steps:
//
//	A (lower ID)                         B
//	  opens a control stream               opens a control stream
//	  ── Hello ──▶                   ◀── Hello ──
//	  (other network, no common version: Goodbye, close)
//	  ── Begin ──▶                                      "this connection is the one"
//	  PeerUp                               PeerUp
//	  ◀──────────── messages, a stream for each lane and direction ────────────▶
//
// When both dial at once there are two connections, and the peer with the lower ID
// chooses: whichever has exchanged Hellos first begins, the other is closed. A
// connection that appears beside one in use asks for a Probe of the old one: if it
// answers, it stays; if not within a few seconds, the new one replaces it. When the
// two connections' Hellos differ in their instance and both answer, two nodes are
// running with one identity. The younger is told so in a Goodbye, with the older's
// signed answer as proof, and stops.
//
// The rules of who begins, probes and closes are a core of their own (pairing); so
// are the score of a peer and the times of the next dials. Whom to dial is up to
// p2p/membership, which the loop drives over the control lane.
//
// # Lanes
//
// Each lane has a stream in each direction, which its first message opens, a queue
// bounded in bytes, a goroutine that writes and one that reads. What does not fit into
// a queue is refused (Send returns false); a control message that does not fit costs
// the connection. So a slow peer holds up nobody, and a lane holds up no other lane. A
// stream that fails takes the connection with it: PeerDown follows, and the dialler
// tries again.
//
// # Goroutines
//
//	who                     how many             ends when
//	loop                    1                    Run's context is done and all links are gone
//	link.run                1 per connection     the link is to end; it waits for all below
//	link.writeLane          1 per lane and link  its stream fails, or the queue is closed
//	stream handlers         1 per lane and link  its stream fails
//	link.start              1 per link in use    PeerUp has returned
//	dial                    1 per dial, 16 at most   the dial ends
//	topic.follow            1                    Run's context is done
//
// libp2p, QUIC and GossipSub have their own, which end with the host.
package p2p
