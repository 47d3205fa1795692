// Package fabric is the block gossip of Hyperledger Fabric, and what Berendea et al.
// made of it, as one protocol core, to be measured against ours in the same networks.
//
// fabric (Fabric()): gossip/gossip, gossip/gossip/algo and gossip/state of
// hyperledger/fabric, with the values of sampleconfig/core.yaml.
//
//	peer                 neighbours               push: at the emitter's next tick, 10 ms
//	 │ Push(body) ────────▶│ Push(body) ───▶ …     apart, to 3 drawn at random whatever they
//	 │                     │                       hold; once (infect and die). All blocks of
//	 │                     │                       a tick go to the same 3. Whoever sent a
//	 │                     │                       block is left out after the draw.
//	 │ Hello ─────────────▶│ ×3                    pull: every 4 s, 3 drawn at random
//	 │◀───────── Digest ───│                       the numbers of the last 11 blocks
//	 │     1 s             │
//	 │ Request ───────────▶│                       each number of one of those that offered it
//	 │◀─ Response(bodies) ─│                       unless the Hello is older than 1.5 s
//	 │◀──────── StateInfo ─│                       heights: every 4 s, if there is a new one
//	 │ StateRequest ──────▶│                       state transfer: every 10 s, when another is
//	 │◀ StateResponse(…) ──│                       higher: 11 blocks, one request at a time,
//	 │                     │                       3 s and 4 tries each
//
// A pulled block, or one of a state transfer, is not pushed on. Blocks are accepted in
// order; one that gossip brings 20 or more heights above the next is passed on, and not
// kept for the chain. What gossip remembers is its newest block and the 10 heights below.
//
// fabric-enhanced (Enhanced()): "Fair and Efficient Gossip in Hyperledger Fabric"
// (Berendea, Mercier, Onica, Rivière; ICDCS 2020), as the prototype is set
// (berendeanicolae/fabric, branch fair-and-efficient-gossip: blockPeerNum 4, pushTtl 2,
// advTtl 7).
//
//	producer          a peer              a neighbour
//	 │ Push(body, 0) ──▶│                      │    the producer's to one peer
//	 │                  │ Push(body, hop+1) ──▶│    to 4, two hops more
//	 │                  │ Advert(hop+1) ──────▶│    to 4, seven hops from there
//	 │                  │◀────────────── Want ─│    of the first that advertised it, once
//	 │                  │ Answer(body) ───────▶│    as soon as it is here
//
// It infects upon contagion: a peer passes a block on once for every hop count that it
// sees, to neighbours drawn anew, at once. There is no emitter and no pull; state
// transfer is Fabric's. A Want that nobody answers is left to state transfer.
//
// Where this differs from the originals, it is in their favour:
//
//   - Every kind of message has its own stream (Lane), so that a digest does not wait
//     behind a body; Fabric has one stream for a pair of peers (gossip/comm).
//   - StateInfo is a height, told to the neighbours. Fabric's is signed, and gossiped
//     with fan-out 3, as alive messages are, for which there is nothing here at all.
//   - A StateResponse is at most 2 MiB, or a block: eleven large blocks would take longer
//     than the 3 s that the original waits, four times, and for nothing.
//   - An answer to a range that is done with is ignored; the original asks for the range
//     at hand again, and burns a try (state.go, requestBlocksInRange).
//   - A Response that comes more than responseWaitTime (2 s) after the Request is taken as
//     it is in Fabric, and offered to others, as it is not.
//   - A want for a block that state transfer brought is answered; the prototype's gossip
//     does not know such blocks, and asks for them too.
//
// What is kept though it does not help them: a block that is pushed during the second
// after a Hello is pulled nevertheless (pull.go compares digests as they arrive); state
// transfer asks peers that lack the last block of a range (selectPeerToRequestFrom
// compares a count with a number); a full queue drops in silence.
//
// Left out: what organisations and channels are for, signatures, memory that expires
// after 400 s. A block is a unit; it names no transactions, so that a warm pool changes
// nothing. The hop in Fabric's own Push is for the report: the original has none.
//
// Invariants:
//
//   - Accept comes once for every height, in order, each on the parent accepted before.
//   - A body is sent only by a peer that has it.
//   - No request is answered with more than 11 blocks, and what is remembered of peers
//     and blocks is bounded; but for the chain, which is the peer's ledger: a descriptor
//     for each block.
//
// The core is sans-IO: one goroutine owns a Peer, tells it what happened and when, and
// carries out the effects that it asks for. It knows IDs, heights and sizes; whoever
// drives it keeps the bodies, sends them with the messages whose Bodies name them, and
// has checked those that come.
package fabric
