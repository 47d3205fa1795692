package api

// What one SubmitTxs may hold. They bound the memory that a request can take, and
// are far above what is worth sending at once.
const (
	MaxSubmitTxs   = 10_000
	MaxSubmitBytes = 4 << 20
)

// maxAnswerBytes bounds what a client reads of one answer: the largest block that
// any genesis allows, raw and as 100,000 full transactions.
const maxAnswerBytes = 128 << 20

// The status of a submitted transaction.
const (
	StatusAccepted  = "accepted"  // journalled here, and on its way to all pools
	StatusDuplicate = "duplicate" // in the pool already
	StatusCommitted = "committed" // in the chain already; also a looked-up transaction's
	StatusRefused   = "refused"
)

// The status of a looked-up transaction, besides StatusCommitted.
const (
	StatusPending = "pending"
	StatusUnknown = "unknown"
)

// How much of a block's transactions a request asks for.
const (
	TxsNone = "none"
	TxsIDs  = "ids"
	TxsFull = "full"
)
