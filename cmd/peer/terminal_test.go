package main

import (
	"fmt"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/spf13/cobra"

	"grapevine/api/apipb"
	"grapevine/cmd/internal/cli/clitest"
	"grapevine/dissemination/arrival"
	"grapevine/testnet/report"
)

// What is shown of a block that a peer accepts is one line, in a terminal of 80 characters
// too, and when all is said.
func TestWatchedLinesFit(t *testing.T) {
	plain := func(_, text string) string { return text }
	const id = "12D3KooWQu2BKLSYmeTaZn7LCLzxDNvpRypyhyKNgUi12AKF7ocK"
	for _, c := range []struct {
		narrow bool
		width  int
	}{{true, 80}, {false, wide}} {
		w := watcher{paint: plain, narrow: c.narrow, names: map[string]string{id: "peer 99"}}
		for _, via := range []arrival.Via{arrival.Own, arrival.Push, arrival.Pull, arrival.CatchUp} {
			line := fmt.Sprintf("15:04:05.000  peer %-2d  ", 99) + w.fact(&report.Fact{
				Height: 99999, Txs: 10000, Bytes: 1023 << 10, Via: via, From: id, Hop: 10, Latency: 99999 * time.Millisecond, Missing: 10000, Duplicates: 99.99,
			})
			if n := utf8.RuneCountInString(line); n > c.width {
				t.Errorf("%d characters in %d: %s", n, c.width, line)
			}
		}
	}
}

// Tables for people fit 80 characters, whatever is in them, but for texts.
func TestTablesFit(t *testing.T) {
	id, peerID := strings.Repeat("ab", 32), "12D3KooWQu2BKLSYmeTaZn7LCLzxDNvpRypyhyKNgUi12AKF7ocK"
	var members []*apipb.Member
	for range 3 {
		members = append(members, &apipb.Member{PeerId: peerID, State: "suspect", Neighbour: true, Height: 123456, Base: 1, Software: "grapevine/0.1.0", Addrs: []string{"/ip4/127.0.0.1/udp/22716/quic-v1"}})
	}
	var out strings.Builder
	if err := report.WriteAligned(&out, 80, memberColumns, members); err != nil {
		t.Fatal(err)
	}
	status := peerStatus{Peer: 199, State: "not ready", Height: 123456, TipID: id, Neighbours: 127, PoolTxs: 100000, Memory: 1 << 30, PID: 4194304, API: "127.0.0.1:28238"}
	if err := report.WriteAligned(&out, 80, peerColumns, []peerStatus{status}); err != nil {
		t.Fatal(err)
	}
	status.State = "down"
	var down strings.Builder
	if err := report.WriteAligned(&down, 80, peerColumns, []peerStatus{status}); err != nil || strings.Count(down.String(), "–") < 3 || strings.Contains(down.String(), "123456") {
		t.Errorf("of a peer that is down it says\n%s", &down)
	}
	statusTable(&out, &apipb.GetStatusResponse{PeerId: peerID, GenesisId: id, ChainId: strings.Repeat("x", 60), Orderer: peerID, TipId: id, Addrs: []string{"/ip4/192.168.100.100/udp/29701/quic-v1/p2p/" + peerID}})
	blockTable(&out, &apipb.Block{Header: &apipb.Header{Id: id, Parent: id, TxRoot: id, Producer: id}, Fact: &apipb.Fact{Via: "catch-up", From: peerID, Latency: 123456789, Missing: 10000, Duplicates: 99.99}})
	for line := range strings.Lines(out.String()) {
		line = strings.ReplaceAll(strings.TrimSuffix(line, "\n"), "\t", "  ")
		if n := utf8.RuneCountInString(line); n > 80 {
			t.Errorf("%d characters: %s", n, line)
		}
	}
}

// Help fits 80 characters, of every command, but for examples.
func TestHelpFits(t *testing.T) {
	check := func(name, text string) {
		text, _, _ = strings.Cut(text, "\nExamples:")
		for line := range strings.Lines(text) {
			if n := utf8.RuneCountInString(strings.TrimSuffix(line, "\n")); n > 80 && strings.Contains(strings.TrimSpace(line), " ") { // an address alone cannot be broken
				t.Errorf("%s, %d characters: %s", name, n, line)
			}
		}
	}
	clitest.Leaves(newRoot(), func(words []string, c *cobra.Command) {
		check(c.CommandPath(), c.Long)
		_, flags, _ := strings.Cut(c.UsageString(), "\nFlags:")
		check(c.CommandPath()+"'s flags", flags)
	})
	for _, topic := range []string{"settings", "exit-codes"} {
		c, _, err := newRoot().Find([]string{topic})
		if err != nil {
			t.Fatal(err)
		}
		check(topic, c.Long)
	}
}
