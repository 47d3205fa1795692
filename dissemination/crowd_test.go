package dissemination

import (
	"bytes"
	"context"
	"fmt"
	"math/rand/v2"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"grapevine/block"
	"grapevine/coding"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// honest is the one neighbour that is not hostile.
const honest wire.PeerID = "honest"

const chainBlocks = 40

// crowd is a desk that many write to at once. What they write, and when, follows from the
// seed; in which order the driver takes what comes in one moment does not.
type crowd struct {
	*desk
	seed   uint64
	chain  []*block.Block
	bad    uint64 // the height of a block that the ledger refuses; zero: none
	byID   map[block.ID]*block.Block
	number atomic.Uint32        // of the last request
	asked  chan message.Message // of the honest neighbour

	ctx   context.Context // ends when the neighbours fall silent
	lanes sync.WaitGroup
}

// newCrowd makes the chain that the crowd writes of, with a bad block or without.
func newCrowd(d *desk, seed, bad uint64) *crowd {
	c := &crowd{desk: d, seed: seed, bad: bad, byID: map[block.ID]*block.Block{}, asked: make(chan message.Message, 10_000)}
	tip, txs := d.ledger.Tip(), d.txs(5*chainBlocks)
	if d.genesis.Coding > 0 { // of five is coded
		txs = d.sized(5*chainBlocks, 2000)
	}
	for i := range chainBlocks {
		list := txs[5*i : 5*i+5]
		if uint64(i+1) == bad {
			list = txs[:5] // they are in the first block
		}
		b := d.blockOn(tip, list)
		c.chain, c.byID[b.ID()], tip = append(c.chain, b), b, b.Tip()
	}
	return c
}

// play has something done over and over, at random times.
func (c *crowd) play(name string, do func(r *rand.Rand)) {
	c.lanes.Go(func() {
		var seed [32]byte
		copy(seed[:], fmt.Sprint(c.seed, name))
		r := rand.New(rand.NewChaCha8(seed))
		for {
			select {
			case <-c.ctx.Done():
				return
			case <-time.After(time.Duration(r.Int64N(int64(20 * time.Millisecond)))):
			}
			for range 1 + r.IntN(6) {
				do(r)
			}
		}
	})
}

// clear reads what lies on the desk, until nobody writes any more.
func (c *crowd) clear(end <-chan struct{}) {
	for {
		select {
		case <-end:
			return
		case s := <-c.sent:
			switch m := s.msg.(type) {
			case *message.Fetch:
				c.number.Store(m.Number)
			case *message.GetRange:
				c.number.Store(m.Number)
			}
			if s.to == honest {
				c.asked <- s.msg
			}
		case got := <-c.charged:
			if strings.HasPrefix(got, string(honest)) {
				c.t.Errorf("charged %q", got)
			}
		}
	}
}

func (c *crowd) write(from wire.PeerID, m message.Message) {
	c.driver.Receive(from, m.Lane(), message.Encode(m))
}

// some is a block near the tip or, now and then, anywhere.
func (c *crowd) some(r *rand.Rand) *block.Block {
	i := int(c.ledger.Tip().Height) + r.IntN(8) - 3
	if r.IntN(8) == 0 {
		i = r.IntN(chainBlocks)
	}
	return c.chain[min(max(i, 0), chainBlocks-1)]
}

func somePlaces(r *rand.Rand, n int) (at []uint32) {
	for i := range uint32(n) {
		if r.IntN(2) == 0 {
			at = append(at, i)
		}
	}
	return at
}

// lie says something on a lane, wrong or right.
func (c *crowd) lie(r *rand.Rand, from wire.PeerID, lane wire.Lane) {
	b := c.some(r)
	switch {
	case r.IntN(30) == 0:
		junk := make([]byte, r.IntN(40))
		for i := range junk {
			junk[i] = byte(r.Uint32())
		}
		c.driver.Receive(from, lane, junk)
	case lane == wire.Blocks:
		c.lieOfBlocks(r, from, b)
	case lane == wire.Bodies:
		c.lieOfBodies(r, from, b)
	case lane == wire.Catchup:
		c.lieOfRanges(r, from, b)
	case lane == wire.Txs:
		salt := block.SipKey{K0: r.Uint64()}
		hash := []uint64{salt.Sum64(b.Txs[0].ID())}
		c.write(from, []message.Message{
			&message.Inventory{Salt: salt, High: ^uint64(0), Hashes: hash, Reply: r.IntN(2) == 0},
			&message.Want{Salt: salt, Hashes: hash},
			&message.Txs{Txs: b.Txs},
		}[r.IntN(3)])
	}
}

func (c *crowd) lieOfBlocks(r *rand.Rand, from wire.PeerID, b *block.Block) {
	switch r.IntN(9) {
	case 0:
		c.write(from, &message.Pull{Tip: r.Uint64N(20), Upto: r.Uint64N(90)})
	case 2:
		c.write(from, &message.Ordering{Data: []byte("vote")})
	case 1:
		c.write(from, &message.Tip{Height: r.Uint64N(200)})
	default:
		var at []uint32
		if r.IntN(3) > 0 {
			at = somePlaces(r, len(b.Txs))
		}
		m := announce(b, at...)
		if b.Coding > 0 && r.IntN(2) == 0 {
			m = coming(b, r.IntN(20))
		}
		m.Complete, m.Pulled, m.Hop = r.IntN(2) == 0, r.IntN(3) == 0, r.IntN(4)
		if r.IntN(10) == 0 {
			m.Header.Signature[3]++
		}
		c.write(from, m)
	}
}

// lieOfShards says something of a coded block's shards, wrong or right.
func (c *crowd) lieOfShards(r *rand.Rand, from wire.PeerID, b *block.Block) {
	codes, ref := b.Code(), message.Ref(b.ID())
	body := r.IntN(3) > 0
	code := codes.List
	if body {
		code = codes.Body
	}
	some := []message.Run{{First: r.IntN(30), Count: 1 + r.IntN(9)}}
	switch r.IntN(14) {
	case 0:
		c.write(from, &message.Got{Ref: ref, Body: body, First: r.IntN(30)})
	case 1:
		c.write(from, &message.Enough{Ref: ref, Lacked: r.IntN(200), Absent: some})
	case 2:
		c.write(from, &message.Ask{Ref: ref, Body: body, Leaves: some, Wait: time.Duration(r.IntN(1000)) * time.Millisecond})
	case 3:
		c.write(from, &message.Shards{Ref: ref, Body: body, Span: coding.Span{First: r.IntN(30), Leaves: 1 + r.IntN(4)}})
	case 4, 5:
		m := &message.Stripes{Load: r.IntN(200)}
		for i := range m.Ages {
			m.Ages[i] = uint8(r.IntN(256))
		}
		c.write(from, m)
	case 6, 7:
		m := &message.Graft{Stripes: r.Uint64() & r.Uint64(), Urgent: r.IntN(2) == 0}
		m.Prune = r.Uint64() & r.Uint64() &^ m.Stripes
		if m.Stripes|m.Prune != 0 {
			c.write(from, m)
		}
	case 8:
		c.write(from, &message.Need{Ref: ref, Body: body, Leaves: some})
	case 9:
		c.write(from, &message.Have{Ref: ref, Body: body, Leaves: some})
	default:
		span, ok := code.Span(r.IntN(code.Leaves()), r.IntN(3))
		if !ok {
			return
		}
		m := shards(b.ID(), code, body, span.First, span.Leaves)
		switch r.IntN(8) {
		case 0:
			m.Data = bytes.Clone(m.Data)
			m.Data[r.IntN(len(m.Data))]++
		case 1:
			m.Proof = m.Proof[:r.IntN(len(m.Proof))]
		case 2:
			m.Span.First = r.IntN(40)
		}
		m.Pass, m.Striped = r.IntN(2) == 0, r.IntN(2) == 0
		c.write(from, m)
	}
}

func (c *crowd) lieOfBodies(r *rand.Rand, from wire.PeerID, b *block.Block) {
	if b.Coding > 0 && r.IntN(2) == 0 {
		c.lieOfShards(r, from, b)
		return
	}
	m := &message.Part{Number: c.number.Load() - r.Uint32N(6), Block: b.ID()}
	switch k := r.IntN(9); {
	case k < 3:
		c.write(from, &message.Fetch{Number: r.Uint32(), Block: b.ID(), At: somePlaces(r, len(b.Txs)), Wait: time.Duration(r.IntN(1000)) * time.Millisecond})
		return
	case k == 3:
		m.Refused = true
	case k == 4:
		m.From = r.IntN(2)
		m.IDs = b.TxIDs()[m.From:]
		m.IDs[0][3] += byte(r.IntN(2))
	default:
		m.At = somePlaces(r, len(b.Txs))
		for _, at := range m.At {
			if r.IntN(10) == 0 {
				at = 0
			}
			m.Txs = append(m.Txs, b.Txs[at])
		}
	}
	c.write(from, m)
}

func (c *crowd) lieOfRanges(r *rand.Rand, from wire.PeerID, b *block.Block) {
	raw := b.Bytes()
	m := &message.Chunk{Number: c.number.Load() - r.Uint32N(6), Height: b.Height, Size: len(raw), Data: raw}
	switch k := r.IntN(10); {
	case k < 3:
		low := 1 + r.Uint64N(40)
		c.write(from, &message.GetRange{Number: r.Uint32(), From: low, Upto: low + r.Uint64N(40), MaxBytes: r.IntN(5000)})
		return
	case k == 3: // in two pieces
		cut := r.IntN(len(raw))
		first := *m
		first.Data, m.Offset, m.Data = raw[:cut], cut, raw[cut:]
		c.write(from, &first)
	case k == 4:
		m = &message.Chunk{Number: m.Number, Last: true, Tip: r.Uint64N(100), Base: r.Uint64N(10)}
	case k == 5:
		m.Last = true
	}
	c.write(from, m)
}

// answer is the honest neighbour's: it holds all of the chain, and is late now and then.
func (c *crowd) answer(r *rand.Rand) {
	const top = chainBlocks
	for range len(c.asked) {
		m := <-c.asked
		if r.IntN(4) == 0 {
			c.asked <- m
			continue
		}
		switch m := m.(type) {
		case *message.Fetch:
			b := c.byID[m.Block]
			part := &message.Part{Number: m.Number, Block: m.Block, At: m.At}
			if len(m.At) == 0 {
				part.IDs = b.TxIDs()
			}
			for _, at := range m.At {
				part.Txs = append(part.Txs, b.Txs[at])
			}
			c.write(honest, part)
		case *message.Ask:
			for _, b := range c.chain {
				if message.Ref(b.ID()) == m.Ref {
					code := b.Code().List
					if m.Body {
						code = b.Code().Body
					}
					for _, run := range m.Leaves {
						for leaf := run.First; leaf < run.First+run.Count; leaf++ {
							c.write(honest, shards(b.ID(), code, m.Body, leaf, 1))
						}
					}
				}
			}
		case *message.GetRange:
			for h := m.From; h <= min(m.Upto, top); h++ {
				raw := c.chain[h-1].Bytes()
				c.write(honest, &message.Chunk{Number: m.Number, Height: h, Size: len(raw), Data: raw})
			}
			c.write(honest, &message.Chunk{Number: m.Number, Last: true, Tip: top, Base: 1})
		case *message.Pull:
			for h := m.Tip + 1; h <= min(m.Upto, top, m.Tip+16); h++ {
				a := announce(c.chain[h-1])
				a.Complete, a.Pulled = true, true
				c.write(honest, a)
			}
		}
	}
	if h := c.ledger.Tip().Height; r.IntN(50) == 0 && h < top {
		a := announce(c.chain[h])
		a.Complete = true
		c.write(honest, a)
	}
}
