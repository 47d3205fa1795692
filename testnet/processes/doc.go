// Package processes runs networks of real peer processes on one machine, over the
// loopback interface. The processes outlive the command that started them: what is
// known of them is in a file, so another shell can look after them.
//
//	DIR/testnet.json     the peers: addresses, process IDs, start times
//	DIR/testnet.lock     held by whoever is changing the network
//	DIR/client.key       signs what people submit
//	DIR/acknowledged     IDs of the transactions that peers acknowledged
//	DIR/peer-0/ …        home directories; 0 is the orderer
//	DIR/peer-0/peer.log  JSON log lines, over all restarts
//
// Invariants:
//
//   - A process is known by its ID and its start time together. Process IDs are
//     used again by the system; no signal goes to a process that is not ours.
//   - testnet.json is replaced whole. Whoever changes it holds the lock, and reads
//     it again under the lock.
//   - Each peer leads a session of its own, so neither a closed terminal nor Ctrl-C
//     reaches it.
//   - A network that could not be brought up whole is taken down whole.
//
// Run is the world "processes": it plays a scenario, and leaves no process behind.
//
//	scenario.Plan ──▶ Run ── kill, start ──▶ processes ◀── transactions ── load
//	                   │                        │ API: heights, the chain, counters
//	outcome.Outcome ◀──┴── finish ◀─────────────┴ logs: what came when, and how
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
