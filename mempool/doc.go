// Package mempool keeps the transactions that wait for a block.
//
// They come in two ways. Submit takes what a client gave to this node: it answers
// Accepted only once the transaction stands, synced, in the node's journal, and
// from then on the pool does not let go of it, a kill -9 in between included,
// until a block has it or its expiry height has passed. Offer takes what gossip
// brought: the same checks, no journal, since whoever acknowledged it has it in
// theirs.
//
//	Submit ─ known? in the ledger? ─ reserve room ─ journal, sync ─ on offer, Accepted
//	Offer  ─ known? in the ledger? ─ room? ───────────────────────── on offer, Accepted
//	                                   └ full: Refused, the ID is kept as wanted
//
// # What holds at all times
//
//   - The pool never evicts. When it is full it refuses, and says so.
//   - Whatever a Submit acknowledged, with Accepted or with Duplicate, is in a
//     synced segment of the journal until it is committed or expired.
//   - A transaction whose journal write is under way is not on offer: no method
//     shows it, and it takes up room.
//   - After the first failed write or sync nothing is acknowledged, until all that was
//     before stands in a new segment, which is tried again and again. What the failed
//     write left on the disk does not count then, or is read, or dropped as a torn tail,
//     when the journal is opened again; its submitter was told of an error, and all of
//     that agrees with it.
//   - One mutex guards the state, and no file or ledger is touched under it.
//
// # Fairness
//
// The senders with something on offer stand in a ring. Select takes one
// transaction of each in turn, a sender's own in order of arrival. When a block
// has a sender's transaction, that sender goes to the end of the ring; so with
// more senders than places in a block every one has its turn, and a sender's
// throughput does not grow with what it has waiting.
package mempool
