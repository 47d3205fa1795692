// Command lab plays scenarios: networks of peers, in virtual time or of real processes,
// with one protocol after another, measured and compared.
//
//	scenario.go   a scenario under the flags that count over it, and its world
//	run.go        lab run: play, compare, draw, judge
//	place.go      where networks of real processes are, and the program that they run
//	list.go       lab list
//	adversary.go  lab adversary: hostile peers in a testnet of real ones
//	bench.go      lab bench: the comparisons that the documents show, in package bench
//
// The node's own program is cmd/peer, which has nothing of this.
package main

import (
	"github.com/spf13/cobra"

	"grapevine/cmd/internal/cli"
	"grapevine/testnet/packets"
)

func main() {
	packets.Child() // in the process of a simulation, all there is to do
	var p place
	cli.Main(newRoot(worlds(&p), &p))
}

func newRoot(of []world, p *place) *cobra.Command {
	return cli.Root(&cobra.Command{
		Use:   "lab",
		Short: "Networks of peers under scenarios, measured and compared",
		Long: `Networks of peers under scenarios: what a scenario describes is played with one
protocol after another, on the same network with the same faults, and measured. In the
world "events" the protocols' cores run alone, over modelled links, to the bit the same
each time; in the world "packets" whole nodes run over simulated packets; both in virtual
time. In the world "processes" real peers run on this machine.`,
		Example: `  lab list
  lab run
  lab run loss --protocol grapevine --plot loss.html
  lab run crash --world processes --peers 10
  lab adversary`,
	}, runCommand(of, p), listCommand(), benchCommand(), adversaryCommand(p))
}
