// Package ledger keeps the chain: blocks, an index of their transactions, and the
// tip, in a Badger database that no other package sees.
//
// # What is stored
//
//	key                          value
//	"meta"                       format version (4), genesis ID (32)
//	"tip"                        height (8), block ID (32)
//	'h' ‖ height (8)             signed header (286)
//	'b' ‖ height (8) ‖ part (2)  body, in parts of 256 KiB
//	'i' ‖ block ID (32)          height (8)
//	'x' ‖ transaction ID (32)    height (8), index in the block (4), offset in the body (4), size (4)
//
// Integers are big-endian, so keys sort by height. Nothing else may be in the
// database: Verify names whatever is. On disk, values of 1 KiB and more, which
// are the bodies, go to Badger's value log and are written once; the keys and
// the small values go through its LSM tree.
//
// # Appending
//
// Append takes exactly the block that follows the tip. Its steps, and what a crash
// after each leaves behind:
//
//  1. Check: parent, height, time, no transaction twice in the chain. Reads only.
//  2. All keys of the block go into one Badger transaction, in memory.
//  3. Badger writes the body to the value log and syncs it. A crash leaves bytes
//     there that nothing points to.
//  4. Badger writes the keys to its write-ahead log, with an end mark, and syncs.
//     A crash before the end mark is whole drops all of the keys at the next open;
//     after it, the block is there.
//  5. The directory is synced when Badger has made files in it. Badger does not.
//  6. The tip moves in memory, the block enters the cache, Advanced fires, and
//     Append returns.
//
// Reads never look beyond the tip of step 6. When step 3, 4 or 5 fails, what is on
// disk is unknown until it is read again, so the ledger takes no further block
// (ErrFailed) and whoever runs it restarts: opening again is the recovery, and it
// finds either the old tip or the new one, whole.
//
// # Opening
//
// One process holds a directory at a time. Opening looks at the files before Badger
// does, because Badger takes what it cannot read for the end of a file, cuts it off
// or goes on without it, and removes what its manifest does not list. A manifest that
// is missing or has lost tables, a table with a damaged block (all are read: a GB holds
// the index of 10 million transactions), a write-ahead log with whole transactions
// behind a bad place, and a value log that breaks off before the end of what is in use
// are refused (ErrCorrupt) and left as they are. What only a crash leaves behind is cut
// off: of a block that was being written, and was not acknowledged. Then the
// metadata must be this network's, and the tip's block whole and consistent with the
// indexes. Verify checks everything, offline, and changes nothing: it has Badger open
// copies of the files that Badger would write to.
//
// # Memory
//
// An open ledger costs about 2 MB and 12 goroutines until there are blocks; then two
// or three memtables (7 MiB each with the default limits) and the cache of recent
// blocks. Pages of the mapped files count as resident too, but the system takes them
// back when it needs them.
package ledger
