package message

import (
	"encoding/binary"

	"grapevine/coding"
)

// maxLeaves is more than any coded string has.
const maxLeaves = 1 << 16

// packRuns writes ascending runs, each as the gap before it and its length. Runs that touch
// are one.
func packRuns(runs []Run) []byte {
	var out []byte
	end := 0
	for _, r := range runs {
		out = binary.AppendUvarint(out, uint64(r.First-end))
		out = binary.AppendUvarint(out, uint64(r.Count))
		end = r.First + r.Count
	}
	return out
}

// unpackRuns reads what packRuns wrote: at most MaxRuns, below maxLeaves.
func unpackRuns(b []byte) (runs []Run, err error) {
	end := 0
	for len(b) > 0 {
		var v [2]int
		for i := range v {
			x, n := binary.Uvarint(b)
			if n <= 0 || n > 1 && b[n-1] == 0 || x > maxLeaves {
				return nil, malformed("runs out of order")
			}
			v[i], b = int(x), b[n:]
		}
		if v[1] == 0 || v[0] == 0 && end > 0 || end+v[0]+v[1] > maxLeaves || len(runs) == MaxRuns {
			return nil, malformed("a run of %d leaves from %d on, after %d runs", v[1], end+v[0], len(runs))
		}
		runs = append(runs, Run{end + v[0], v[1]})
		end += v[0] + v[1]
	}
	return runs, nil
}

func packNodes(nodes []coding.Hash) []byte {
	var out []byte
	for _, n := range nodes {
		out = append(out, n[:]...)
	}
	return out
}
