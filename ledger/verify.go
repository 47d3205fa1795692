package ledger

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dgraph-io/badger/v4"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
)

// Report says what Verify read.
type Report struct {
	Tip      block.Tip
	Blocks   uint64
	Txs      uint64
	Bytes    uint64 // of the blocks, in canonical form
	Recovery Recovery
}

// Fault is the first thing that Verify finds wrong.
type Fault struct {
	Height          uint64 // 0: of the directory, not of one block
	What            string
	Expected, Found string
}

func (f *Fault) Error() string {
	where := "ledger"
	if f.Height > 0 {
		where = fmt.Sprintf("height %d", f.Height)
	}
	return fmt.Sprintf("%s: %s: expected %s, found %s", where, f.What, f.Expected, f.Found)
}

// Unwrap returns ErrCorrupt.
func (f *Fault) Unwrap() error { return ErrCorrupt }

// Verify checks a whole ledger that no process has open: the checksums of Badger's
// tables; every header's place in the chain, producer and signature; every block
// against its header, every transaction's signature; that the indexes have every
// block and transaction in its place; and that nothing else is stored. It calls
// progress, when given, after each height.
//
// The error has a *Fault for the first thing wrong with the chain, and names files of the
// value log that do not match their checksums; otherwise it is why the directory could
// not be read: ErrHeld, ErrWrongNetwork, or ErrCorrupt from Badger's files.
//
// Verify holds the directory's lock, and changes nothing in it: it reads what opening the
// ledger would make of it, from copies of the logs, a value log file (64 MiB and a block)
// and two memtables at most, in the directory for temporary files. What opening will cut
// off after a crash is in the report.
func Verify(dir string, g *genesis.Genesis, progress func(height, tip uint64)) (Report, error) {
	if _, err := os.Stat(filepath.Join(dir, badger.ManifestFilename)); err != nil {
		return Report{}, fmt.Errorf("there is no ledger in %s: %w", dir, err)
	}
	l, err := open(Config{Dir: dir, Genesis: g}, openView)
	if err != nil {
		return Report{}, err
	}
	v := verifier{ledger: l, genesis: g, progress: progress}
	err = l.view(v.run)
	if fault := (*Fault)(nil); errors.As(err, &fault) {
		err = damaged(dir, errors.Join(err, badValueLogs(dir)))
	}
	if d, ok := l.db.(*disk); ok {
		v.report.Recovery = d.recovery
	}
	return v.report, errors.Join(err, l.Close())
}

// Hold keeps a ledger's directory from being opened until release is called, but for Verify.
// The error is ErrHeld when a process has it open.
func Hold(dir string) (release func() error, err error) { return hold(dir, true) }

// badValueLogs names the value log's files that have something else behind their last good
// entry than zeros; nil if there are none.
func badValueLogs(dir string) error {
	files, err := written(dir, "*.vlog")
	if err != nil {
		return err
	}
	var bad []error
	for _, path := range files {
		s, err := scanLog(path)
		if err != nil {
			return err
		}
		if s.rest > 0 {
			bad = append(bad, fmt.Errorf("value log %s: the entry at byte %d%s does not match its checksum", filepath.Base(path), s.valid, s.badKey))
		}
	}
	return errors.Join(bad...)
}

// verifier walks the chain once upwards, and then over all keys.
type verifier struct {
	ledger   *Ledger
	genesis  *genesis.Genesis
	progress func(height, tip uint64)
	report   Report
	read     reader
}

func (v *verifier) run(r reader) error {
	v.read = r
	if err := v.metadata(); err != nil {
		return err
	}
	end, err := v.end()
	if err != nil {
		return err
	}
	tip := block.Tip{ID: v.ledger.genesis}
	for tip.Height < end.Height {
		b, err := v.block(tip)
		if err != nil {
			return err
		}
		tip = b.Tip()
		v.report.Tip = tip
		v.report.Blocks++
		v.report.Txs += uint64(len(b.Txs))
		v.report.Bytes += uint64(b.SignedHeader.Size()) + uint64(b.BodySize)
		if v.progress != nil {
			v.progress(tip.Height, end.Height)
		}
	}
	if tip.ID != end.ID {
		return &Fault{tip.Height, "the tip record's block", tip.ID.String(), end.ID.String()}
	}
	return v.strays()
}

// value reads a key that must be there.
func (v *verifier) value(height uint64, what string, key []byte) ([]byte, error) {
	var out []byte
	err := v.read(key, func(value []byte) error {
		out = append(out, value...)
		return nil
	})
	if errors.Is(err, errNoKey) {
		return nil, &Fault{height, what, "a value under " + fmt.Sprintf("%q", key), "none"}
	}
	if err != nil {
		return nil, &Fault{height, what, "a readable value under " + fmt.Sprintf("%q", key), err.Error()}
	}
	return out, nil
}

