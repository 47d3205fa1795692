// Package traffic hands transactions to the peers of a network, through their APIs or
// through whoever has them (Deliverer): the lines of a file, or a load at a rate.
//
//	lines ── Signer ── signed transactions ── Sender ── a random peer's API
//	                                             └── down, or late: the same bytes to another
//
// A transaction is signed once and keeps its bytes whatever peer it is handed to,
// so handing it in twice is harmless: the second peer answers "duplicate", or
// "committed", and both mean that the network has it. What was acknowledged can be
// written down, for a check that none of it was lost.
//
// The load is open-loop: what is due is sent when it is due, whether or not the
// network keeps up, so that a slow network cannot slow its own measurement down
// (the coordinated omission of Tene's "How NOT to Measure Latency").
package traffic
