package baseline

import (
	"bytes"
	"context"
	"fmt"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"

	"grapevine/block"
	"grapevine/dissemination/arrival"
	"grapevine/p2p/wire"
	"grapevine/testnet/baseline/fabric"
)

// town is a network of peers that speak Fabric's gossip, in a bubble.
type town struct {
	t        *testing.T
	sim      *simnet.Simnet
	protocol fabric.Config
	bodies   Bodies
	ledgers  []*Ledger
	peers    []*FabricPeer
	cancel   []context.CancelFunc
	ended    []chan error
	ways     [arrival.CatchUp + 1]atomic.Int64
}

const townBody = 300_000

// live runs f in a bubble, with a network of n peers that are connected.
func live(t *testing.T, protocol fabric.Config, n int, f func(w *town)) {
	synctest.Test(t, func(t *testing.T) {
		w := &town{
			t: t, sim: &simnet.Simnet{LatencyFunc: simnet.StaticLatency(20 * time.Millisecond)}, protocol: protocol,
			peers: make([]*FabricPeer, n), cancel: make([]context.CancelFunc, n), ended: make([]chan error, n),
		}
		w.sim.Start()
		defer w.sim.Close()
		for i := range n {
			w.ledgers = append(w.ledgers, &Ledger{})
			w.open(i)
		}
		synctest.Wait()
		for i := range n {
			w.run(i)
		}
		time.Sleep(5 * time.Second)
		f(w)
		for i := range n {
			if err := w.stop(i); err != nil {
				t.Errorf("peer %d: %v", i, err)
			}
		}
	})
}

func (w *town) open(i int) {
	var err error
	w.peers[i], err = NewFabric(FabricConfig{
		Door: door(w.sim, i), Protocol: w.protocol, Random: uint64(i), MaxBody: townBody, Ledger: w.ledgers[i], Bodies: &w.bodies,
		OnBlock: func(r Received) {
			w.ways[r.Via].Add(1)
			if own := r.Via == arrival.Own; own != (r.From == "") || r.Bytes != townBody || r.Hop > 20 {
				w.t.Errorf("peer %d has %+v", i, r)
			}
		},
	})
	if err != nil {
		w.t.Fatal(err)
	}
}

// run has a peer take part, with all others for neighbours.
func (w *town) run(i int) {
	var others []string
	for k, p := range w.peers {
		if k != i {
			others = append(others, p.cfg.Listen+"/p2p/"+p.ID())
		}
	}
	ctx, cancel := context.WithCancel(w.t.Context())
	w.cancel[i], w.ended[i] = cancel, make(chan error, 1)
	go func() { w.ended[i] <- w.peers[i].Run(ctx, others) }()
}

func (w *town) stop(i int) error {
	w.cancel[i]()
	return <-w.ended[i]
}

// publish has peer 0 make blocks, half a second apart.
func (w *town) publish(n int) {
	height, _ := w.ledgers[0].Tip()
	for h := range n {
		body := bytes.Repeat([]byte{byte(height) + byte(h), 1, 2}, townBody/3)
		if err := w.peers[0].Publish(w.t.Context(), height+uint64(h)+1, body); err != nil {
			w.t.Fatal(err)
		}
		time.Sleep(500 * time.Millisecond)
	}
}

// wantAll wants all peers at a height.
func (w *town) wantAll(height uint64) {
	w.t.Helper()
	_, want := w.ledgers[0].Tip()
	for i, l := range w.ledgers {
		if h, id := l.Tip(); h != height || id != want {
			w.t.Errorf("peer %d is at height %d, %s: want %d, %s", i, h, id.Short(), height, want.Short())
		}
	}
	if got, want := len(w.bodies.byID), int(height); got != want {
		w.t.Errorf("%d bodies are kept, want %d", got, want)
	}
}

func TestLargeFabricOverStreams(t *testing.T) {
	for name, protocol := range map[string]fabric.Config{"fabric": fabric.Fabric(), "enhanced": fabric.Enhanced()} {
		t.Run(name, func(t *testing.T) {
			const peers, blocks = 8, 6
			live(t, protocol, peers, func(w *town) {
				w.publish(blocks)
				time.Sleep(15 * time.Second) // a pull and a check of heights
				w.wantAll(blocks)
				if own, push := w.ways[arrival.Own].Load(), w.ways[arrival.Push].Load(); own != blocks || push < (peers-1)*blocks*3/4 {
					w.t.Errorf("%d blocks are own, %d were pushed", own, push)
				}
				var again int64
				for i, p := range w.peers {
					again += p.Again()
					if p.Lost() > 0 {
						w.t.Errorf("peer %d lost %d messages", i, p.Lost())
					}
					for k, other := range w.peers {
						if n := len(p.host.Network().ConnsToPeer(other.host.ID())); k != i && n != 1 {
							w.t.Errorf("peer %d has %d connections to peer %d", i, n, k)
						}
					}
				}
				if again == 0 || again%townBody != 0 {
					w.t.Errorf("%d bytes came again", again)
				}
			})
		})
	}
}

