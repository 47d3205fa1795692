// Package adversary is hostile peers, and what becomes of honest ones among them. A case is
// one way of misbehaving; its liars speak the real protocol, with keys of their own, to a
// testnet of real processes, while transactions are handed in and their way into every
// ledger is timed.
//
//	case.go    what a case is, and a liar, which is a host without a node
//	cases.go   the cases
//	probe.go   transactions, and how long each takes to stand at every peer
//	run.go     the calm case, then each other: one row a case, and what it broke
//
// What is not here: what needs the orderer's key (equivocation: package dissemination
// tests that), and what needs a broken libp2p (package p2p tests that with strangers).
package adversary
