// Package cli is what the programs have in common on the command line: values of flags,
// exit codes, the form of what they print, progress, and how a program begins and ends.
//
// Data goes to standard output, as a table or with -o json; progress and errors go to
// standard error. An error says by itself with which code it ends the program:
//
//	cli.Usage, NotFound, Refused, Wrong …(err) ──▶ ExitCode ──▶ Main
package cli
