package baseline

import (
	"context"
	"fmt"
	"net"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/marcopolo/simnet"
)

// A burst that GossipSub's own queues and its limit on messages would lose comes
// through whole, either way, and nothing is dropped.
func TestLargeBurstComesThrough(t *testing.T) {
	const peers, blocks, size = 4, 2, 1<<20 + 1 // more than the largest message by default, and than 32 chunks
	for _, chunked := range []bool{false, true} {
		t.Run(fmt.Sprintf("chunked=%v", chunked), func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				sim := &simnet.Simnet{LatencyFunc: simnet.StaticLatency(20 * time.Millisecond)}
				sim.Start()
				defer sim.Close()
				var got, own atomic.Int64
				all := make([]*Peer, peers)
				for i := range all {
					all[i] = open(t, sim, i, chunked, size, func(r Received) {
						if r.From == "" {
							own.Add(1)
						} else {
							got.Add(1)
						}
						if r.Bytes != size {
							t.Errorf("a block of %d bytes, want %d", r.Bytes, size)
						}
					})
				}
				synctest.Wait()
				ctx, cancel := context.WithCancel(t.Context())
				ended := make(chan error, peers)
				for i, p := range all {
					go func() { ended <- p.Run(ctx, []string{all[(i+1)%peers].addr(), all[(i+2)%peers].addr()}) }()
				}
				time.Sleep(5 * time.Second) // GossipSub's heartbeats make the mesh
				for h := range blocks {
					body := make([]byte, size)
					body[0] = byte(h)
					if err := all[0].Publish(ctx, uint64(h+1), body); err != nil {
						t.Fatal(err)
					}
				}
				time.Sleep(20 * time.Second)
				if got.Load() != (peers-1)*blocks || own.Load() != blocks {
					t.Errorf("%d blocks came, want %d; %d are the publisher's own, want %d", got.Load(), (peers-1)*blocks, own.Load(), blocks)
				}
				again := int64(0)
				for i, p := range all {
					again += p.Again()
					if p.Lost() > 0 {
						t.Errorf("peer %d dropped %d messages", i, p.Lost())
					}
					if next := all[(i+1)%peers]; !p.Connected(next.ID()) {
						t.Errorf("peer %d has no connection to the next", i)
					}
				}
				if again == 0 {
					t.Error("nothing came twice, in a mesh")
				}
				cancel()
				for range all {
					if err := <-ended; err != nil {
						t.Error(err)
					}
				}
			})
		})
	}
}

func (p *Peer) addr() string { return p.cfg.Listen + "/p2p/" + p.ID() }

// door returns that of the peer with a number, on a link of 50 Mbit/s.
func door(sim *simnet.Simnet, i int) Door {
	ip := simnet.IntToPublicIPv4(i)
	link := simnet.LinkSettings{BitsPerSecond: 50 * simnet.Mibps}
	return Door{
		Seed: [32]byte{byte(i)}, Listen: fmt.Sprintf("/ip4/%s/udp/4001/quic-v1", ip), SourceIP: ip,
		ListenPacket: func(a *net.UDPAddr) (net.PacketConn, error) {
			return sim.NewEndpoint(a, simnet.NodeBiDiLinkSettings{Uplink: link, Downlink: link}), nil
		},
	}
}

func open(t *testing.T, sim *simnet.Simnet, i int, chunked bool, largest int, onBlock func(Received)) *Peer {
	t.Helper()
	p, err := New(Config{Door: door(sim, i), Chunked: chunked, MaxBody: largest, Chain: &Chain{}, OnBlock: onBlock})
	if err != nil {
		t.Fatal(err)
	}
	if id, err := PeerID([32]byte{byte(i)}); err != nil || id != p.ID() {
		t.Errorf("PeerID returns %s, %v, and the peer's is %s", id, err, p.ID())
	}
	return p
}
