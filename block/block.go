package block

import (
	"errors"
	"fmt"

	"grapevine/coding"
)

// Limits are the bounds that a network's genesis sets.
type Limits struct {
	MaxTxBytes   int    // one transaction's canonical bytes
	MaxBodyBytes int    // one block's body
	MaxBlockTxs  int    // transactions in one block
	MaxLifetime  uint64 // how many heights ahead a transaction may expire
	Coding       uint8  // of bodies of more than CodedAbove bytes: 0 none, 1 Reed–Solomon
}

func (l Limits) headerVersion() uint8 {
	if l.Coding == 0 {
		return headerUncoded
	}
	return headerCoded
}

// Block is a signed header with the transactions it commits to.
type Block struct {
	SignedHeader
	Txs  []*Tx
	id   ID
	body *coding.Code // what the transactions were read from; nil: nobody knows
}

// ID returns the header's ID, hashed once.
func (b *Block) ID() ID { return b.id }

// New joins a signed header and its transactions. It checks nothing: see Check.
func New(h SignedHeader, txs []*Tx) *Block {
	return &Block{SignedHeader: h, Txs: txs, id: h.Header.ID()}
}

// NewFrom is New of transactions that were read from a code: where their bytes are those that
// were coded, Check need not code them again.
func NewFrom(h SignedHeader, txs []*Tx, body *coding.Code) *Block {
	b := New(h, txs)
	b.body = body
	return b
}

// Clone returns the block with bytes of its own, which its transactions are slices of.
// They are kept, or let go of, together.
func (b *Block) Clone() *Block {
	c := &Block{SignedHeader: b.SignedHeader, Txs: make([]*Tx, len(b.Txs)), id: b.id}
	slab, body := make([]Tx, len(b.Txs)), b.Body()
	for i, t := range b.Txs {
		slab[i] = *t
		slab[i].keep(body[:t.Size():t.Size()])
		c.Txs[i], body = &slab[i], body[t.Size():]
	}
	return c
}

// Draft fills in everything of the header of a block that puts txs on parent,
// but for the signature. The caller has chosen txs within the network's limits.
func Draft(genesis ID, l Limits, parent Tip, nowNano int64, producer PublicKey, txs []*Tx) Header {
	ids := make([]ID, len(txs))
	size := 0
	for i, t := range txs {
		ids[i] = t.ID()
		size += t.Size()
	}
	h := Header{
		Version:  l.headerVersion(),
		Genesis:  genesis,
		Height:   parent.Height + 1,
		Parent:   parent.ID,
		TimeNano: max(nowNano, parent.TimeNano+1),
		TxCount:  uint32(len(txs)),
		BodySize: uint32(size),
		TxRoot:   TxRoot(ids),
		Producer: producer,
	}
	if l.Coding == 0 || size <= CodedAbove {
		h.ShortHash = ShortListHash(h.ShortKey().List(ids))
		return h
	}
	h.Coding = l.Coding
	c := New(SignedHeader{Header: h}, txs).code()
	h.Symbols, h.ListSize, h.ShardRoot, h.ShortHash = c.symbols, c.listSize, c.body.Root(), c.list.Root()
	return h
}

// TxIDs returns the IDs of the block's transactions, in order.
func (b *Block) TxIDs() []ID {
	ids := make([]ID, len(b.Txs))
	for i, t := range b.Txs {
		ids[i] = t.ID()
	}
	return ids
}

// Body returns the transactions' bytes, one after the other.
func (b *Block) Body() []byte { return b.appendBody(make([]byte, 0, b.BodySize)) }

// Bytes returns the block's canonical bytes: signed header and body.
func (b *Block) Bytes() []byte {
	out := b.AppendTo(make([]byte, 0, b.SignedHeader.Size()+int(b.BodySize)))
	return b.appendBody(append(out, b.Signature[:]...))
}

func (b *Block) appendBody(out []byte) []byte {
	for _, t := range b.Txs {
		out = append(out, t.Bytes()...)
	}
	return out
}

// Decode reads a block that fills raw and keeps raw, which must not change
// afterwards. The result has as many transactions and body bytes as its header
// says; everything else is Check's.
func Decode(raw []byte) (*Block, error) {
	h, body, err := DecodeSignedHeaderPrefix(raw)
	if err != nil {
		return nil, fmt.Errorf("block: %w", err)
	}
	txs, err := DecodeBody(&h.Header, body)
	if err != nil {
		return nil, err
	}
	return New(h, txs), nil
}

