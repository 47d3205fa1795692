package p2p

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/libp2p/go-libp2p/core/network"
	"github.com/libp2p/go-libp2p/core/peer"
	"github.com/libp2p/go-libp2p/core/protocol"
	msmux "github.com/multiformats/go-multistream"

	"grapevine/block"
	"grapevine/p2p/wire"
)

// link is one connection to a peer, with its streams. Its life is run; the loop
// says when it begins and when it parts.
type link struct {
	host *Host
	id   uint64
	conn network.Conn
	peer wire.PeerID
	out  [wire.NumLanes]*outbox
	wg   sync.WaitGroup // of everything that run waits for

	known    chan struct{}  // closed when the loop has been told of the link
	promoted chan promotion // at most one
	up       chan struct{}  // closed when PeerUp has returned
	closing  chan struct{}  // closed when the link is to end
	gone     chan struct{}  // closed when the connection is closed, after closing
	done     chan struct{}  // closed when PeerDown has returned

	mu      sync.Mutex
	in      [wire.NumLanes]bool // guarded by mu; a stream of the peer's has come
	hello   *wire.Hello         // guarded by mu
	ended   bool                // guarded by mu; closing is closed
	isGone  bool                // guarded by mu; gone is closed
	goodbye *wire.Goodbye       // guarded by mu; to be said at the end
	cause   error               // guarded by mu; why it ended; nil: by the loop's will

	named   bool         // this side has chosen the peer, or its operator or genesis has
	brought atomic.Bool  // something right, by its handler's word
	ahead   atomic.Int64 // how far its clock is, in ns, had this machine's not been set since the start

	joined bool      // membership has been told; of the loop
	listed time.Time // when it was listed; zero: never. Set under the host's mu
}

// promotion puts a link into use.
type promotion struct {
	begin bool            // say Begin
	after <-chan struct{} // closed when the last link to the same peer is done
}

func (h *Host) newLink(id uint64, c network.Conn) *link {
	l := &link{
		host:     h,
		id:       id,
		conn:     c,
		peer:     wire.PeerID(c.RemotePeer().String()),
		known:    make(chan struct{}),
		promoted: make(chan promotion, 1),
		up:       make(chan struct{}),
		closing:  make(chan struct{}),
		gone:     make(chan struct{}),
		done:     make(chan struct{}),
	}
	l.named = l.outbound() || h.isBootstrap(l.remote()) || slices.Contains(h.cfg.Genesis.Named(), string(l.peer))
	l.out[wire.Control] = newOutbox(h.cfg.QueueBytes[wire.Control], nil)
	for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
		l.out[lane] = newOutbox(h.cfg.QueueBytes[lane], &h.budget)
	}
	return l
}

// run is the link's life: Hello, use, Goodbye. It returns when all that the link
// started has ended, and PeerDown has been said.
func (l *link) run(ctx context.Context) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	l.sendControl(l.host.hello()) // before the loop can say anything else
	l.host.post(linkUp{l})
	close(l.known)
	l.wg.Go(func() { l.writeLane(ctx, wire.Control) })
	l.live(ctx)
	l.host.unlist(l)
	l.host.post(linkDown{l}) // the next may be put into use, and waits for done
	l.sayGoodbye()
	cancel()
	l.conn.Close()
	for _, o := range l.out {
		o.drop()
	}
	l.wg.Wait()
	l.host.shedding.CompareAndSwap(l, nil)
	if !l.listed.IsZero() {
		l.host.handler.PeerDown(l.peer)
	}
	close(l.done)
	l.host.post(linkDone{l})
}

// live puts the link into use when it is told to, watches how fast its queues drain, and
// waits for its end.
func (l *link) live(ctx context.Context) {
	beat := time.NewTicker(wire.BeatEvery)
	defer beat.Stop()
	var paces [wire.NumLanes]pace
	for {
		select {
		case p := <-l.promoted:
			l.wg.Go(func() { l.start(ctx, p) })
		case <-beat.C:
			if l.out[wire.Control].size() == 0 {
				l.sendControl(wire.Beat{})
			}
			l.watch(time.Now(), &paces)
		case <-l.closing:
			return
		}
	}
}

// watch lets go of a peer that hardly takes what waits for it.
func (l *link) watch(now time.Time, paces *[wire.NumLanes]pace) {
	for lane, o := range l.out {
		waiting, done := o.progress()
		if taken, stalled := paces[lane].stalled(now, l.host.timing.stall, waiting, done); stalled {
			l.fail(fmt.Errorf("the peer took %d bytes of the %s lane in %v, want at least %d while more wait", taken, wire.Lane(lane), l.host.timing.stall, leastDrain))
		}
	}
}

