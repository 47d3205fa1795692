package cli

import (
	"context"
	"errors"
	"fmt"
	"net"

	"connectrpc.com/connect"

	"grapevine/api"
)

// The exit codes. Scripts branch on them, so a number never changes its meaning.
const (
	ExitOK          = 0
	ExitFailed      = 1
	ExitUsage       = 2
	ExitNotFound    = 3
	ExitUnreachable = 4
	ExitRefused     = 5
	ExitWrong       = 6
	ExitTimeout     = 7
)

const exitHelp = `Every command ends with one of these codes:

  0  it did what it was told
  1  it failed; the message on standard error says at what
  2  wrong usage: an unknown command or flag, a value or setting that cannot be
  3  not found: a transaction, a block, a home, a testnet, an input file
  4  unreachable: no peer answers at the address
  5  refused: what was there is left alone, or a transaction is not taken
  6  a check failed: a damaged ledger, ledgers that differ, a missing line
  7  time ran out before what was waited for happened
`

// exitError is an error that ends the command with a code of its own.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

// Usage gives an error the code for wrong usage, and so on.
func Usage(err error) error       { return exitError{ExitUsage, err} }
func NotFound(err error) error    { return exitError{ExitNotFound, err} }
func Unreachable(err error) error { return exitError{ExitUnreachable, err} }
func Refused(err error) error     { return exitError{ExitRefused, err} }
func Wrong(err error) error       { return exitError{ExitWrong, err} }

// Usagef makes an error of wrong usage.
func Usagef(format string, args ...any) error { return Usage(fmt.Errorf(format, args...)) }

// ErrSaid is wrapped by errors whose text is on standard output already.
var ErrSaid = errors.New("said above")

// ExitCode returns the code for an error of a command that had begun to run.
func ExitCode(err error) int {
	var coded exitError
	var network *net.OpError
	switch {
	case err == nil:
		return ExitOK
	case errors.As(err, &coded):
		return coded.code
	case api.NotFound(err):
		return ExitNotFound
	case errors.As(err, &network) && network.Op != "listen",
		connect.CodeOf(err) == connect.CodeUnavailable && !connect.IsWireError(err): // else it answered, that it is busy
		return ExitUnreachable
	case errors.Is(err, context.DeadlineExceeded):
		return ExitTimeout
	}
	return ExitFailed
}
