// Package block holds the data that a Grapevine network agrees on: transactions,
// headers and blocks, their canonical bytes, their hashes, and every check that
// needs nothing but the bytes themselves.
//
// # Formats
//
// All integers are big-endian. Every format begins with its version. A decoder
// refuses whatever its encoder would not have written, so decode followed by
// encode gives the same bytes, and an ID names exactly one byte string.
//
// Transaction, version 1, 118 bytes and the payload:
//
//	offset  size  field
//	     0     1  version = 1
//	     1     1  kind: 0 payload, 1 configuration (refused for now)
//	     2    32  sender's Ed25519 public key
//	    34     8  nonce, chosen freely by the sender
//	    42     8  expiry: the last height at which it may stand, required
//	    50     4  payload length n
//	    54     n  payload
//	  54+n    64  signature over DomainTx ‖ genesis ID ‖ bytes 0 … 54+n
//
// Its ID is the SHA-256 of all of these bytes.
//
// Header, version 1, 222 bytes, in networks without coding; version 2, 230 bytes, in those
// with it:
//
//	offset  size  field
//	     0     1  version
//	     1    32  genesis ID
//	    33     4  parameters' number, 0: those of the genesis
//	    37     8  height, 1 for the first block
//	    45    32  parent's ID; at height 1 the genesis ID
//	    77     8  time, nanoseconds since 1970, greater than the parent's
//	    85     4  transaction count, at least 1
//	    89     4  body size in bytes
//	    93    32  Merkle root of the transaction IDs
//	   125    32  hash of the list of short IDs; with coding the root of its shards
//	   157     1  coding: 0 none; 1 Reed–Solomon, of bodies of more than 8 KiB in networks
//	              that have it, and of no others
//	   158    32  root of the body's shards, zero without coding
//	   190     4  symbols that the body takes, zero without coding; version 2 alone
//	   194     4  size of the list in bytes, zero without coding; version 2 alone
//	  last    32  producer's Ed25519 public key
//
// The block ID is the SHA-256 of the header. A signed header is the header and
// the producer's 64-byte signature over DomainHeader ‖ genesis ID ‖ header: 286 or
// 294 bytes. A block is a signed header and its body: the transactions' bytes, one
// after the other, each of which carries its own length.
//
// With coding, list and body are also what travels in pieces (package coding). The body's
// string has the transactions for items, so that each begins a symbol or lies within one.
// The list's string is the short IDs, and then the transactions' sizes in bytes, as runs of
// equal ones: how many, and the size, both in the shortest form of base 128 as protobuf
// writes it, and no run followed by one of the same size. Both roots are of a block that
// is valid what its transactions make them: a block with others can stand nowhere.
//
// # Hashes
//
// Transaction trees are those of RFC 6962 §2.1: SHA-256(0x00 ‖ ID) for a leaf,
// SHA-256(0x01 ‖ left ‖ right) for a node, so a leaf cannot pass for a node. A
// block that names a transaction twice is invalid.
//
// Short IDs are 48 bits of SipHash-2-4 over the transaction ID, keyed by the
// first 16 bytes of SHA-256(domainShortKey ‖ parent ID ‖ height ‖ transaction
// root): nobody can look for colliding transactions before the block is made.
// The header commits to the list, 6 bytes each, little-endian, as
// SHA-256(domainShortList ‖ list) or as above, so a relay cannot swap them. The idea of
// keyed short IDs is BIP 152's.
package block
