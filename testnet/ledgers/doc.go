// Package ledgers asks the peers of a network whether it kept its promises: that
// the ledgers agree on every block, that what was acknowledged is in all of them,
// and that it is there once.
//
// A check first waits for the network to come to rest, so that what it then reads
// is one state and not several:
//
//	Quiet     every pool is empty and every peer is at the same height
//	Agree     every peer has the same block at every height
//	Payloads  every payload stands in every ledger as often as it was handed in
//	Present   every transaction stands in every ledger exactly once
//
// Everything is read through the peers' APIs, from their ledgers, block by block;
// nothing is concluded from one peer about another.
package ledgers