// A peer that comes back has its chain, and fetches what it missed.
func TestLargeFabricPeerComesBack(t *testing.T) {
	live(t, fabric.Enhanced(), 6, func(w *town) {
		w.publish(2)
		time.Sleep(12 * time.Second)
		w.wantAll(2)
		if err := w.stop(5); err != nil {
			t.Error(err)
		}
		w.publish(3)
		time.Sleep(2 * time.Second) // nobody passes them on any more
		w.open(5)
		synctest.Wait()
		w.run(5)
		time.Sleep(4 * time.Second)
		w.publish(1)
		time.Sleep(12 * time.Second)
		w.wantAll(6)
		if n := w.ways[arrival.CatchUp].Load(); n < 3 {
			w.t.Errorf("%d blocks came by state transfer, want the three that were missed", n)
		}
	})
}

// Wrong messages end whoever gets them: there are none in a laboratory.
func TestLargeWrongMessagesAreTold(t *testing.T) {
	b := fabric.Block{ID: block.ID{1}, Height: 1, Size: 3}
	push := fabric.Push{Block: b}.AppendTo(nil)
	frame := func(m []byte) []byte {
		var out bytes.Buffer
		if err := wire.NewWriter(&out).Write(m); err != nil {
			t.Fatal(err)
		}
		return out.Bytes()
	}
	for want, raw := range map[string][]byte{
		"the body of block 1 is not that of 01000000": frame(append(push, 1, 2, 3)),
		"malformed message: kind 99":                  frame([]byte{99}),
		"reading the bodies stream":                   {0x7f, 0, 0, 0},
	} {
		live(t, fabric.Fabric(), 2, func(w *town) {
			s, err := w.peers[0].host.NewStream(w.t.Context(), w.peers[1].host.ID(), laneProtocol(wire.Bodies))
			if err != nil {
				w.t.Fatal(err)
			}
			if _, err := s.Write(raw); err != nil {
				w.t.Fatal(err)
			}
			select {
			case err = <-w.ended[1]:
			case <-time.After(time.Minute):
				w.cancel[1]()
				err = <-w.ended[1]
			}
			if err == nil || !strings.Contains(err.Error(), want) {
				w.t.Errorf("the peer ended with %v, want an error with %q", err, want)
			}
			w.ended[1] <- nil
		})
	}
}

func TestSendQueueDropsWhatFindsNoRoom(t *testing.T) {
	q := &sendQueue{wake: make(chan struct{}, 1)}
	for i := range sendBuffer + 3 {
		if got := q.put([]byte{byte(i)}); got != (i < sendBuffer) {
			t.Errorf("message %d is taken: %v", i, got)
		}
	}
	if m, ok := q.take(); !ok || m[0] != 0 || !q.put([]byte{250}) {
		t.Errorf("the first is %v, %v, and makes no room", m, ok)
	}
	q.close()
	if q.put([]byte{1}) {
		t.Error("a closed queue takes more")
	}
	left := 0
	for m, ok := q.take(); ok; m, ok = q.take() {
		left++
		if last := left == sendBuffer; last != (m[0] == 250) {
			t.Errorf("message %d of those that were left is %v", left, m)
		}
	}
	if left != sendBuffer {
		t.Errorf("%d were left, want %d", left, sendBuffer)
	}
}

func TestAddressesAreRead(t *testing.T) {
	id, err := PeerID([32]byte{1})
	if err != nil {
		t.Fatal(err)
	}
	got, err := infos([]string{fmt.Sprintf("/ip4/1.2.3.4/udp/1/quic-v1/p2p/%s", id)})
	if err != nil || len(got) != 1 || got[0].ID.String() != id {
		t.Errorf("%v, %v", got, err)
	}
	if _, err := infos([]string{"nowhere"}); err == nil || !strings.Contains(err.Error(), `"nowhere"`) {
		t.Errorf("error is %v", err)
	}
}
