package dissemination

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/arrival"
	"grapevine/dissemination/message"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// desk is a driver whose network is a person at a desk: what it sends lies there to
// be read, and what it receives is written by hand.
type desk struct {
	t       *testing.T
	driver  *Driver
	pool    *mempool.Pool
	ledger  *ledger.Ledger
	genesis *genesis.Genesis
	orderer sig.Key
	sent    chan sentMessage
	charged chan string
	facts   chan arrival.Accepted
	halted  chan error
	room    func() bool // says whether a message finds room

	mu     sync.Mutex
	useful map[wire.PeerID]bool // guarded by mu; who has brought something

	overflows atomic.Uint64
	queued    atomic.Int64 // bytes that wait for everybody, on each lane
	stop      context.CancelFunc
	ended     chan error
}

type sentMessage struct {
	to  wire.PeerID
	msg message.Message
}

func (d *desk) Send(to wire.PeerID, lane wire.Lane, b []byte) bool {
	m, err := d.driver.decoder.Decode(lane, b)
	if err != nil {
		d.t.Errorf("the driver sent %s something that it would not read itself: %v", to, err)
		return true
	}
	room := d.room()
	if room {
		d.sent <- sentMessage{to, m}
	}
	return room
}

func (d *desk) Charge(p wire.PeerID, o p2p.Offence, detail string) {
	d.charged <- fmt.Sprintf("%s: %s: %s", p, o, detail)
}

func (d *desk) Brought(p wire.PeerID) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.useful == nil {
		d.useful = map[wire.PeerID]bool{}
	}
	d.useful[p] = true
}

func (d *desk) Chosen(wire.PeerID) bool { return false }

func (d *desk) Publish([]byte) error { return nil }

func (d *desk) RTT(wire.PeerID) time.Duration { return 0 }

func (d *desk) Queued(wire.PeerID, wire.Lane) int { return int(d.queued.Load()) }
func (d *desk) Overflows() uint64                 { return d.overflows.Load() }

// poolMax is how many transactions the desk's pool holds.
const poolMax = 20

// open runs a test at a desk with neighbours a, b and c, in a bubble.
func open(t *testing.T, test func(d *desk)) {
	t.Helper()
	openWith(t, 0, 1, func() bool { return true }, test)
}

// openCoded is open in a network that codes.
func openCoded(t *testing.T, test func(d *desk)) {
	t.Helper()
	openWith(t, genesis.ReedSolomon, 1, func() bool { return true }, test)
}

func openWith(t *testing.T, coding int, seed uint64, room func() bool, test func(d *desk)) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		orderer := sig.NewKey([32]byte{1})
		g, err := genesis.New(genesis.Genesis{
			ChainID: "test", Admission: genesis.Admission{Type: "open"},
			Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(orderer.Public())},
			Coding:   coding,
		})
		if err != nil {
			t.Fatal(err)
		}
		l, err := ledger.Open(ledger.Config{Genesis: g})
		if err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		p, err := mempool.Open(mempool.Config{Genesis: g.ID(), Limits: g.BlockLimits(), MaxTxs: poolMax})
		if err != nil {
			t.Fatal(err)
		}
		defer p.Close()
		d := &desk{
			t: t, pool: p, ledger: l, genesis: g, orderer: orderer,
			sent: make(chan sentMessage, 1000), charged: make(chan string, 100), facts: make(chan arrival.Accepted, 100),
			halted: make(chan error, 8), room: room, ended: make(chan error, 1),
		}
		d.driver = New(Config{
			Genesis: g, Self: "self", Ledger: l, Pool: p, Host: d, Seed: seed,
			OnAccepted: func(f arrival.Accepted) { d.facts <- f }, Halted: func(err error) { d.halted <- err },
		})
		ctx, stop := context.WithCancel(t.Context())
		d.stop = stop
		go func() { d.ended <- d.driver.Run(ctx) }()
		for _, p := range []wire.PeerID{"a", "b", "c"} {
			d.driver.PeerUp(p, wire.Hello{Base: 1})
		}
		d.settle()
		test(d)
		stop()
		if err := <-d.ended; !errors.Is(err, context.Canceled) {
			t.Errorf("the driver ended with %v", err)
		}
	})
}

// settle lets the driver finish what it is doing, and clears the desk.
func (d *desk) settle() (sent []sentMessage) {
	synctest.Wait()
	for len(d.sent) > 0 {
		sent = append(sent, <-d.sent)
	}
	return sent
}

func (d *desk) receive(from wire.PeerID, m message.Message) []sentMessage {
	d.driver.Receive(from, m.Lane(), message.Encode(m))
	return d.settle()
}

// find returns the messages of a type to a peer, or to anybody.
func find[M message.Message](sent []sentMessage, to wire.PeerID) (out []M) {
	for _, s := range sent {
		if m, ok := s.msg.(M); ok && (to == "" || s.to == to) {
			out = append(out, m)
		}
	}
	return out
}

func (d *desk) wantCharge(word string) {
	d.t.Helper()
	select {
	case got := <-d.charged:
		if !strings.Contains(got, word) {
			d.t.Errorf("charged %q: want something about %q", got, word)
		}
	default:
		d.t.Errorf("nobody was charged: want a charge about %q", word)
	}
}

func (d *desk) wantNoCharge() {
	d.t.Helper()
	select {
	case got := <-d.charged:
		d.t.Errorf("charged %q", got)
	default:
	}
}

func (d *desk) txs(n int) []*block.Tx {
	out := make([]*block.Tx, n)
	for i := range out {
		out[i] = sig.NewKey([32]byte{2}).SignTx(d.genesis.ID(), block.TxFields{Nonce: uint64(i), Expiry: 100, Payload: []byte("payload")})
	}
	return out
}

// block signs a block on the tip.
func (d *desk) block(txs []*block.Tx) *block.Block { return d.blockOn(d.ledger.Tip(), txs) }

func (d *desk) blockOn(tip block.Tip, txs []*block.Tx) *block.Block {
	h := block.Draft(d.genesis.ID(), d.genesis.BlockLimits(), tip, time.Now().UnixNano(), d.orderer.Public(), txs)
	return block.New(d.orderer.SignHeader(h), txs)
}

// announce is the announcement of a block, with some of it prefilled.
func announce(b *block.Block, prefill ...uint32) *message.Announce {
	m := &message.Announce{Header: b.SignedHeader, List: b.List(), At: prefill}
	for _, at := range prefill {
		m.Txs = append(m.Txs, b.Txs[at])
	}
	return m
}
