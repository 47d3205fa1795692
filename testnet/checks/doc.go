// Package checks holds what happened in a run against what must be true of every run, and
// against the bounds of its scenario, whatever world it ran in:
//
//	scenario.Plan ──┐
//	                ├── Judge ──▶ breaches, each a text that names check, peers and values
//	outcome.Outcome ┘
//
// Peers that can be asked are asked by package ledgers.
package checks
