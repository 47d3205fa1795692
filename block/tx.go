package block

import (
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"errors"
	"fmt"
)

// TxOverhead is the size in bytes of a transaction with an empty payload.
const TxOverhead = txHead + 64

const (
	txVersion = 1
	txHead    = 54 // bytes before the payload
)

// Kind says what a transaction is for.
type Kind uint8

// The kinds of transaction. KindConfig has its number but no meaning yet, and
// every check refuses it.
const (
	KindPayload Kind = 0
	KindConfig  Kind = 1
)

// TxFields are the contents of a transaction that its sender chooses.
type TxFields struct {
	Kind   Kind
	Sender PublicKey
	Nonce  uint64
	// Expiry is the last height at which the transaction may stand in a block.
	Expiry  uint64
	Payload []byte
}

// Tx is a decoded transaction. It is immutable: nobody may write to its payload.
type Tx struct {
	TxFields
	Signature Signature
	raw       []byte
	id        ID
}

// UnsignedBytes returns the bytes that the sender signs, without domain and
// genesis: everything before the signature.
func (f TxFields) UnsignedBytes() []byte {
	b := make([]byte, 0, TxOverhead+len(f.Payload))
	b = append(b, txVersion, byte(f.Kind))
	b = append(b, f.Sender[:]...)
	b = binary.BigEndian.AppendUint64(b, f.Nonce)
	b = binary.BigEndian.AppendUint64(b, f.Expiry)
	b = binary.BigEndian.AppendUint32(b, uint32(len(f.Payload)))
	return append(b, f.Payload...)
}

// Seal joins fields and signature. It checks nothing.
func (f TxFields) Seal(s Signature) *Tx {
	raw := append(f.UnsignedBytes(), s[:]...)
	f.Payload = raw[txHead : len(raw)-len(s) : len(raw)-len(s)]
	return &Tx{TxFields: f, Signature: s, raw: raw, id: sha256.Sum256(raw)}
}

// ID returns the SHA-256 of the transaction's bytes.
func (t *Tx) ID() ID { return t.id }

// Bytes returns the canonical bytes, which the caller must not change.
func (t *Tx) Bytes() []byte { return t.raw }

// Size returns the length of the canonical bytes.
func (t *Tx) Size() int { return len(t.raw) }

// UnsignedBytes returns the bytes before the signature, which the caller must
// not change.
func (t *Tx) UnsignedBytes() []byte { return t.raw[:len(t.raw)-len(t.Signature)] }

// Errors that say what is wrong with a transaction, for callers that answer its
// submitter or charge its sender.
var (
	ErrMalformed   = errors.New("malformed")
	ErrTooLarge    = errors.New("too large")
	ErrUnsupported = errors.New("unsupported")
)

// DecodeTx reads a transaction that fills b. It keeps b, which must not change
// afterwards.
func DecodeTx(b []byte) (*Tx, error) {
	t, rest, err := DecodeTxPrefix(b)
	if err != nil {
		return nil, err
	}
	if len(rest) != 0 {
		return nil, fmt.Errorf("%w transaction: %d bytes follow its end", ErrMalformed, len(rest))
	}
	return t, nil
}

// DecodeTxPrefix reads the transaction that b begins with, and returns the rest.
func DecodeTxPrefix(b []byte) (*Tx, []byte, error) {
	if len(b) < TxOverhead {
		return nil, nil, fmt.Errorf("%w transaction: %d bytes, want at least %d", ErrMalformed, len(b), TxOverhead)
	}
	if b[0] != txVersion {
		return nil, nil, fmt.Errorf("%w transaction version %d: this software reads version %d", ErrUnsupported, b[0], txVersion)
	}
	if Kind(b[1]) > KindConfig {
		return nil, nil, fmt.Errorf("%w transaction kind %d: want 0", ErrUnsupported, b[1])
	}
	n := uint64(binary.BigEndian.Uint32(b[50:]))
	if n > uint64(len(b)-TxOverhead) {
		return nil, nil, fmt.Errorf("%w transaction: payload of %d bytes in %d bytes", ErrMalformed, n, len(b))
	}
	end := TxOverhead + int(n)
	raw := b[:end:end]
	t := &Tx{
		TxFields: TxFields{
			Kind:    Kind(b[1]),
			Sender:  PublicKey(b[2:34]),
			Nonce:   binary.BigEndian.Uint64(b[34:]),
			Expiry:  binary.BigEndian.Uint64(b[42:]),
			Payload: raw[txHead : txHead+int(n) : txHead+int(n)],
		},
		Signature: Signature(raw[end-64:]),
		raw:       raw,
		id:        sha256.Sum256(raw),
	}
	return t, b[end:], nil
}

// Clone returns the transaction with bytes of its own. A decoded one keeps all of what
// it was decoded from in memory.
func (t *Tx) Clone() *Tx {
	c := *t
	c.keep(bytes.Clone(t.raw))
	return &c
}

// keep puts other bytes of the same content under the transaction.
func (t *Tx) keep(raw []byte) {
	t.raw = raw
	t.Payload = raw[txHead : len(raw)-len(t.Signature) : len(raw)-len(t.Signature)]
}

// Check refuses a transaction that could stand in no block of a network with
// these limits, whatever its height.
func (t *Tx) Check(l Limits) error {
	if t.Kind != KindPayload {
		return fmt.Errorf("transaction %s: %w kind %d: configuration transactions are not built yet", t.id.Short(), ErrUnsupported, t.Kind)
	}
	if t.Size() > l.MaxTxBytes {
		return fmt.Errorf("transaction %s: %w: %d bytes, the network's limit is %d", t.id.Short(), ErrTooLarge, t.Size(), l.MaxTxBytes)
	}
	if t.Expiry == 0 {
		return fmt.Errorf("transaction %s: %w: expiry height is required", t.id.Short(), ErrMalformed)
	}
	return nil
}
