package api

import (
	"encoding/hex"
	"time"

	"grapevine/api/apipb"
	"grapevine/block"
	"grapevine/dissemination/arrival"
)

// timeView writes a time as RFC 3339 in UTC, to the nanosecond; the zero time as "".
func timeView(t time.Time) string {
	if t.IsZero() {
		return ""
	}
	return t.UTC().Format(time.RFC3339Nano)
}

func nanoView(nano int64) string { return timeView(time.Unix(0, nano)) }

func txView(t *block.Tx, withRaw bool) *apipb.Tx {
	v := &apipb.Tx{
		Id:        t.ID().String(),
		Kind:      uint32(t.Kind),
		Sender:    t.Sender.String(),
		Nonce:     t.Nonce,
		Expiry:    t.Expiry,
		Payload:   t.Payload,
		Signature: hex.EncodeToString(t.Signature[:]),
	}
	if withRaw {
		v.Raw = t.Bytes()
	}
	return v
}

func headerView(h *block.SignedHeader, id block.ID) *apipb.Header {
	return &apipb.Header{
		Id:        id.String(),
		Genesis:   h.Genesis.String(),
		Params:    h.Params,
		Height:    h.Height,
		Parent:    h.Parent.String(),
		Time:      nanoView(h.TimeNano),
		Txs:       h.TxCount,
		Bytes:     h.BodySize,
		TxRoot:    h.TxRoot.String(),
		ShortHash: h.ShortHash.String(),
		Coding:    uint32(h.Coding),
		ShardRoot: h.ShardRoot.String(),
		Producer:  h.Producer.String(),
		Signature: hex.EncodeToString(h.Signature[:]),
		Version:   uint32(h.Version),
		Symbols:   h.Symbols,
		ListBytes: h.ListSize,
	}
}

func bodyView(b *block.Block, d detail) *apipb.Body {
	v := &apipb.Body{}
	switch d.txs {
	case TxsIDs:
		v.TxIds = make([]string, len(b.Txs))
		for i, t := range b.Txs {
			v.TxIds[i] = t.ID().String()
		}
	case TxsFull:
		v.Transactions = make([]*apipb.Tx, len(b.Txs))
		for i, t := range b.Txs {
			v.Transactions[i] = txView(t, false)
		}
	}
	if d.raw {
		v.Raw = b.Bytes()
	}
	return v
}

func factView(f arrival.Accepted) *apipb.Fact {
	return &apipb.Fact{
		Via:        f.Via.String(),
		From:       string(f.From),
		Hop:        uint32(f.Hop),
		Latency:    f.Latency.Nanoseconds(),
		Missing:    uint32(f.Missing),
		Duplicates: f.Duplicates(),
		Accepted:   timeView(f.At),
	}
}

func memberView(m Member) *apipb.Member {
	return &apipb.Member{
		PeerId:    m.PeerID,
		State:     m.State,
		Neighbour: m.Neighbour,
		Addrs:     m.Addrs,
		Height:    m.Height,
		Base:      m.Base,
		Software:  m.Software,
		Silent:    m.Silent.Nanoseconds(),
	}
}

func limitsView(l block.Limits) *apipb.Limits {
	return &apipb.Limits{
		MaxTxBytes:     uint64(l.MaxTxBytes),
		MaxBodyBytes:   uint64(l.MaxBodyBytes),
		MaxBlockTxs:    uint64(l.MaxBlockTxs),
		MaxLifetime:    l.MaxLifetime,
		MaxSubmitTxs:   MaxSubmitTxs,
		MaxSubmitBytes: MaxSubmitBytes,
		Coding:         uint32(l.Coding),
	}
}
