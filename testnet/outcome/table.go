package outcome

import (
	"io"
	"slices"
	"strconv"

	"grapevine/testnet/report"
)

// played are the columns that say what was run.
var played = []report.Column[Row]{
	{Head: "protocol", Cell: func(r Row) string { return r.Protocol }},
	{Head: "world", Cell: func(r Row) string { return r.World }},
	{Head: "peers", Cell: func(r Row) string { return strconv.Itoa(r.Peers) }, Spare: 6},
	{Head: "blocks", Cell: func(r Row) string { return strconv.Itoa(r.Blocks) }, Spare: 3},
}

// Columns are what a run of blocks is shown by, in a terminal and in documents.
var Columns = slices.Concat(played, []report.Column[Row]{
	{Head: "by push", Cell: func(r Row) string { return r.Coverage.Percent() }, Spare: 1},
	{Head: "p50", Cell: func(r Row) string { return r.P50.Millis() }},
	{Head: "p90", Cell: func(r Row) string { return r.P90.Millis() }},
	{Head: "p99", Cell: func(r Row) string { return r.P99.Millis() }},
	{Head: "max", Cell: func(r Row) string { return r.Max.Millis() }},
	{Head: "bytes/peer", Cell: func(r Row) string { return r.BytesPerPeer.Size() }},
	{Head: "per body byte", Cell: func(r Row) string { return r.Redundancy.Times() }, Spare: 2},
	{Head: "duplicates", Cell: func(r Row) string { return r.Duplicates.Times() }, Spare: 4},
	{Head: "idle/peer/s", Cell: func(r Row) string { return r.Idle.Size() }, Spare: 6},
	{Head: "busiest up", Cell: func(r Row) string { return r.Busiest.Times() }, Spare: 6},
	{Head: "orderer up", Cell: func(r Row) string { return r.Orderer.Times() }, Spare: 6},
	{Head: "hops", Cell: func(r Row) string { return r.HopMax.Count() }, Spare: 5},
})

// quiet are the columns of runs without blocks.
var quiet = slices.Concat(played, []report.Column[Row]{
	{Head: "bytes/peer/s", Cell: func(r Row) string { return r.BytesPerPeer.Size() }},
	{Head: "crash noticed by all after", Cell: func(r Row) string { return r.noticed().Millis() }},
})

// WriteTable writes runs for people, a row each. In a width of so many characters, 0 for
// any, it leaves out columns that do not fit, and says so.
func WriteTable(w io.Writer, width int, rows []Row) error {
	if slices.ContainsFunc(rows, func(r Row) bool { return r.Blocks > 0 }) {
		return report.WriteAligned(w, width, Columns, rows)
	}
	return report.WriteAligned(w, width, quiet, rows)
}
