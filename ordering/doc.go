// Package ordering decides what the next block is. It holds the rule for when a
// batch of transactions is a block (Cutter), the one orderer of a solo network
// (Solo), the file that keeps that orderer from ever signing two blocks at one
// height (Lock), and the proof against one that did (Evidence).
//
//	pool ─ Pending ─▶ Cutter ─ cut ─▶ Select ─▶ draft ─▶ check ─▶ sign ─▶ Lock, synced ─▶ propose
//	                                                                                        │
//	       the pool hears of the block ◀─── the ledger has it, the tip is the block ◀───────┘
//
// # What holds at all times
//
//   - A signature leaves this package only after the lock file names the block, and
//     holds all of its bytes, synced. At each height the lock names one block, so a
//     crash anywhere leads to that same block being proposed again, never another.
//
//   - A block that breaks a rule is not signed: a draft goes through the checks that
//     every peer will make.
//
//   - A lock that does not fit the ledger signs nothing:
//
//     lock              ledger                 Solo
//     height h, block   tip is that block      signs h+1
//     height h+1, block tip is its parent      proposes the lock's block again
//     ahead otherwise   behind                 waits for catch-up
//     behind            ahead, or another      waits for the operator: the lock was
//     block at its height    restored from a copy, or two nodes have this key
package ordering
