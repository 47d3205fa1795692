package dissemination

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"sync"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/message"
	"grapevine/ledger"
	"grapevine/mempool"
	"grapevine/p2p"
	"grapevine/p2p/wire"
)

// Receive implements p2p.Handler: it decodes and checks a message in the goroutine
// of the peer's lane, and hands what is right to the loop.
func (d *Driver) Receive(from wire.PeerID, lane wire.Lane, msg []byte) {
	m, err := d.decoder.Decode(lane, msg)
	if err == nil {
		d.metrics.message(m.Kind(), "in", len(msg))
		d.turns[lane].wait(from, gap(m, len(msg)))
		err = d.take(from, m)
	}
	if err != nil {
		d.charge(from, err)
	}
}

// take checks what a message says, and hands it to whom it concerns.
func (d *Driver) take(from wire.PeerID, m message.Message) error {
	switch m := m.(type) {
	case *message.Announce:
		return d.onAnnounce(from, m)
	case *message.Pull, *message.Tip:
		d.toCore(from, m)
	case *message.Evidence:
		return d.onEvidence(m)
	case *message.Ordering:
		if d.cfg.Hear != nil {
			return d.cfg.Hear(from, m.Data)
		}
	case *message.Fetch:
		d.onFetch(from, m)
	case *message.Part:
		return d.onPart(from, m)
	case *message.Shards:
		return d.onShards(from, m)
	case *message.Ask:
		d.onAsk(from, m)
	case *message.Enough, *message.Got, *message.Stripes, *message.Graft, *message.Need, *message.Have:
		d.toCore(from, m)
	case *message.GetRange:
		d.onGetRange(from, m)
	case *message.Chunk:
		return d.onChunk(from, m)
	case *message.Inventory:
		d.pools.onInventory(from, m)
	case *message.Want:
		d.pools.onWant(from, m)
	case *message.Txs:
		return d.onTxs(from, m)
	}
	return nil
}

// onTxs takes the transactions that a comparison of pools asked for.
func (d *Driver) onTxs(from wire.PeerID, m *message.Txs) error {
	asked, unasked, got, err := d.pools.onTxs(from, m)
	if got.added > 0 {
		d.hasBrought(from)
	}
	if err == nil && !asked && !d.credits.spend(from, unasked) {
		err = errUnasked
	}
	return err
}

// toCore hands a message to the core as it is.
func (d *Driver) toCore(from wire.PeerID, m message.Message) {
	d.post(func(now time.Time) { d.core.Receive(now, from, m, nil) })
}

// errUnasked says that a peer has sent more than it can have been asked for.
var errUnasked = errors.New("more answers than this node has asked for")

// charge makes the peer pay for what it sent.
func (d *Driver) charge(from wire.PeerID, err error) {
	o := p2p.Invalid
	switch {
	case errors.Is(err, wire.ErrMalformed):
		o = p2p.Malformed
	case errors.Is(err, errUnasked):
		o = p2p.Unasked
	}
	d.cfg.Host.Charge(from, o, err.Error())
}

// onAnnounce checks an announcement: its header's limits, producer and signature, its
// short IDs and its prefill. Of a header that was found right before only the latter
// are left to check.
func (d *Driver) onAnnounce(from wire.PeerID, m *message.Announce) error {
	h := &m.Header
	first := !d.headers.has(m.Block.ID)
	if first && !d.inChain(h) {
		if err := d.checkHeader(h); err != nil {
			return err
		}
		d.checkAgainstChain(h, m.Block.ID)
	}
	if h.Coding != 0 && !m.Listed { // list and body come as shards
		if len(m.Txs) > 0 {
			return fmt.Errorf("%w: an announcement without a list, and with %d transactions", wire.ErrMalformed, len(m.Txs))
		}
		d.post(func(now time.Time) { d.announced(now, from, m, first, nil) })
		return nil
	}
	if err := h.CheckList(m.List); err != nil {
		return err
	}
	if h.Coding != 0 {
		if _, err := h.ReadList(m.List); err != nil { // the producer's fault, and not the sender's
			d.post(func(time.Time) { d.malformed(h, m.List, false, err) })
			return nil
		}
	}
	key := h.ShortKey()
	for i, t := range m.Txs {
		if at := int(m.At[i]); key.Short(t.ID()) != block.ShortAt(m.List, at) {
			return fmt.Errorf("prefilled transaction %s does not match short ID %d of the block at height %d", t.ID().Short(), at, h.Height)
		}
	}
	if err := d.verifyNew(m.Txs); err != nil {
		return err
	}
	var matched []*block.Tx
	if first && h.Height > d.cfg.Ledger.Tip().Height {
		matched = d.cfg.Pool.Match(key, m.List[:int(h.TxCount)*block.ShortSize])
	}
	d.post(func(now time.Time) { d.announced(now, from, m, first, matched) })
	return nil
}

// inChain says whether the ledger has a header, which then is as the ledger has it.
func (d *Driver) inChain(h *block.SignedHeader) bool {
	if h.Height > d.cfg.Ledger.Tip().Height {
		return false
	}
	have, err := d.cfg.Ledger.Header(h.Height)
	if err != nil || have.Header != h.Header {
		return false
	}
	*h = have
	return true
}

