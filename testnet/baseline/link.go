package baseline

import (
	"context"
	"fmt"
	"sync"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"

	"grapevine/p2p/wire"
)

// laneProtocol names the stream of a lane.
func laneProtocol(l wire.Lane) protocol.ID {
	return protocol.ID(fmt.Sprintf("/fabric/%s/1", l))
}

// lanes are those that Fabric's messages go in.
var lanes = []wire.Lane{wire.Blocks, wire.Bodies, wire.Catchup}

// sendBuffer is how many messages wait for a stream; what finds no room is dropped, in
// silence (peer.gossip.sendBuffSize).
const sendBuffer = 200

// openTimeout bounds the opening of a stream; a connection that takes longer is dead.
const openTimeout = 30 * time.Second

// link is a connection to a neighbour, with a queue and a stream for every lane.
// FabricPeer's loop owns it.
type link struct {
	conn   network.Conn
	queues map[wire.Lane]*sendQueue
}

// newLink opens the streams, before there is anything to send: that takes a round trip,
// which is not to count.
func newLink(c network.Conn, start func(func())) *link {
	l := &link{conn: c, queues: map[wire.Lane]*sendQueue{}}
	for _, lane := range lanes {
		q := &sendQueue{wake: make(chan struct{}, 1)}
		l.queues[lane] = q
		start(func() { write(c, lane, q) })
	}
	return l
}

// end lets the writers end when they have written what waits.
func (l *link) end() {
	for _, lane := range lanes {
		l.queues[lane].close()
	}
}

// write writes a queue's messages on a stream of the connection until the queue is closed
// and empty, or the connection gone; what waits then is lost.
func write(conn network.Conn, lane wire.Lane, q *sendQueue) {
	ctx, cancel := context.WithTimeout(context.Background(), openTimeout)
	defer cancel()
	s, err := conn.NewStream(ctx)
	if err != nil {
		q.close()
		return
	}
	stop := context.AfterFunc(ctx, func() { _ = s.Reset() })
	_, err = msmux.SelectOneOf([]protocol.ID{laneProtocol(lane)}, s)
	stop()
	w := wire.NewWriter(s)
	for err == nil {
		m, ok := q.take()
		if !ok {
			_ = s.CloseWrite()
			return
		}
		if m == nil {
			<-q.wake
			continue
		}
		err = w.Write(m)
	}
	q.close()
	_ = s.Reset()
}

// sendQueue is the messages that wait for a stream.
type sendQueue struct {
	wake chan struct{} // holds one token while there may be something to do

	mu     sync.Mutex
	list   [][]byte // guarded by mu; at most sendBuffer
	closed bool     // guarded by mu; nothing is put in any more
}

// put appends a message, or says that there is no room.
func (q *sendQueue) put(m []byte) bool {
	q.mu.Lock()
	ok := !q.closed && len(q.list) < sendBuffer
	if ok {
		q.list = append(q.list, m)
	}
	q.mu.Unlock()
	q.poke()
	return ok
}

// take returns the next message; nil when none waits, and false when none will.
func (q *sendQueue) take() ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(q.list) == 0 {
		return nil, !q.closed
	}
	m := q.list[0]
	q.list[0] = nil
	q.list = q.list[1:]
	return m, true
}

func (q *sendQueue) close() {
	q.mu.Lock()
	q.closed = true
	q.mu.Unlock()
	q.poke()
}

func (q *sendQueue) poke() {
	select {
	case q.wake <- struct{}{}:
	default:
	}
}
