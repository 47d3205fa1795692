// Package logline has the messages of those log lines that programs read again: a
// testnet's reports, and the laboratory's runs of real processes.
package logline

// The messages.
const (
	BlockAccepted = "block accepted" // with arrival.Accepted.Attrs
	NodeStarted   = "node started"
	PeerCutOff    = "peer cut off" // with "peer", its ID, and why
)
