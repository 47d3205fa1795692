package grapevine

import (
	"fmt"
	"os/exec"
	"slices"
	"strings"
	"testing"
)

// laboratory is what the node's program may not link, not even through others: packages
// by their paths, with all that is below them.
var laboratory = []struct{ path, why string }{
	{"testing", "a node is no test"},
	{"github.com/marcopolo/simnet", "a node's network is real"},
	{"gonum.org", "a node draws nothing"},
	{"github.com/go-echarts", "a node draws nothing"},
	{"grapevine/cmd/lab", "the laboratory has a program of its own"},
	{"grapevine/testnet/baseline", "a node speaks one protocol"},
	{"grapevine/testnet/checks", "a run is judged in the laboratory; peers are asked by testnet/ledgers"},
	{"grapevine/testnet/course", "scenarios are the laboratory's"},
	{"grapevine/testnet/events", "simulated networks are the laboratory's"},
	{"grapevine/testnet/outcome", "runs of scenarios are the laboratory's; what logs say is testnet/report"},
	{"grapevine/testnet/packets", "simulated networks are the laboratory's"},
	{"grapevine/testnet/plot", "a node draws nothing"},
	{"grapevine/testnet/processes", "scenarios are the laboratory's; networks of processes are testnet/local"},
	{"grapevine/testnet/scenario", "scenarios are the laboratory's"},
	{"grapevine/testnet/scenarios", "scenarios are the laboratory's"},
}

// brokenLinks returns what a program links that it may not.
func brokenLinks(program string, links []string) []string {
	var out []string
	for _, l := range laboratory {
		if i := slices.IndexFunc(links, func(path string) bool { return within(path, l.path) }); i >= 0 {
			out = append(out, fmt.Sprintf("%s links %s: %s (go list -deps says what it links)", program, links[i], l.why))
		}
	}
	return out
}

func TestTheNodesProgramLinksNoLaboratory(t *testing.T) {
	const program = "./cmd/peer"
	out, err := exec.Command("go", "list", "-deps", program).Output()
	if err != nil {
		t.Fatalf("go list -deps %s: %v", program, err)
	}
	links := strings.Fields(string(out))
	if !slices.Contains(links, "grapevine/node") {
		t.Fatalf("%s links %d packages, and none of them is the node", program, len(links))
	}
	for _, b := range brokenLinks(program, links) {
		t.Error(b)
	}
}

func TestLinksCanBeBroken(t *testing.T) {
	for link, want := range map[string]int{
		"grapevine/node": 0, "internal/synctest": 0, "grapevine/testnet/report": 0, "testingother": 0,
		"testing": 1, "testing/synctest": 1, "gonum.org/v1/plot/vg": 1, "grapevine/testnet/scenarios": 1,
	} {
		if got := brokenLinks("p", []string{"fmt", link}); len(got) != want || want > 0 && !strings.Contains(got[0], link) {
			t.Errorf("of %s: %q, want %d complaints", link, got, want)
		}
	}
}
