//go:build !linux

package ledger

import "os"

// nextData takes all bytes for data.
func nextData(_ *os.File, from int64) int64 { return from }
