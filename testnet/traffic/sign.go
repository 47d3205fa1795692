package traffic

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"

	"grapevine/block"
	"grapevine/block/sig"
)

// Signer makes transactions of one sender for one network.
type Signer struct {
	Key     sig.Key
	Genesis block.ID
	Expiry  uint64
}

// Sign makes a transaction with a random nonce, so that equal payloads are
// different transactions.
func (s Signer) Sign(payload []byte) *block.Tx {
	return s.Key.SignTx(s.Genesis, block.TxFields{Nonce: rand.Uint64(), Expiry: s.Expiry, Payload: payload})
}

// Batch makes transactions of so many bytes each, the smallest that there are if that is
// less. Nonces and payloads are a stream's.
func (s Signer) Batch(count, bytes int, stream *rand.Rand) []*block.Tx {
	txs := make([]*block.Tx, count)
	for k := range txs {
		payload := make([]byte, max(0, bytes-block.TxOverhead))
		noise(payload, stream)
		txs[k] = s.Key.SignTx(s.Genesis, block.TxFields{Nonce: stream.Uint64(), Expiry: s.Expiry, Payload: payload})
	}
	return txs
}

// noise fills a text from a stream.
func noise(text []byte, stream *rand.Rand) {
	var seed [32]byte
	for i := 0; i < len(seed); i += 8 {
		binary.LittleEndian.PutUint64(seed[i:], stream.Uint64())
	}
	rand.NewChaCha8(seed).Read(text) // it never fails
}

// Expiry returns an expiry height for a transaction that is made at a height, in a
// network with this lifetime. A tenth of the lifetime is left out, so that a peer
// that is a little behind does not find it too far ahead.
func Expiry(height, lifetime uint64) uint64 { return height + lifetime - lifetime/10 }

// Lines reads payloads, one a line, without the line breaks. Empty lines are
// passed over. A line longer than longest bytes is an error that names it.
func Lines(r io.Reader, longest int) ([][]byte, error) {
	in := bufio.NewReaderSize(r, 64<<10)
	var lines [][]byte
	for n := 1; ; n++ {
		line, err := in.ReadBytes('\n')
		if err != nil && !errors.Is(err, io.EOF) {
			return nil, fmt.Errorf("reading line %d: %w", n, err)
		}
		line = bytes.TrimSuffix(bytes.TrimSuffix(line, []byte("\n")), []byte("\r"))
		if len(line) > longest {
			return nil, fmt.Errorf("line %d has %d bytes: the network takes payloads of at most %d", n, len(line), longest)
		}
		if len(line) > 0 {
			lines = append(lines, line)
		}
		if err != nil {
			return lines, nil
		}
	}
}
