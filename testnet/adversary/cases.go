package adversary

import (
	"context"
	"math/rand/v2"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/p2p/wire"
)

// Cases returns all of them, the calm one first, in which nobody misbehaves.
func Cases() []Case {
	return []Case{
		{Name: "calm", What: "nobody misbehaves"},
		{Name: "idle", What: "40 identities do nothing", Liars: 40},
		{Name: "claims", What: "4 claim a chain of 2^40 blocks, and have none", Liars: 4, tip: 1 << 40, play: always(claim, time.Second)},
		{Name: "boasters", What: "8 announce every block as complete, and deliver nothing", Liars: 8, hear: boast},
		{Name: "garbage", What: "2 say what is no message", Liars: 2, Caught: true, play: always(garbage, 10*time.Millisecond)},
		{Name: "forgeries", What: "2 announce blocks that the orderer did not sign", Liars: 2, Caught: true, play: always(forge, 10*time.Millisecond), hear: remember},
		{Name: "unasked", What: "2 send transactions of blocks that nobody asked for", Liars: 2, Caught: true, play: always(unasked, 0)},
		{Name: "pulls", What: "4 pull as fast as they can", Liars: 4, play: always(pull, 0)},
		{Name: "tips", What: "4 tell their height as fast as they can", Liars: 4, play: always(claimLow, 0)},
		{Name: "replays", What: "4 announce old blocks, again and again", Liars: 4, play: always(replay, 0), hear: remember},
		{Name: "fetches", What: "4 ask for bodies of old blocks as fast as they can", Liars: 4, play: always(fetch, 0), hear: remember},
		{Name: "ranges", What: "4 ask for the whole chain as fast as they can", Liars: 4, play: always(getRange, 0)},
		{Name: "stalled", What: "16 ask for the whole chain and read nothing", Liars: 16, play: always(getRange, 10*time.Millisecond), hear: hang},
		{Name: "inventories", What: "4 compare pools as fast as they can", Liars: 4, play: always(compare, 0)},
		{Name: "wrong batches", What: "2 gossip transactions that are signed wrongly", Liars: 2, Caught: true, play: always(wrongBatch, 50*time.Millisecond)},
		{Name: "flood", What: "1 gossips 2,500 right transactions a second, of 1,000 keys", Liars: 1, play: flood},
		{Name: "stale batches", What: "2 gossip the same transactions, in ever new batches, as fast as they can", Liars: 2, play: stale},
		{Name: "faces", What: "2 tell half of the peers another record of themselves than the other half, under one version", Liars: 2, raw: twoFaces},
		{Name: "topics", What: "2 subscribe to thousands of topics, again and again", Liars: 2, raw: topics},
		{Name: "framing batches", What: "2 gossip a good transaction and an unsigned one that ends now", Liars: 2, play: always(frame, 50*time.Millisecond), hear: remember},
	}
}

// pause is what a liar waits when nothing of what it says finds room.
const pause = time.Millisecond

// always says something to every peer, over and over, with a pause of so long.
func always(say func(l *liar, to wire.PeerID) bool, every time.Duration) func(context.Context, *liar) {
	return func(ctx context.Context, l *liar) {
		for ctx.Err() == nil {
			sent := false
			for _, p := range l.victims() {
				sent = say(l, p) || sent
			}
			wait := every
			if !sent {
				wait = max(wait, pause)
			}
			if wait > 0 {
				select {
				case <-ctx.Done():
				case <-time.After(wait):
				}
			}
		}
	}
}

func claim(l *liar, to wire.PeerID) bool { return l.say(to, &message.Tip{Height: 1 << 40}) }

func claimLow(l *liar, to wire.PeerID) bool { return l.say(to, &message.Tip{Height: 1}) }

func pull(l *liar, to wire.PeerID) bool { return l.say(to, &message.Pull{Upto: message.MaxHave}) }

func getRange(l *liar, to wire.PeerID) bool {
	return l.say(to, &message.GetRange{Number: rand.Uint32(), From: 1, Upto: 1 << 20, MaxBytes: 2 << 20})
}

func garbage(l *liar, to wire.PeerID) bool {
	lane := wire.Blocks + wire.Lane(rand.IntN(int(wire.NumLanes-wire.Blocks)))
	return l.host.Send(to, lane, []byte("garbage"))
}

// forge announces a block that the orderer did not sign: one that it did sign, later.
func forge(l *liar, to wire.PeerID) bool {
	m := l.old()
	if m == nil {
		return false
	}
	forged := *m
	forged.Header.TimeNano += 1 + rand.Int64N(1e9)
	forged.Header.Height++
	forged.Block = message.Describe(&forged.Header.Header)
	return l.say(to, &forged)
}

