//go:build !unix

package ledger

// checkHeld leaves it to Badger, whose lock is of another kind here.
func checkHeld(string) error { return nil }