// queued returns how much of the bound of all queues the link holds.
func (l *link) queued() (bytes int) {
	for _, o := range l.out[wire.Control+1:] {
		bytes += o.size()
	}
	return bytes
}

// start puts the lanes to work and announces the neighbour.
func (l *link) start(ctx context.Context, p promotion) {
	if p.begin {
		l.sendControl(wire.Begin{})
	}
	for lane := wire.Control + 1; lane < wire.NumLanes; lane++ {
		l.wg.Go(func() { l.writeLane(ctx, lane) })
	}
	if p.after != nil {
		<-p.after
	}
	if !l.host.list(l) {
		return
	}
	l.host.post(joined{l})
	hello := l.greeting()
	l.host.log.Info("neighbour up", "peer", l.peer, "addr", l.conn.RemoteMultiaddr().String(), "software", hello.Software, "tip", hello.Tip)
	l.host.topic.greet(l.remote())
	l.host.handler.PeerUp(l.peer, hello)
	close(l.up)
}

// writeLane writes what is put into the lane's queue, until that is closed or the stream
// fails. It opens the stream for the first message: most neighbours never need them all.
func (l *link) writeLane(ctx context.Context, lane wire.Lane) {
	var s network.Stream
	var w *wire.Writer
	o := l.out[lane]
	for {
		msgs, closed := o.take()
		var err error
		if len(msgs) > 0 && s == nil {
			s, w, err = l.openLane(ctx, lane)
		}
		for _, m := range msgs {
			if err == nil {
				err = l.writeMessage(s, w, lane, m)
			}
			o.release(len(m))
		}
		if err != nil {
			l.fail(fmt.Errorf("writing on the %s stream: %w", lane, err))
			if s != nil {
				s.Reset()
			}
			return
		}
		if len(msgs) == 0 && closed {
			if s != nil {
				s.CloseWrite()
			}
			return
		}
		if len(msgs) == 0 {
			<-o.wake
		}
	}
}

// openLane opens the lane's stream. On the control lane, which is the first, it waits
// for the peer to say that it speaks the protocol; on the others the first message goes
// along with the protocol's name.
func (l *link) openLane(ctx context.Context, lane wire.Lane) (network.Stream, *wire.Writer, error) {
	id := l.host.protocol(lane)
	if lane == wire.Control {
		s, err := l.openStream(ctx, id)
		return s, wire.NewWriter(s), err
	}
	ctx, cancel := context.WithTimeout(ctx, l.host.timing.open)
	defer cancel()
	s, err := l.conn.NewStream(ctx)
	if err == nil {
		err = s.SetProtocol(id)
	}
	return s, wire.NewWriter(msmux.NewMSSelect(s, id)), err
}

func (l *link) writeMessage(s network.Stream, w *wire.Writer, lane wire.Lane, m []byte) error {
	if err := s.SetWriteDeadline(time.Now().Add(l.host.timing.message)); err != nil {
		return err
	}
	err := w.Write(m)
	if err == nil {
		l.host.metrics.bytesOut[lane].Add(float64(wire.FramedSize(len(m))))
		l.host.metrics.messagesOut[lane].Inc()
	}
	return err
}

// openStream opens a stream on this connection, and not on another to the peer, for
// the first of the protocols that the peer speaks.
func (l *link) openStream(ctx context.Context, ids ...protocol.ID) (network.Stream, error) {
	ctx, cancel := context.WithTimeout(ctx, l.host.timing.open)
	defer cancel()
	s, err := l.conn.NewStream(ctx)
	if err != nil {
		return nil, err
	}
	stop := context.AfterFunc(ctx, func() { s.Reset() })
	defer stop()
	id, err := msmux.SelectOneOf(ids, s)
	if err == nil {
		err = s.SetProtocol(id)
	}
	if err != nil {
		s.Reset()
		var unknown msmux.ErrNotSupported[protocol.ID]
		if errors.As(err, &unknown) {
			return nil, fmt.Errorf("the peer does not speak %s: is it a node of this software, and of a version that fits?", ids[0])
		}
		return nil, err
	}
	return s, nil
}

// accept takes a stream that the peer has opened, in that stream's goroutine.
func (l *link) accept(lane wire.Lane, s network.Stream) {
	if !l.attach(lane) {
		s.Reset()
		return
	}
	defer l.wg.Done()
	var err error
	if lane == wire.Control {
		err = l.readControl(s)
	} else {
		err = l.readLane(lane, s)
	}
	s.Reset()
	if errors.Is(err, wire.ErrMalformed) || errors.Is(err, wire.ErrOversize) {
		l.host.Charge(l.peer, Malformed, fmt.Sprintf("%s stream: %v", lane, err))
	}
	l.fail(fmt.Errorf("reading the %s stream: %w", lane, err))
	if lane == wire.Control {
		l.disconnected() // no use in waiting for a Goodbye to arrive
	}
}

