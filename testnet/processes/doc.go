// Package processes is the world of real peers: it plays a scenario with processes on this
// machine, a network of package local, and leaves none of them behind.
//
//	scenario.Plan ──▶ Run ── kill, start ──▶ processes ◀── transactions ── load
//	                   │ (course.Course         │ API: heights, the chain, counters
//	outcome.Outcome ◀──┤  says when)            │ logs: what came when, and how
//	                   └── finish ◀─────────────┘
//
// How it takes what a scenario says:
//
//   - A planned block is its transactions, handed in with one request when it is due to
//     the orderer, the real one, whose block_max_txs is that many. It makes the block when
//     they have been with it for a third of block_timeout, 100 ms; by then gossip has
//     brought them to the pools. So warm is not heeded, and whatever warm says it is
//     nearly 1.
//   - Links, classes and regions are not heeded; faults that need links are refused.
//   - A crash is SIGKILL. A peer is there from when its process is started, so that the
//     time that it takes to come up is in its latencies.
//   - Latencies are what the peers measured. The clock is one.
//   - What is counted is what the peers count: the bytes of frames and of GossipSub's
//     messages, and 5 % for what is around them, from just before the first block is
//     handed in until a second after all have come to rest, the transactions' own way
//     included. A peer is asked just before it is killed, so a little is missing.
//
// Nothing here repeats: processes and disks are not in the seed's hand. The plan is.
package processes
