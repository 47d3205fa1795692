// Package node is the composition root: it opens a node's parts, joins them, and
// runs them until they are told to stop.
//
//	n, err := node.New(node.Config{Genesis: g, Key: key, Dir: home, Listen: …})
//	…
//	err = n.Run(ctx) // blocks; cancel ctx to stop
//
// Order of opening: ledger, pool and its journal, network, dissemination, orderer, API. Run
// starts one goroutine for each part; they end together, and everything is closed in reverse.
// A part that fails ends the node, and a restart is the recovery: whatever was
// reported durable is found again.
package node
