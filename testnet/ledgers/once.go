package ledgers

import (
	"context"
	"fmt"
	"maps"
	"slices"

	"grapevine/api"
	"grapevine/api/apipb"
	"grapevine/block"
)

// Payloads checks that each payload stands in every ledger as often as in the
// list. Other payloads do not matter.
func Payloads(ctx context.Context, peers []Peer, payloads [][]byte) (Finding, error) {
	want := map[string]int{}
	for _, p := range payloads {
		want[string(p)]++
	}
	return count(ctx, peers, want, api.TxsFull, func(b *apipb.Body, saw func(string)) {
		for _, t := range b.GetTransactions() {
			saw(string(t.Payload))
		}
	})
}

// Present checks that each transaction stands in every ledger exactly once.
func Present(ctx context.Context, peers []Peer, ids []block.ID) (Finding, error) {
	want := map[string]int{}
	for _, id := range ids {
		want[id.String()] = 1
	}
	return count(ctx, peers, want, api.TxsIDs, func(b *apipb.Body, saw func(string)) {
		for _, id := range b.GetTxIds() {
			saw(id)
		}
	})
}

// count reads every ledger to its tip and compares how often each of the wanted
// stands in it.
func count(ctx context.Context, peers []Peer, want map[string]int, txs string, list func(b *apipb.Body, saw func(string))) (Finding, error) {
	var f Finding
	states, err := statuses(ctx, peers)
	if err != nil {
		return f, err
	}
	got := make([]map[string]int, len(peers))
	err = each(peers, func(i int, p Peer) error {
		got[i] = make(map[string]int, len(want))
		return blocks(ctx, p, states[i].Height, txs, func(b *apipb.Block) {
			list(b.Body, func(key string) {
				if _, wanted := want[key]; wanted {
					got[i][key]++
				}
			})
		})
	})
	if err != nil {
		return f, err
	}
	keys := slices.Sorted(maps.Keys(want))
	for i, p := range peers {
		f.Height = max(f.Height, states[i].Height)
		for _, key := range keys {
			if n := got[i][key]; n != want[key] {
				f.add("%s has %s %s, want %s", p.Name, shown(key), times(n), times(want[key]))
			}
		}
	}
	return f, nil
}

func shown(key string) string {
	const most = 64 // an ID, or enough of a line to find it
	if len(key) > most {
		return fmt.Sprintf("%q…", key[:most])
	}
	return fmt.Sprintf("%q", key)
}

func times(n int) string {
	switch n {
	case 0:
		return "not at all"
	case 1:
		return "once"
	}
	return fmt.Sprintf("%d times", n)
}
