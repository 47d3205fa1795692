// Package fresh is the protocol core for fresh blocks: how one peer learns of a
// block, passes it on, gets the transactions it lacks, and repairs what it missed.
//
// It is rumor mongering with anti-entropy behind it (Demers et al., "Epidemic
// Algorithms for Replicated Database Maintenance", PODC 1987, §1.3 and §1.4), and
// the rumor is a compact block (BIP 152): signed header and short IDs, from which
// a peer whose pool is warm rebuilds the block without asking anybody.
//
//	orderer            a neighbour                      its neighbours
//	   │ Announce ──────────▶│ Announce, hop+1 ──────────────▶│   once, to fanout others,
//	   │                     │                                │   before it holds the body
//	   │◀── Fetch(at …) ─────│◀──────────────── Fetch(at …) ──│   only for what the pool lacks
//	   │─── Part(at …) ─────▶│  keeps the request until it    │
//	   │                     │  has them, then ── Part(…) ───▶│   never silence: in half the
//	   │                     │  Whole, in height order        │   asker's time-out it says no
//	   │                     │  Accepted                      │
//	   :                     :                                :
//	   │◀──────────────────────── Pull(tip, have …) ──────────│   at once after a gap, else
//	   │───────────────────────── Announce, pulled ──────────▶│   every few seconds
//
// Invariants:
//
//   - A block is passed on at most once (infect and die), and only after the driver
//     has checked its header.
//   - At most one block per height is known above the tip; the orderer's second
//     header for a height is evidence, and the driver's business.
//   - At most one request per block is waited for; others have timed out, and what comes
//     of them is taken all the same. Every request that arrives is
//     answered with transactions or with a refusal.
//   - The list of IDs is served only after the body was checked against the header;
//     a transaction before that too, if it fits the block's short ID at its place.
//
// Blocks whose bodies are coded come otherwise, in networks in which all are neighbours of all:
// their announcement is the header alone, and package spread brings the rest.
//
// What becomes of a block is one life cycle, Stage.
//
// The engine is sans-IO: one goroutine owns it, tells it what happened and when,
// and carries out the effects that it asks for. It knows IDs, places, counts and
// sizes; the driver keeps the bytes.
package fresh