// DecodeBody reads the transactions of the body that belongs to h and fills raw.
func DecodeBody(h *Header, raw []byte) ([]*Tx, error) {
	if uint64(len(raw)) != uint64(h.BodySize) {
		return nil, fmt.Errorf("%w body: %d bytes, the header says %d", ErrMalformed, len(raw), h.BodySize)
	}
	if uint64(h.TxCount)*TxOverhead > uint64(len(raw)) {
		return nil, fmt.Errorf("%w body: %d bytes cannot hold %d transactions", ErrMalformed, len(raw), h.TxCount)
	}
	txs := make([]*Tx, 0, h.TxCount)
	for len(raw) > 0 {
		t, rest, err := DecodeTxPrefix(raw)
		if err != nil {
			return nil, fmt.Errorf("body, transaction %d: %w", len(txs), err)
		}
		txs, raw = append(txs, t), rest
	}
	if len(txs) != int(h.TxCount) {
		return nil, fmt.Errorf("%w body: %d transactions, the header says %d", ErrMalformed, len(txs), h.TxCount)
	}
	return txs, nil
}

// ErrRoot says that a body is not the one that the header commits to: whoever put it
// together erred, and not the producer.
var ErrRoot = fmt.Errorf("%w transaction root", ErrMalformed)

// Check refuses a block that could stand nowhere in this network's chain: a bad
// header, transactions other than those the header commits to, one of them twice,
// or one that is out of the limits. It checks no signature and nothing that needs
// the chain.
func (b *Block) Check(genesis ID, l Limits) error {
	if err := b.Header.Check(genesis, l); err != nil {
		return err
	}
	ids := b.TxIDs()
	if root := TxRoot(ids); root != b.TxRoot { // before all that the producer answers for
		return fmt.Errorf("block %s: %w %s, the header says %s", b.id.Short(), ErrRoot, root.Short(), b.TxRoot.Short())
	}
	if len(b.Txs) != int(b.TxCount) {
		return fmt.Errorf("block %s: %w: %d transactions, the header says %d", b.id.Short(), ErrMalformed, len(b.Txs), b.TxCount)
	}
	seen := make(map[ID]struct{}, len(b.Txs))
	size := 0
	for i, t := range b.Txs {
		if err := t.Check(l); err != nil {
			return fmt.Errorf("block %s: %w", b.id.Short(), err)
		}
		if err := t.CheckExpiry(b.Height, l); err != nil {
			return fmt.Errorf("block %s: %w", b.id.Short(), err)
		}
		if _, dup := seen[ids[i]]; dup {
			return fmt.Errorf("block %s: %w: transaction %s stands in it twice", b.id.Short(), ErrMalformed, ids[i].Short())
		}
		seen[ids[i]] = struct{}{}
		size += t.Size()
	}
	if size != int(b.BodySize) {
		return fmt.Errorf("block %s: %w: body of %d bytes, the header says %d", b.id.Short(), ErrMalformed, size, b.BodySize)
	}
	if err := b.checkCommitments(ids); err != nil {
		return fmt.Errorf("block %s: %w: %w", b.id.Short(), ErrMalformed, err)
	}
	return nil
}

// checkCommitments refuses a list and a code other than those of the transactions.
func (b *Block) checkCommitments(ids []ID) error {
	if b.Coding == 0 {
		if ShortListHash(b.ShortKey().List(ids)) != b.ShortHash {
			return errors.New("the short-ID list is not the one the header commits to")
		}
		return nil
	}
	symbols, listSize := b.measure()
	if symbols != b.Symbols || listSize != b.ListSize {
		return fmt.Errorf("its transactions take %d symbols and a list of %d bytes, the header says %d and %d", symbols, listSize, b.Symbols, b.ListSize)
	}
	switch c := b.code(); {
	case c.list.Root() != b.ShortHash:
		return errors.New("the list is not the one the header commits to")
	case c.body.Root() != b.ShardRoot:
		return errors.New("the shards are not those the header commits to")
	}
	return nil
}

// ErrExpired says that a transaction's expiry height has passed.
var ErrExpired = errors.New("expired")

// CheckExpiry refuses a transaction that may not stand at this height: its expiry
// has passed, or lies further ahead than the network allows.
func (t *Tx) CheckExpiry(height uint64, l Limits) error {
	if t.Expiry < height {
		return fmt.Errorf("transaction %s: %w: expiry height %d is below %d", t.id.Short(), ErrExpired, t.Expiry, height)
	}
	if t.Expiry-height > l.MaxLifetime {
		return fmt.Errorf("transaction %s: %w: expiry height %d is %d ahead of %d, the network's limit is %d", t.id.Short(), ErrMalformed, t.Expiry, t.Expiry-height, height, l.MaxLifetime)
	}
	return nil
}
