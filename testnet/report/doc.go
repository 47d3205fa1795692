// Package report turns what the peers of a network saw of its blocks into the
// propagation report that people and scripts read: per block, how many peers
// accepted it, how long after its header's time, over how many hops, and by which
// road it came.
//
//	peer-0's log ─┐
//	peer-1's log ─┼─ ReadLog ─ []Fact ─ Merge ─ []Block ─ Report ─ table, JSON
//	peer-2's log ─┘
//
// What is made of latencies and roads (Spread), how a figure that need not be known is
// written (Figure), and how tables are laid out (Column) serves runs of scenarios too:
// package outcome has other facts and other columns, and the same way from one to the
// other.
//
// The facts are the "block accepted" lines of the peers' JSON logs, one per peer
// and block. Whether the ledgers agree is not in the logs: the caller asks the
// peers and sets Report.Agree.
//
// Invariants:
//
//   - A peer counts once for a block, by the first line that it wrote: a peer that
//     is killed between accepting a block and storing it accepts it again.
//   - The producer's own acceptance (via "own") counts as a peer, never in a
//     latency: nothing travelled.
//   - Two blocks at one height stay two rows. A fork is never averaged away.
//
// Percentiles are by nearest rank: the p95 of seven latencies is the largest.
package report