// checkHeader refuses a header that the orderer of this network did not make.
func (d *Driver) checkHeader(h *block.SignedHeader) error {
	if err := h.Check(d.network, d.limits); err != nil {
		return err
	}
	return d.cfg.Genesis.CheckProducer(h)
}

// verifyNew checks the signatures of the transactions that the pool does not hold:
// those that it holds were checked when they entered it.
func (d *Driver) verifyNew(list []*block.Tx) error {
	var unknown []*block.Tx
	for _, t := range list {
		if !d.cfg.Pool.Has(t.ID()) {
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return nil
	}
	return errors.Join(sig.VerifyTxs(d.network, unknown)...)
}

// onFetch serves a block that is in the ledger at once, and leaves one that is on
// its way to the core.
func (d *Driver) onFetch(from wire.PeerID, m *message.Fetch) {
	switch height, err := d.cfg.Ledger.HeightOf(m.Block); {
	case err == nil:
		d.serveStored(from, m, height)
	case errors.Is(err, ledger.ErrNotFound):
		d.toCore(from, m)
	default:
		d.log.Error("looking for a block to serve it", "id", m.Block, "err", err)
		d.send(from, message.Refusal(m.Number, m.Block))
	}
}

// request is a Fetch of ours.
type request struct {
	peer  wire.PeerID
	block block.ID
}

// requests are the Fetches whose answers are welcome: until their block is durable or
// forgotten.
type requests struct {
	mu   sync.Mutex
	open map[request]uint32 // guarded by mu; the number of the last of each
}

func (r *requests) begin(number uint32, x request) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.open[x] = number
}

// has says whether the last request for a block to a peer was of that number. The core
// sends no other before that is answered, or given up.
func (r *requests) has(number uint32, x request) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	open, ok := r.open[x]
	return ok && open == number
}

// end forgets the requests for a block: what still comes is not wanted.
func (r *requests) end(id block.ID) {
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.open, func(x request, _ uint32) bool { return x.block == id })
}

// onPart checks the signatures of what a request brought. Which place each belongs
// to is the loop's to check, against the block's short IDs.
func (d *Driver) onPart(from wire.PeerID, m *message.Part) error {
	if !d.credits.spend(from, sizeOf(m.Txs)+len(m.IDs)*len(block.ID{})) {
		return errUnasked
	}
	if !d.requests.has(m.Number, request{from, m.Block}) { // the block is here, or another was asked
		d.post(func(time.Time) { d.core.Unasked(m.Block, sizeOf(m.Txs)) })
		return nil
	}
	if err := d.verifyNew(m.Txs); err != nil {
		d.post(func(now time.Time) { d.core.Failed(now, from, m.Number, m.Block) })
		return err
	}
	d.post(func(now time.Time) { d.brought(now, from, m) })
	return nil
}

func sizeOf(list []*block.Tx) (bytes int) {
	for _, t := range list {
		bytes += t.Size()
	}
	return bytes
}

// Validate is the GossipSub topic's validator: it takes a batch of transactions
// into the pool, and passes it on only if one of them was new here, and all of them may
// stand in the next block. What is not passed on the comparisons of pools spread. A
// neighbour whose gossip brought nothing new, again and again, is not listened to for a
// while; it is not charged, for it may be late, and mean well.
func (d *Driver) Validate(_ context.Context, from wire.PeerID, data []byte) p2p.Verdict {
	if d.stale.over(from) {
		return p2p.VerdictIgnore
	}
	m, err := d.decoder.Decode(wire.Txs, data)
	batch, ok := m.(*message.Txs)
	if err == nil && !ok {
		err = fmt.Errorf("%w: not a batch of transactions", wire.ErrMalformed)
	}
	if err != nil {
		d.charge(from, err)
		return p2p.VerdictReject
	}
	d.metrics.message("gossip", "in", len(data))
	got, err := d.takeTxs(from, batch.Txs)
	if got.added > 0 {
		d.hasBrought(from)
	} else {
		d.stale.use(from, staleGap+time.Duration(len(data))*time.Second/bytesPerSec)
	}
	switch {
	case err != nil:
		d.charge(from, err)
		return p2p.VerdictReject
	case got.added == 0 || got.untimely > 0: // what nobody has checked is not to travel with what is new
		return p2p.VerdictIgnore
	}
	return p2p.VerdictAccept
}

// taken says what became of transactions from another peer: how many were new, and how
// many may not stand in the next block, so that nobody looked whether they are right.
type taken struct{ added, untimely int }

// takeTxs puts transactions from other peers into the pool. The error says that one of
// them is wrong whatever the time, which no honest peer passes on; the right ones are
// kept.
func (d *Driver) takeTxs(from wire.PeerID, list []*block.Tx) (got taken, err error) {
	height := d.cfg.Ledger.Tip().Height + 1
	timely := make([]*block.Tx, 0, len(list))
	for _, t := range list {
		if t.CheckExpiry(height, d.limits) == nil {
			timely = append(timely, t)
		}
	}
	got.untimely = len(list) - len(timely)
	verdicts := d.cfg.Pool.OfferUnchecked(time.Now(), string(from), timely, func(lacking []*block.Tx) []error {
		errs := sig.VerifyTxs(d.network, lacking)
		err = errors.Join(errs...)
		return errs
	})
	for _, v := range verdicts {
		if v.Status == mempool.Accepted {
			got.added++
		}
	}
	return got, err
}
