package genesis

import (
	"slices"
	"strings"
	"testing"

	"grapevine/block"
	"grapevine/block/sig"
)

func TestProducer(t *testing.T) {
	g, err := New(Genesis{
		ChainID: "net", Ordering: Ordering{Type: "solo", Orderer: peerID(1)},
		Admission: Admission{Type: "list", Peers: []string{peerID(2)}},
	})
	if err != nil {
		t.Fatal(err)
	}
	if got := g.Named(); !slices.Equal(got, []string{peerID(1), peerID(2)}) || len(g.Admission.Peers) != 1 {
		t.Errorf("named are %q", got)
	}
	key, other := sig.NewKey([32]byte{1}), sig.NewKey([32]byte{2})
	signed := func(k sig.Key, f func(*block.Header)) *block.SignedHeader {
		h := block.Header{Genesis: g.ID(), Height: 7, Producer: k.Public()}
		f(&h)
		s := k.SignHeader(h)
		return &s
	}
	asIs := func(*block.Header) {}
	for _, c := range []struct {
		name string
		h    *block.SignedHeader
		want string // "" for none
	}{
		{"the orderer's", signed(key, asIs), ""},
		{"another's", signed(other, asIs), "height 7 is by " + peerID(2) + ", not by the orderer " + peerID(1)},
		{"another's in his name", signed(other, func(h *block.Header) { h.Producer = key.Public() }), "wrong signature"},
		{"of another network", signed(key, func(h *block.Header) { h.Genesis = block.ID{9} }), "belongs to network 09"},
	} {
		err := g.CheckProducer(c.h)
		if c.want == "" && err != nil || c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
			t.Errorf("%s: error is %v, want %q", c.name, err, c.want)
		}
	}
}
