package dissemination

import (
	"context"
	"errors"
	"fmt"
	"time"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/dissemination/fresh"
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
		switch m := m.(type) {
		case *message.Announce:
			err = d.onAnnounce(from, m)
		case *message.Pull:
			d.post(pulled{from, m})
		case *message.Tip:
			d.post(tipTold{from, m})
		case *message.Evidence:
			err = d.onEvidence(from, m)
		case *message.Fetch:
			d.onFetch(from, m)
		case *message.Part:
			err = d.onPart(from, m)
		case *message.GetRange:
			d.onGetRange(from, m)
		case *message.Chunk:
			err = d.onChunk(from, m)
		case *message.Inventory:
			d.onInventory(from, m)
		case *message.Want:
			d.onWant(from, m)
		case *message.Txs:
			err = d.onTxs(from, m)
		}
	}
	if err != nil {
		d.charge(from, err)
	}
}

// charge makes the peer pay for what it sent.
func (d *Driver) charge(from wire.PeerID, err error) {
	o := p2p.Invalid
	if errors.Is(err, wire.ErrMalformed) {
		o = p2p.Malformed
	}
	d.cfg.Host.Charge(from, o, err.Error())
}

// onAnnounce checks an announcement: its header's limits, producer and signature,
// its short IDs, if it has any, its prefill. Of a header that was found right before
// only the latter are left to check.
func (d *Driver) onAnnounce(from wire.PeerID, m *message.Announce) error {
	h := &m.Header
	id := h.Header.ID()
	d.shared.mu.Lock()
	have := d.shared.known[id]
	d.shared.mu.Unlock()
	ev := announced{from: from, msg: m, id: id, first: have == unknown}
	if ev.first {
		if err := d.checkHeader(h); err != nil {
			return err
		}
		d.checkAgainstChain(h, id)
		ev.old = h.Height <= d.cfg.Ledger.Tip().Height
	}
	if len(m.Shorts) == 0 {
		if m.Body {
			d.allow(from, h, id)
		}
		d.post(ev)
		return nil
	}
	if err := h.CheckShorts(m.Shorts); err != nil {
		return err
	}
	key := h.ShortKey()
	for i, t := range m.Prefill {
		if at := int(m.PrefillAt[i]); key.Short(t.ID()) != block.ShortAt(m.Shorts, at) {
			return fmt.Errorf("prefilled transaction %s does not match short ID %d of the block at height %d", t.ID().Short(), at, h.Height)
		}
	}
	if err := d.verifyNew(m.Prefill); err != nil {
		return err
	}
	if have <= unnamed && !ev.old {
		ev.matched = d.cfg.Pool.Match(key, m.Shorts)
	}
	d.post(ev)
	return nil
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

type pulled struct {
	from wire.PeerID
	msg  *message.Pull
}

func (ev pulled) apply(d *Driver, now time.Time) {
	d.fresh.Pulled(now, ev.from, ev.msg.Tip, ev.msg.Upto, ev.msg.Have)
	d.catchup.PeerTip(now, ev.from, ev.msg.Tip)
}

type tipTold struct {
	from wire.PeerID
	msg  *message.Tip
}

func (ev tipTold) apply(d *Driver, now time.Time) {
	d.fresh.TipTold(now, ev.from, ev.msg.Height)
	d.catchup.PeerTip(now, ev.from, ev.msg.Height)
}

// onFetch serves a block that is in the ledger at once, and leaves one that is on
// its way to the engine.
func (d *Driver) onFetch(from wire.PeerID, m *message.Fetch) {
	if _, err := d.cfg.Ledger.HeightOf(m.Block); errors.Is(err, ledger.ErrNotFound) {
		d.post(wanted{from, m})
		return
	}
	d.serveStored(from, m)
}

// serveStored answers a Fetch from the ledger, in any goroutine.
func (d *Driver) serveStored(to wire.PeerID, m *message.Fetch) {
	height, err := d.cfg.Ledger.HeightOf(m.Block)
	if err == nil {
		var b *block.Block
		if b, err = d.cfg.Ledger.Block(height); err == nil {
			d.sendParts(to, m.Number, m.Block, m.At, b.Txs)
			return
		}
	}
	d.log.Error("reading a block to serve it", "id", m.Block, "err", err)
	d.send(to, &message.Part{Number: m.Number, Block: m.Block, Missing: true})
}

type wanted struct {
	from wire.PeerID
	msg  *message.Fetch
}

func (ev wanted) apply(d *Driver, now time.Time) {
	d.fresh.Wanted(now, ev.from, ev.msg.Number, ev.msg.Block, ev.msg.At, ev.msg.Wait)
}

// onPart checks the signatures of what a request brought. Which place each belongs
// to is the loop's to check, against the block's short IDs.
func (d *Driver) onPart(from wire.PeerID, m *message.Part) error {
	if m.Number == 0 {
		return d.onPushed(from, m)
	}
	d.shared.mu.Lock()
	asked, ok := d.shared.fetches[m.Number]
	d.shared.mu.Unlock()
	if !ok || asked.peer != from || asked.block != m.Block {
		d.post(late{m.Block, sizeOf(m.Txs)}) // the block is here, or another was asked
		return nil
	}
	if err := d.verifyNew(m.Txs); err != nil {
		d.post(fetchFailed{from, m})
		return err
	}
	d.post(part{from, m})
	return nil
}

func sizeOf(list []*block.Tx) (bytes int) {
	for _, t := range list {
		bytes += t.Size()
	}
	return bytes
}

type fetchFailed struct {
	from wire.PeerID
	msg  *message.Part
}

func (ev fetchFailed) apply(d *Driver, now time.Time) {
	d.fresh.Refused(now, ev.from, ev.msg.Number, ev.msg.Block)
}

// Validate is the GossipSub topic's validator: it takes a batch of transactions
// into the pool, and passes it on only if one of them was new here.
func (d *Driver) Validate(_ context.Context, from wire.PeerID, data []byte) p2p.Verdict {
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
	added, err := d.offer(batch.Txs)
	switch {
	case err != nil:
		d.charge(from, err)
		return p2p.VerdictReject
	case added == 0:
		return p2p.VerdictIgnore
	}
	return p2p.VerdictAccept
}

// offer puts transactions from other peers into the pool, and returns how many were
// new. The error says that one of them is wrong whatever the time, which no honest
// peer passes on; the right ones are kept.
func (d *Driver) offer(list []*block.Tx) (added int, err error) {
	unknown := make([]*block.Tx, 0, len(list))
	height := d.cfg.Ledger.Tip().Height + 1
	for _, t := range list {
		if !d.cfg.Pool.Has(t.ID()) && t.CheckExpiry(height, d.limits) == nil {
			unknown = append(unknown, t)
		}
	}
	if len(unknown) == 0 {
		return 0, nil
	}
	good := unknown[:0]
	for i, e := range sig.VerifyTxs(d.network, unknown) {
		if e != nil {
			err = e
			continue
		}
		good = append(good, unknown[i])
	}
	for _, v := range d.cfg.Pool.Offer(time.Now(), good) {
		if v.Status == mempool.Accepted {
			added++
		}
	}
	return added, err
}

// facts of an engine's ways, as logs and reports spell them.
func viaName(v fresh.Via) string {
	switch v {
	case fresh.ViaOwn:
		return "own"
	case fresh.ViaPull:
		return "pull"
	}
	return "push"
}