// attach admits the first stream of a lane.
func (l *link) attach(lane wire.Lane) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.ended || l.in[lane] {
		return false
	}
	l.in[lane] = true
	l.wg.Add(1)
	return true
}

// readLane hands the lane's messages to the handler, once the neighbour is up.
func (l *link) readLane(lane wire.Lane, s network.Stream) error {
	if !l.awaitUp() {
		return io.EOF
	}
	r := wire.NewReader(s, MaxMessage(lane, l.host.cfg.Limits))
	for {
		msg, err := l.readMessage(lane, s, r)
		if err != nil {
			return err
		}
		select {
		case <-l.closing:
			return io.EOF
		default:
			l.host.handler.Receive(l.peer, lane, msg)
		}
	}
}

// awaitUp waits until PeerUp has returned, and says false when the link ends before.
func (l *link) awaitUp() bool {
	select {
	case <-l.up:
		return true
	case <-l.closing:
		return false
	}
}

// readMessage waits for a message for ever, and for the rest of it not so long.
func (l *link) readMessage(lane wire.Lane, s network.Stream, r *wire.Reader) ([]byte, error) {
	if err := r.Await(); err != nil {
		return nil, err
	}
	if err := s.SetReadDeadline(time.Now().Add(l.host.timing.message)); err != nil {
		return nil, err
	}
	msg, err := r.Next()
	if err != nil {
		return nil, err
	}
	l.host.metrics.bytesIn[lane].Add(float64(wire.FramedSize(len(msg))))
	l.host.metrics.messagesIn[lane].Inc()
	return msg, s.SetReadDeadline(time.Time{})
}

// send queues a message, or says that there is no room for it.
func (l *link) send(lane wire.Lane, msg []byte) bool {
	if !l.out[lane].put(msg) {
		l.host.metrics.drop(lane, "queue full")
		return false
	}
	return true
}

// sendControl queues a message of the control lane. A peer that lets that queue
// overflow is let go.
func (l *link) sendControl(m wire.ControlMessage) {
	if !l.send(wire.Control, wire.EncodeControl(m)) {
		l.fail(errors.New("the control lane's queue is full: the peer is too slow"))
	}
}

// dismiss ends the link after a Goodbye.
func (l *link) dismiss(g wire.Goodbye) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended, l.goodbye = true, &g
		close(l.closing)
	}
}

// fail ends the link for a reason that is the world's, or the peer's.
func (l *link) fail(cause error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.ended {
		l.ended, l.cause = true, cause
		close(l.closing)
	}
}

// disconnected tells that the connection is closed, or that the peer is done with it.
func (l *link) disconnected() {
	l.fail(errors.New("the connection was closed"))
	l.mu.Lock()
	defer l.mu.Unlock()
	if !l.isGone {
		l.isGone = true
		close(l.gone)
	}
}

// sayGoodbye gives a Goodbye that is due the time to arrive: the peer closes the
// connection when it has read it.
func (l *link) sayGoodbye() {
	l.mu.Lock()
	g := l.goodbye
	l.mu.Unlock()
	if g == nil {
		return
	}
	l.host.metrics.goodbyes.WithLabelValues(g.Code.String(), "out").Inc()
	if !l.send(wire.Control, wire.EncodeControl(*g)) {
		return
	}
	l.out[wire.Control].close()
	timer := time.NewTimer(l.host.timing.parting)
	defer timer.Stop()
	select {
	case <-l.gone:
	case <-timer.C:
	}
}

func (l *link) greeting() wire.Hello {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.hello == nil {
		return wire.Hello{}
	}
	return *l.hello
}

// end returns why the link ended, and whether its Hello had come.
func (l *link) end() (cause error, greeted bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.cause, l.hello != nil
}

func (l *link) remote() peer.ID { return l.conn.RemotePeer() }

// key is the peer's key, which the handshake has proven.
func (l *link) key() block.PublicKey {
	k, err := keyOf(l.remote())
	if err != nil {
		return block.PublicKey{} // a key of another kind, whose signatures are all wrong
	}
	return k
}

func (l *link) outbound() bool { return l.conn.Stat().Direction == network.DirOutbound }

// useful says whether the peer was chosen by this side, or has brought something.
func (l *link) useful() bool { return l.named || l.brought.Load() }