func unasked(l *liar, to wire.PeerID) bool {
	tx := sig.Generate().SignTx(l.genesis.ID(), block.TxFields{Nonce: rand.Uint64(), Expiry: 1000, Payload: make([]byte, 1000)})
	return l.say(to, &message.Part{Number: rand.Uint32(), Block: tx.ID(), At: []uint32{0}, Txs: []*block.Tx{tx}})
}

func compare(l *liar, to wire.PeerID) bool {
	return l.say(to, &message.Inventory{Salt: block.SipKey{K0: rand.Uint64()}, High: ^uint64(0)})
}

func wrongBatch(l *liar, _ wire.PeerID) bool {
	f := block.TxFields{Sender: sig.Generate().Public(), Nonce: rand.Uint64(), Expiry: 1000}
	return l.publish(f.Seal(block.Signature{1}))
}

// frame sends a good transaction with one that nobody has signed, and that peers at this
// height do not look at, and peers a block behind do.
func frame(l *liar, _ wire.PeerID) bool {
	height := uint64(1)
	if m := l.last(); m != nil {
		height = m.Header.Height
	}
	good := sig.Generate().SignTx(l.genesis.ID(), block.TxFields{Nonce: rand.Uint64(), Expiry: height + 1000})
	f := block.TxFields{Sender: sig.Generate().Public(), Nonce: rand.Uint64(), Expiry: height}
	return l.publish(good, f.Seal(block.Signature{1}))
}

// flood gossips right transactions of many keys.
func flood(ctx context.Context, l *liar) {
	keys := make([]sig.Key, 1000)
	for i := range keys {
		keys[i] = sig.Generate()
	}
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		batch := make([]*block.Tx, 25)
		for i := range batch {
			batch[i] = l.right(keys[rand.IntN(len(keys))])
		}
		l.publish(batch...)
	}
}

// stale gossips the same transactions again and again, each time others of them together.
func stale(ctx context.Context, l *liar) {
	all := make([]*block.Tx, 400)
	for i := range all {
		all[i] = l.right(sig.Generate())
	}
	for ctx.Err() == nil {
		rand.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
		if !l.publish(all[:150]...) {
			time.Sleep(pause)
		}
	}
}

// right is a transaction with which nothing is wrong.
func (l *liar) right(key sig.Key) *block.Tx {
	return key.SignTx(l.genesis.ID(), block.TxFields{Nonce: rand.Uint64(), Expiry: 1000})
}

func (l *liar) publish(txs ...*block.Tx) bool {
	return l.host.Publish(message.Encode(&message.Txs{Txs: txs})) == nil
}

// hang reads nothing of what is large.
func hang(_ *liar, _ wire.PeerID, lane wire.Lane, _ []byte) bool { return lane == wire.Catchup }

// remember keeps the announcements that come.
func remember(l *liar, _ wire.PeerID, lane wire.Lane, msg []byte) bool {
	if m := l.announcement(lane, msg); m != nil {
		l.mu.Lock()
		defer l.mu.Unlock()
		if len(l.heard) < 100 {
			l.heard = append(l.heard, m)
		} else {
			l.heard[len(l.heard)-1] = m
		}
	}
	return false
}

func (l *liar) announcement(lane wire.Lane, msg []byte) *message.Announce {
	if lane != wire.Blocks {
		return nil
	}
	decoded, err := l.decoder.Decode(lane, msg)
	m, ok := decoded.(*message.Announce)
	if err != nil || !ok {
		return nil
	}
	m.At, m.Sizes, m.Txs = nil, nil, nil
	return m
}

// last returns the last announcement that came, if any did.
func (l *liar) last() *message.Announce {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heard) == 0 {
		return nil
	}
	return l.heard[len(l.heard)-1]
}

// old returns one of the announcements that came, if any did.
func (l *liar) old() *message.Announce {
	l.mu.Lock()
	defer l.mu.Unlock()
	if len(l.heard) == 0 {
		return nil
	}
	return l.heard[rand.IntN(len(l.heard))]
}

func replay(l *liar, to wire.PeerID) bool {
	m := l.old()
	return m != nil && l.say(to, m)
}

func fetch(l *liar, to wire.PeerID) bool {
	m := l.old()
	return m != nil && l.say(to, &message.Fetch{Number: rand.Uint32(), Block: m.Block.ID, At: []uint32{0}})
}

// boast passes every announcement on, as of a block that is complete here.
func boast(l *liar, from wire.PeerID, lane wire.Lane, msg []byte) bool {
	if m := l.announcement(lane, msg); m != nil {
		m.Complete = true
		for _, p := range l.victims() {
			if p != from {
				l.say(p, m)
			}
		}
	}
	return false
}