func (v *verifier) metadata() error {
	meta, err := v.value(0, "metadata", []byte(keyMeta))
	if err != nil {
		return err
	}
	return v.ledger.checkMeta(meta)
}

// end returns the tip record, of height 0 when there is none.
func (v *verifier) end() (block.Tip, error) {
	err := v.read([]byte(keyTip), func([]byte) error { return nil })
	if errors.Is(err, errNoKey) {
		return block.Tip{ID: v.ledger.genesis}, nil
	}
	raw, err := v.value(0, "tip record", []byte(keyTip))
	if err != nil {
		return block.Tip{}, err
	}
	height, id, err := decodeTip(raw)
	if err != nil {
		return block.Tip{}, &Fault{0, "tip record", "height and block ID", err.Error()}
	}
	return block.Tip{Height: height, ID: id}, nil
}

// block checks the one that follows parent, and its index entries.
func (v *verifier) block(parent block.Tip) (*block.Block, error) {
	height := parent.Height + 1
	h, err := v.header(parent)
	if err != nil {
		return nil, err
	}
	body := make([]byte, 0, h.BodySize)
	for part := range parts(int(h.BodySize)) {
		what := fmt.Sprintf("part %d of the body", part)
		raw, err := v.value(height, what, bodyKey(height, part))
		if err != nil {
			return nil, err
		}
		if want := min(partSize, int(h.BodySize)-part*partSize); len(raw) != want {
			return nil, &Fault{height, what, fmt.Sprintf("%d bytes", want), fmt.Sprintf("%d bytes", len(raw))}
		}
		body = append(body, raw...)
	}
	txs, err := block.DecodeBody(&h.Header, body)
	if err != nil {
		return nil, &Fault{height, "body", fmt.Sprintf("%d transactions", h.TxCount), err.Error()}
	}
	b := block.New(*h, txs)
	if err := b.Check(v.ledger.genesis, v.ledger.limits); err != nil {
		return nil, &Fault{height, "block", "a valid one", err.Error()}
	}
	for _, err := range sig.VerifyTxs(v.ledger.genesis, txs) {
		if err != nil {
			return nil, &Fault{height, "transactions", "their senders' signatures", err.Error()}
		}
	}
	return b, v.indexes(b)
}

// header checks the one that follows parent, as far as it can be without the body.
func (v *verifier) header(parent block.Tip) (*block.SignedHeader, error) {
	height := parent.Height + 1
	raw, err := v.value(height, "header", headerKey(height))
	if err != nil {
		return nil, err
	}
	h, err := block.DecodeSignedHeader(raw)
	if err != nil {
		return nil, &Fault{height, "header", "a signed header", err.Error()}
	}
	switch {
	case h.Height != height:
		return nil, &Fault{height, "header's height", fmt.Sprint(height), fmt.Sprint(h.Height)}
	case h.Parent != parent.ID:
		return nil, &Fault{height, "header's parent", parent.ID.String(), h.Parent.String()}
	case h.TimeNano <= parent.TimeNano:
		return nil, &Fault{height, "header's time", fmt.Sprintf("more than %d", parent.TimeNano), fmt.Sprint(h.TimeNano)}
	case !v.genesis.Produces(h.Producer):
		return nil, &Fault{height, "producer", "the orderer, " + v.genesis.Producer(), genesis.PeerID(h.Producer)}
	}
	if err := h.Check(v.ledger.genesis, v.ledger.limits); err != nil {
		return nil, &Fault{height, "header", "a valid one", err.Error()}
	}
	if err := sig.VerifyHeader(&h); err != nil {
		return nil, &Fault{height, "header's signature", "the producer's", err.Error()}
	}
	return &h, nil
}

// indexes checks that the indexes have the block and its transactions in place. A
// transaction that stands in the chain twice has one entry for two places.
func (v *verifier) indexes(b *block.Block) error {
	raw, err := v.value(b.Height, "index entry of block "+b.ID().String(), idKey(prefixBlockID, b.ID()))
	if err != nil {
		return err
	}
	if height, err := decodeHeight(raw); err != nil || height != b.Height {
		return &Fault{b.Height, "index entry of block " + b.ID().String(), fmt.Sprintf("height %d", b.Height), orError(err, "height %d", height)}
	}
	want := entry{Place: Place{Height: b.Height}}
	for i, t := range b.Txs {
		what := "index entry of transaction " + t.ID().String()
		raw, err := v.value(b.Height, what, idKey(prefixTx, t.ID()))
		if err != nil {
			return err
		}
		want.Index, want.size = i, t.Size()
		if got, err := decodeEntry(raw); err != nil || got != want {
			return &Fault{b.Height, what, want.String(), orError(err, "%v", got)}
		}
		want.offset += want.size
	}
	return nil
}

func orError(err error, format string, args ...any) string {
	if err != nil {
		return err.Error()
	}
	return fmt.Sprintf(format, args...)
}
