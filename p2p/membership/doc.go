// Package membership is what a peer knows of the others, and the choice of those it
// keeps a connection to. It is a core: a plain struct that one goroutine owns, that
// is told what happens and when, and that says in effects what is to be done.
//
// # Records
//
// What a peer says of itself is one Record under one version, signed whole. A relay
// can neither change it nor leave out a part. Of two records of an owner the one with
// the higher incarnation is newer, then the one with the higher version. A liar who
// signs two under one version splits nobody: messages name records by a hash too, and
// all keep the one whose hash is higher. Incarnations are kept by the driver; when a
// record of one's own comes back that this start did not write, the incarnation is
// raised above it.
//
// # Exchange
//
// Once a second a peer exchanges views with a random neighbour (Scuttlebutt, van
// Renesse et al. 2008, in the three messages of Cassandra, behind a checksum):
//
//	A                                    B
//	── Check: checksum, heartbeats ──▶
//	◀── Check: "the same", heartbeats ──      when the checksums agree; or else
//	◀── Digest: versions, heartbeats ──
//	── Delta: what B lacks, what A wants ──▶
//	◀── Delta: what A wants ──
//
// Each message has a budget in bytes. What does not fit waits for another exchange:
// those furthest behind come first (scuttle-depth), and a digest that does not fit is
// that of a range of keys from a random place on.
//
// # Life and death
//
// Heartbeats are no part of records or checksums. Each is a link of a hash chain that
// the record anchors, so a relay can pass it on and not make it, and no relay is blamed
// for it; each is passed on a few times, as rumours are. A member that gives no sign of
// life is suspected, then taken for dead; a live connection of one's own is always a
// sign of life. Leaving is said, in a record. The dead are remembered for a while, and
// tried now and then, since it may be our side that was cut off.
//
// # Hearsay
//
// Identities are free, so a record proves no peer. Until a connection has shown that
// its owner exists a record is tentative: not counted, not drawn, bounded in number
// and per address group, dialled a few at a time, and forgotten when that is in vain.
//
// # Neighbours
//
// Up to 128 members all are neighbours. Above that 64 are drawn, first an address
// group, then one of its members, and one is exchanged each minute. Bootstrap peers
// that are not known to live are dialled for ever.
//
// Invariants: every list and table has a bound; members are gone through in the order
// of their keys, so that the same seed and events give the same effects; only the
// owner's word or a connection brings back who was given up.
package membership
