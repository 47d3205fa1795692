package p2p

import (
	"context"
	"encoding/binary"
	"fmt"
	"testing"
	"testing/synctest"
	"time"

	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"google.golang.org/protobuf/proto"
)

// subscribe tells the node's GossipSub that the stranger is on topics.
func (s *stranger) subscribe(topics ...string) network.Stream {
	s.t.Helper()
	st, err := s.NewStream(context.Background(), s.to.self, pubsub.GossipSubID_v12)
	if err != nil {
		s.t.Fatal(err)
	}
	rpc := &pb.RPC{}
	for _, topic := range topics {
		rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(topic)})
	}
	raw, err := proto.Marshal(rpc)
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := st.Write(append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)); err != nil {
		s.t.Fatal(err)
	}
	return st
}

func (t *tracer) hasJoined(p peer.ID) bool {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.joined[p]
}

// Topics are remembered by name, and nobody bounds how many a peer names.
func TestOtherTopicsAreNotRemembered(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		s.SetStreamHandler(pubsub.GossipSubID_v12, func(network.Stream) {}) // GossipSub lists whom it can reach
		s.greet()
		s.subscribe("other", a.topic.topic.String())
		time.Sleep(time.Second)
		if !a.topic.tracer.hasJoined(s.ID()) {
			t.Error("the peer is not known to be on the topic")
		}
		if got := a.topic.sub.ListPeers("other"); len(got) != 0 {
			t.Errorf("remembered: %v is on another topic", got)
		}
	})
}

func TestFarTooManyTopicsAreRefused(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		s.greet()
		topics := []string{a.topic.topic.String()}
		for i := range 100 {
			topics = append(topics, fmt.Sprint("topic ", i))
		}
		s.subscribe(topics...)
		time.Sleep(time.Second)
		if a.topic.tracer.hasJoined(s.ID()) {
			t.Error("a hundred topics in one message are gone through")
		}
	})
}

// Only neighbours' gossip is heard; what comes a little early waits.
func TestGossipIsForNeighbours(t *testing.T) {
	withStranger(t, func(t *testing.T, a *node, s *stranger) {
		s.subscribe(a.topic.topic.String())
		time.Sleep(time.Second)
		if a.topic.tracer.hasJoined(s.ID()) {
			t.Error("a peer that is no neighbour is on the topic")
		}
		s.greet()
		synctest.Wait()
		if !a.topic.tracer.hasJoined(s.ID()) {
			t.Error("a neighbour is not")
		}
	})
}

// Whom to dial is membership's to say, not a pruning peer's.
func TestGossipDialsNobody(t *testing.T) {
	inBubble(t, func(t *testing.T, p *packets) {
		a, b := listen(t, 1, p.at(1)).start(), listen(t, 2, p.at(2)).start()
		for _, n := range []*node{a, b} {
			t.Cleanup(func() { n.stop(t) })
		}
		to := peer.AddrInfo{ID: b.self, Addrs: b.libp2p.Addrs()}
		if err := a.topic.face.Connect(context.Background(), to); err == nil || len(a.swarm.Conns()) != 0 {
			t.Errorf("GossipSub dialled a peer: %v, %d connections", err, len(a.swarm.Conns()))
		}
	})
}

// Identities that came by themselves and bring nothing have no place in the mesh when
// there are enough others.
func TestMeshIsOfUsefulPeers(t *testing.T) {
	inBubble(t, func(t *testing.T, p *packets) {
		a := listen(t, 1, p.at(1)).start()
		nodes := []*node{a}
		for i := range 12 {
			nodes = append(nodes, listen(t, i+2, p.at(i+2, bootstrap(a))).start())
		}
		for _, n := range nodes {
			t.Cleanup(func() { n.stop(t) })
		}
		for i, n := range nodes[1:] {
			a.awaitSeen(t, seen{"up", n.ID(), ""})
			if i < meshUseful {
				a.Brought(n.ID())
			}
		}
		time.Sleep(time.Minute)
		if a.topic.tracer.meshSize() < 2 {
			t.Errorf("%d are in the mesh", a.topic.tracer.meshSize())
		}
		for _, n := range nodes[1+meshUseful:] { // some of them membership has dialled: chosen
			if !a.Chosen(n.ID()) && a.topic.tracer.holds(n.self) {
				t.Errorf("%s is in the mesh", n.ID().Short())
			}
		}
	})
}
