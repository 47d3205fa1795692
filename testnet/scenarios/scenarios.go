// Package scenarios is the library of named scenarios, one file each: what they are
// about stands in them, and testnet/scenario reads them.
package scenarios

import "embed"

// Files are the scenarios, NAME.toml each.
//
//go:embed *.toml
var Files embed.FS
