package adversary

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"time"

	"github.com/libp2p/go-libp2p"
	pubsub "github.com/libp2p/go-libp2p-pubsub"
	pb "github.com/libp2p/go-libp2p-pubsub/pb"
	"github.com/libp2p/go-libp2p/core/crypto"
	"github.com/libp2p/go-libp2p/core/host"
	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	libp2pquic "github.com/libp2p/go-libp2p/p2p/transport/quic"
	"google.golang.org/protobuf/proto"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/p2p"
	"grapevine/p2p/membership"
	"grapevine/p2p/wire"
)

// stray is a liar that speaks libp2p itself: it says what no host of this software would.
type stray struct {
	host    host.Host
	key     sig.Key
	genesis *genesis.Genesis
	victims []*victim
	heard   chan word
}

// victim is a peer that a stray is connected to.
type victim struct {
	info    peer.AddrInfo
	key     block.PublicKey
	control *wire.Writer // nil: it has no connection at present
}

// word is what a victim said about the network's members.
type word struct {
	from peer.ID
	raw  []byte
}

// heardMost bounds what a stray has not looked at yet; it passes over the rest.
const heardMost = 1000

// newStray connects to all of the peers.
func newStray(ctx context.Context, g *genesis.Genesis, peers []string) (*stray, error) {
	priv, _, err := crypto.GenerateEd25519Key(rand.Reader)
	if err != nil {
		return nil, err
	}
	raw, err := priv.Raw()
	if err != nil {
		return nil, err
	}
	h, err := libp2p.New(libp2p.Identity(priv), libp2p.NoListenAddrs, libp2p.DisableMetrics(),
		libp2p.Transport(libp2pquic.NewTransport), libp2p.ResourceManager(&network.NullResourceManager{}))
	if err != nil {
		return nil, err
	}
	s := &stray{host: h, key: sig.NewKey([32]byte(raw[:32])), genesis: g, heard: make(chan word, heardMost)}
	h.SetStreamHandler(s.protocol(wire.Control), s.listen)
	for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
		h.SetStreamHandler(s.protocol(lane), discard)
	}
	h.SetStreamHandler(pubsub.GossipSubID_v12, discard)
	for _, text := range peers {
		info, err := peer.AddrInfoFromString(text)
		if err != nil {
			return nil, err
		}
		pub, err := info.ID.ExtractPublicKey()
		if err != nil {
			return nil, err
		}
		raw, err := pub.Raw()
		if err != nil {
			return nil, err
		}
		v := &victim{info: *info, key: block.PublicKey(raw)}
		if err := s.greet(ctx, v); err != nil {
			return nil, fmt.Errorf("connecting to %s: %w", info.ID, err)
		}
		s.victims = append(s.victims, v)
	}
	return s, nil
}

func (s *stray) protocol(lane wire.Lane) protocol.ID {
	return protocol.ID(p2p.ProtocolID(s.genesis.ID(), lane))
}

func discard(st network.Stream) { io.Copy(io.Discard, st) }

// listen passes on what a victim says about members.
func (s *stray) listen(st network.Stream) {
	for r := wire.NewReader(st, wire.MaxControl); ; {
		raw, err := r.Next()
		if err != nil {
			return
		}
		m, err := wire.DecodeControl(raw)
		if about, ok := m.(wire.Membership); ok && err == nil {
			select {
			case s.heard <- word{st.Conn().RemotePeer(), about}:
			default:
			}
		}
	}
}

// greet connects to a victim and says Hello, as a host does.
func (s *stray) greet(ctx context.Context, v *victim) error {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Second)
	defer cancel()
	if err := s.host.Connect(ctx, v.info); err != nil {
		return err
	}
	st, err := s.host.NewStream(ctx, v.info.ID, s.protocol(wire.Control))
	if err != nil {
		return err
	}
	v.control = wire.NewWriter(st)
	s.say(v, wire.Hello{
		Genesis: s.genesis.ID(), VersionLow: 1, VersionHigh: 1 << 10, Software: "adversary", Base: 1,
		Clock: time.Now(), Instance: 1, Started: time.Now(),
	})
	if s.host.ID().String() < v.info.ID.String() {
		s.say(v, wire.Begin{})
	}
	return nil
}

// say forgets the connection when it has ended.
func (s *stray) say(v *victim, m wire.ControlMessage) {
	if v.control != nil && v.control.Write(wire.EncodeControl(m)) != nil {
		v.control = nil
	}
}

// back connects again to those that have let go.
func (s *stray) back(ctx context.Context) {
	for _, v := range s.victims {
		if v.control == nil && ctx.Err() == nil {
			s.greet(ctx, v)
		}
	}
}

// twoFaces takes part in membership twice, under one key, incarnation and version, and with
// two records: every other peer sees one of them, with its heartbeats.
func twoFaces(ctx context.Context, s *stray) {
	var faces [2]*membership.Core
	now := time.Now()
	for i := range faces {
		faces[i] = membership.New(now, membership.Config{
			Self:        s.key.Public(),
			Sign:        func(b []byte) block.Signature { return s.key.Sign(block.DomainRecord, s.genesis.ID(), b) },
			Incarnation: uint64(now.UnixNano()),
			Info:        membership.Info{Addrs: []string{"/ip4/127.0.0.1/udp/9/quic-v1"}},
		}, [32]byte{byte(i)})
	}
	of := map[block.PublicKey]int{}
	at := map[peer.ID]int{}
	for i, v := range s.victims {
		of[v.key], at[v.info.ID] = i, i
		faces[i%2].PeerUp(now, v.key)
	}
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for round := 0; ; {
		select {
		case <-ctx.Done():
			return
		case w := <-s.heard:
			if m, err := membership.Decode(w.raw); err == nil {
				i := at[w.from]
				faces[i%2].Receive(time.Now(), s.victims[i].key, m)
			}
		case <-ticker.C:
			if round++; round%10 == 0 {
				s.back(ctx)
			}
			for _, f := range faces {
				f.Tick(time.Now())
			}
		}
		for _, f := range faces {
			for _, x := range f.Effects() {
				if send, ok := x.(membership.Send); ok {
					s.say(s.victims[of[send.To]], wire.Membership(membership.Encode(send.Message)))
				}
			}
		}
	}
}

// topics subscribes to ever new topics by GossipSub.
func topics(ctx context.Context, s *stray) {
	streams := map[peer.ID]network.Stream{}
	beat := time.Now()
	for n := 0; ctx.Err() == nil; {
		alive := time.Since(beat) > time.Second
		if alive {
			beat = time.Now()
		}
		for _, v := range s.victims {
			if alive {
				s.say(v, wire.Beat{})
			}
			rpc := &pb.RPC{}
			for range 5000 {
				n++
				rpc.Subscriptions = append(rpc.Subscriptions, &pb.RPC_SubOpts{Subscribe: proto.Bool(true), Topicid: proto.String(fmt.Sprint("topic ", n))})
			}
			raw, err := proto.Marshal(rpc)
			if err != nil {
				return // they are well formed
			}
			st := streams[v.info.ID]
			if st == nil {
				if st, err = s.host.NewStream(ctx, v.info.ID, pubsub.GossipSubID_v12); err != nil {
					continue
				}
				streams[v.info.ID] = st
			}
			st.SetWriteDeadline(time.Now().Add(time.Second))
			if _, err := st.Write(append(binary.AppendUvarint(nil, uint64(len(raw))), raw...)); err != nil {
				st.Reset()
				delete(streams, v.info.ID)
			}
		}
		s.back(ctx)
		select {
		case <-ctx.Done():
		case <-time.After(pause):
		}
	}
}
