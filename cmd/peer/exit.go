package main

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
	exitOK          = 0
	exitFailed      = 1
	exitUsage       = 2
	exitNotFound    = 3
	exitUnreachable = 4
	exitRefused     = 5
	exitWrong       = 6
	exitTimeout     = 7
)

const exitHelp = `Every command ends with one of these codes:

  0  it did what it was told
  1  it failed; the message on standard error says at what
  2  wrong usage: an unknown command, flag or value
  3  not found: a transaction, a block, a home directory, a testnet, an input file
  4  unreachable: no peer answers at the address
  5  refused: what is there already was left alone, or a peer refused a transaction
  6  a check found something wrong: a damaged ledger, ledgers that differ, a missing line
  7  time ran out before what was waited for happened
`

// exitError is an error that ends the command with a code of its own.
type exitError struct {
	code int
	error
}

func (e exitError) Unwrap() error { return e.error }

func usage(err error) error    { return exitError{exitUsage, err} }
func notFound(err error) error { return exitError{exitNotFound, err} }
func refused(err error) error  { return exitError{exitRefused, err} }
func wrong(err error) error    { return exitError{exitWrong, err} }

func usagef(format string, args ...any) error { return usage(fmt.Errorf(format, args...)) }

// exitCode returns the code for an error of a command that had begun to run.
func exitCode(err error) int {
	var coded exitError
	var network *net.OpError
	switch {
	case err == nil:
		return exitOK
	case errors.As(err, &coded):
		return coded.code
	case api.NotFound(err):
		return exitNotFound
	case errors.As(err, &network) && network.Op != "listen", connect.CodeOf(err) == connect.CodeUnavailable:
		return exitUnreachable
	case errors.Is(err, context.DeadlineExceeded):
		return exitTimeout
	}
	return exitFailed
}
