// Package spread is the protocol core for coded blocks: how the list and the body of one,
// which are strings under roots in its signed header (packages block and coding), reach every
// peer in pieces.
//
//	producer            a relay                          all others
//	   │ Shards, pass ──────▶│ Shards ────────────────────────▶│   each leaf to one relay,
//	   │◀── Got ─────────────│                                 │   which passes it on at once
//	   │                     :                                 │   rebuild from any k symbols
//	   │◀── Enough ───────────────────────────────────────────│   what lacked, what was late
//	   :                                                       :
//	   │◀── Ask(leaves) ───────────────────────────────────────│   after a silence
//	   │ Shards, pass ──▶ one of those that ask ── Shards ────▶│   what many lack
//	   │ Shards ──────────────────────────────────────────────▶│   what one lacks
//
// The producer sends each leaf once, and every relay about as many: what leaves the producer
// is one body, and what leaves a relay is too. It is the spreading by delegation of Turbine
// (Solana) and of Alpenglow's Rotor, of two levels, for networks in which all are neighbours
// of all. What parity repairs nobody asks for.
//
// There is one way for all blocks. Where others probably lack most of a block, all of its data
// goes, and some parity; where they have it in their pools, the list goes, and so much parity
// as fills in for what they lack (the idea is Bitcoin FIBRE's), the same for all. Which it is
// the producer decides for each block from how long its own pool has had the transactions and
// from what those that had enough said of the last ones (source.go).
//
// Where not all are neighbours of all, a leaf goes along the tree of its stripe instead
// (stripes.go), and what does not come is looked for among the neighbours (repair.go):
//
//	producer       root of a stripe       a parent                  a child
//	   │ Shards, striped ──▶│ Shards ───────▶│ Shards ─────────────────▶│
//	   │◀── Got ────────────│                │                          │
//	   :                    :                │◀── Graft(stripes) ───────│   whose age is least
//	   :                    :                │ Stripes(ages, load) ────▶│   to all, when it is news
//	   │◀── Need(leaves) ──────────────────────────────────────────────│   to all, of what is overdue
//	   :                                     │ Have(leaves) ───────────▶│   and then an Ask, and a Graft
//
// Invariants:
//
//   - Leaves are passed on once, and only those that the producer itself sent for that; in
//     stripes when they come for the first time.
//   - The core hears of a known block's leaves only after they were checked against its root.
//   - A question is answered with leaves or with a refusal; the producer alone passes over
//     those for leaves that relays are bringing. Nobody is asked twice for what it may yet bring.
//   - The producer sends no faster than relays say that they got what it sent (pacer.go), and
//     gives what one of them is silent about to another.
//
// The core is sans-IO, as package fresh is: one goroutine owns it and tells it the time. It
// knows numbers of leaves, and no bytes but those that come along and are passed on as they
// came.
package spread
