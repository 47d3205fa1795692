package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"regexp"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spf13/pflag"

	"grapevine/block"
	"grapevine/block/sig"
	"grapevine/genesis"
	"grapevine/ledger"
	"grapevine/mempool"
	"grapevine/node"
	"grapevine/ordering"
)

// memo is what an orderer's home must still have, whatever happened to one byte of it.
type memo struct {
	peer    string
	blocks  []*block.Block
	pending []*block.Tx
	lock    block.ID
}

// flipState is a home as it lies on the disk, and what it was made of.
type flipState struct {
	name  string
	files images
	memo
}

// flipHomes makes the home of an orderer that is alone, and returns how it lies on the
// disk when its process is killed, and when it was stopped in order.
func flipHomes(t *testing.T) []flipState {
	t.Helper()
	home := filepath.Join(t.TempDir(), "alice")
	key, sender := sig.NewKey([32]byte{1}), sig.NewKey([32]byte{2})
	g, err := genesis.New(genesis.Genesis{
		ChainID: "flips", Ordering: genesis.Ordering{Type: "solo", Orderer: genesis.PeerID(key.Public())},
		Admission: genesis.Admission{Type: "open"}, Limits: genesis.Limits{MaxTxBytes: 4 << 10, MaxBodyBytes: 64 << 10, MaxBlockTxs: 20},
	})
	if err != nil {
		t.Fatal(err)
	}
	s := defaultSettings()
	s.API, s.Alone, s.Listen = noAPI, true, []string{"/ip4/127.0.0.1/udp/0/quic-v1"}
	var given []setting
	for _, row := range s.table() {
		if row.key == "api" || row.key == "alone" || row.key == "listen" {
			given = append(given, row)
		}
	}
	if err := (place{path: home}).makeHome(key, g, given); err != nil {
		t.Fatal(err)
	}
	var m memo
	m.peer = genesis.PeerID(key.Public())
	live := func(blocks, pending int) images {
		const each = 4
		durable := make(chan *block.Block, blocks)
		cfg, err := openHome(home, slog.New(slog.DiscardHandler))
		if err != nil {
			t.Fatal(err)
		}
		cfg.Cutter = ordering.CutterConfig{MaxTxs: each, Timeout: time.Hour, Settle: -1}
		cfg.OnBlockFrom = uint64(len(m.blocks) + 1)
		cfg.OnBlock = func(_ context.Context, b *block.Block) error { durable <- b; return nil }
		n, err := newNode(cfg)
		if err != nil {
			t.Fatal(err)
		}
		ctx, stop := context.WithCancel(t.Context())
		defer stop()
		ended := make(chan error, 1)
		go func() { ended <- n.Run(ctx) }()
		for i := range blocks*each + pending {
			tx := sender.SignTx(g.ID(), block.TxFields{Nonce: uint64(len(m.blocks)*1000 + i), Expiry: 1000, Payload: bytes.Repeat([]byte{byte(i + 1)}, 150)})
			verdicts, err := n.Submit(ctx, []*block.Tx{tx})
			if err != nil || verdicts[0].Status != mempool.Accepted {
				t.Fatal(err, verdicts)
			}
			if i >= blocks*each {
				m.pending = append(m.pending, tx)
			} else if i%each == each-1 {
				select {
				case b := <-durable:
					m.blocks = append(m.blocks, b)
				case err := <-ended:
					t.Fatal(err)
				}
			}
		}
		killed, err := imagesOf(home)
		if err != nil {
			t.Fatal(err)
		}
		stop()
		if err := <-ended; err != nil {
			t.Fatal(err)
		}
		return killed
	}
	live(2, 0)
	killed := live(3, 3)
	stopped, err := imagesOf(home)
	if err != nil {
		t.Fatal(err)
	}
	m.lock = m.blocks[len(m.blocks)-1].ID()
	return []flipState{{"killed", killed, m}, {"stopped", stopped, m}}
}

// openHome reads a home as peer start does.
func openHome(home string, logger *slog.Logger) (node.Config, error) {
	s, flags := defaultSettings(), pflag.NewFlagSet("start", pflag.ContinueOnError)
	s.addFlags(flags)
	cfg, err := loadHome(home, s, func() error { return s.load(flags, filepath.Join(home, configFile)) })
	if err == nil {
		err = checkSettings(home, cfg)
	}
	cfg.Logger = logger
	return cfg, err
}

// remedy is how an error that says what to do says it.
var remedy = regexp.MustCompile(`(?i)\b(put|move|give|remove|rename|run|make|start|want|take|did you mean|see|restore)\b`)

// flip changes one byte of a file, and says what is wrong with what became of it.
func (s *flipState) flip(dir, name string, at int64) (outcome string, err error) {
	defer os.RemoveAll(dir)
	files := images{}
	for n, i := range s.files {
		files[n] = i
	}
	files[name] = files[name].flipped(at)
	if err := files.write(dir); err != nil {
		return "", err
	}
	_, verr := verifyHome(dir, func(_, _ uint64) {})
	after, err := imagesOf(dir)
	if err != nil {
		return "", err
	}
	if changed := files.differs(after); changed != "" {
		return "", fmt.Errorf("verify changed %s (and said %v)", changed, verr)
	}
	if verr != nil && !refuses(verr, dir, name) {
		return "", fmt.Errorf("verify refuses without file and remedy: %w", verr)
	}
	var log bytes.Buffer
	oerr := s.open(dir, slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelWarn})))
	var lost lostError
	switch {
	case oerr == nil && verr == nil:
		return "same", nil
	case oerr == nil:
		return "same, verify refuses", nil
	case errors.As(oerr, &lost):
		if lost.bad || !strings.Contains(log.String(), filepath.Base(name)) {
			return "", fmt.Errorf("%w; log: %s; verify: %v", oerr, log.String(), verr)
		}
		return "last write lost, with a word", nil
	case !refuses(oerr, dir, name):
		return "", fmt.Errorf("start refuses without file and remedy: %w", oerr)
	case verr == nil && name != configFile:
		return "", fmt.Errorf("verify says nothing where start refuses: %w", oerr)
	}
	return "refused", nil
}

// aliases are what errors call a file that whoever embeds a node may not have.
var aliases = map[string]*regexp.Regexp{
	genesisFile: regexp.MustCompile(`genesis file`),
	keyFile:     regexp.MustCompile(`the key is that of`),
	configFile:  regexp.MustCompile(`api address|listening on`),
}

// refuses says whether an error names a file, and what to do.
func refuses(err error, dir, name string) bool {
	text := strings.ReplaceAll(err.Error(), dir, "")
	alias := aliases[name]
	return remedy.MatchString(text) && (strings.Contains(text, filepath.Base(name)) || alias != nil && alias.MatchString(text))
}

// lostError says that a node opens, and is without something that it had.
type lostError struct {
	what string
	bad  bool // it was not the last write, or is something else
}

func (e lostError) Error() string { return e.what }

// open opens a home as peer start does, and compares what it has with what it had. The
// error is a lostError, or why it does not open.
func (s *flipState) open(home string, logger *slog.Logger) error {
	cfg, err := openHome(home, logger)
	if err != nil {
		return err
	}
	n, err := newNode(cfg)
	if err != nil {
		return err
	}
	defer n.Close()
	if id := string(n.ID()); id != s.peer {
		return lostError{fmt.Sprintf("the peer is %s, not %s", id, s.peer), true}
	}
	tip := n.Tip().Height
	for i, want := range s.blocks {
		if uint64(i) >= tip {
			break
		}
		if got, err := n.Block(want.Height); err != nil {
			if !errors.Is(err, ledger.ErrCorrupt) || !remedy.MatchString(err.Error()) { // verify names the file
				return lostError{fmt.Sprintf("height %d: %v", want.Height, err), true}
			}
		} else if !bytes.Equal(got.Bytes(), want.Bytes()) {
			return lostError{fmt.Sprintf("height %d is another block", want.Height), true}
		}
	}
	lock, err := ordering.OpenLock(filepath.Join(home, lockFile))
	if err != nil || lock.ID() != s.lock {
		return lostError{fmt.Sprintf("the lock is another one (%v)", err), true}
	}
	missing := s.missing(home)
	if behind := uint64(len(s.blocks)) - tip; behind > 0 || missing > 0 {
		return lostError{fmt.Sprintf("%d blocks and %d transactions are lost", behind, missing), behind+uint64(missing) > 1}
	}
	return nil
}

// missing counts the acknowledged transactions that the journal is without, once opened.
func (s *flipState) missing(home string) (count int) {
	var all []byte
	filepath.WalkDir(filepath.Join(home, "journal"), func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			raw, _ := os.ReadFile(path)
			all = append(all, raw...)
		}
		return err
	})
	for _, tx := range s.pending {
		if !bytes.Contains(all, tx.Bytes()) {
			count++
		}
	}
	return count
}

// TestFlips: one bit of one byte of a small home goes bad, and then another one, of each
// of its files. Whoever opens the home finds the same in it, or is refused with the
// file's name and what to do; what had been acknowledged is not lost without a word; and
// verify, which finds whatever start refuses, changes nothing. One byte in 50 is tried,
// or as GRAPEVINE_FLIPS says: 1 is all of them.
func TestLargeFlips(t *testing.T) {
	every := 50
	if text := os.Getenv("GRAPEVINE_FLIPS"); text != "" {
		var err error
		if every, err = strconv.Atoi(text); err != nil || every < 1 {
			t.Fatalf("GRAPEVINE_FLIPS is %q: want one byte in how many, such as 1", text)
		}
	}
	dir := t.TempDir()
	if shm, err := os.MkdirTemp("/dev/shm", "flips-*"); err == nil { // where nothing is synced
		dir = shm
		t.Setenv("TMPDIR", shm)
		t.Cleanup(func() { os.RemoveAll(shm) })
	}
	for _, s := range flipHomes(t) {
		t.Run(s.name, func(t *testing.T) { s.flipAll(t, dir, every) })
	}
}

// verify says what it looked at, and what is wrong with each of it.
func TestVerifyLooksAtTheWholeHome(t *testing.T) {
	s := flipHomes(t)[1]
	dir := filepath.Join(t.TempDir(), "alice")
	if err := s.files.write(dir); err != nil {
		t.Fatal(err)
	}
	v, err := verifyHome(dir, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, c := range v.Checked {
		if c.Fault != "" || c.Found == "" {
			t.Errorf("of a good home it says %+v", c)
		}
	}
	for what, file := range map[string]string{"identity": "peer-id", "ledger": "ledger/MANIFEST", "lock": lockFile, "journal": "journal/0000000000000002.journal", "incarnation": "incarnation"} {
		was := s.files[file]
		if err := os.WriteFile(filepath.Join(dir, file), []byte("nonsense"), 0o600); err != nil {
			t.Fatal(err)
		}
		v, err := verifyHome(dir, nil)
		if v.OK || !strings.Contains(fmt.Sprint(err), filepath.Base(file)) || !strings.Contains(v.Fault, filepath.Base(file)) {
			t.Errorf("%s is nonsense: ok %v, %q, %v", file, v.OK, v.Fault, err)
		}
		for _, c := range v.Checked {
			if wrong := c.Fault != ""; wrong != (c.What == what) {
				t.Errorf("%s is nonsense: it says %+v", file, c)
			}
		}
		if err := errors.Join(os.Remove(filepath.Join(dir, file)), was.write(filepath.Join(dir, file))); err != nil {
			t.Fatal(err)
		}
	}
}

// flipAll flips one written byte in so many of each file, and another one of each file
// than the last time.
func (s *flipState) flipAll(t *testing.T, dir string, every int) {
	type job struct {
		name string
		at   int64
	}
	jobs, outcomes := make(chan job), make([]map[string]int, runtime.GOMAXPROCS(0))
	var wait sync.WaitGroup
	var failed atomic.Int64
	for w := range outcomes {
		outcomes[w] = map[string]int{}
		wait.Go(func() {
			for j := range jobs {
				what, err := s.flip(filepath.Join(dir, fmt.Sprintf("%s-%d", s.name, w)), j.name, j.at)
				if err != nil {
					if what = "WRONG"; failed.Add(1) <= 200 {
						t.Errorf("%s, byte %d: %v", j.name, j.at, err)
					}
				}
				outcomes[w][fmt.Sprintf("%s: %s", j.name, what)]++
			}
		})
	}
	begun, offset := time.Now(), every/2 // the same ones each time: what fails, fails again
	count := 0
	for _, name := range s.files.names() {
		places := s.files[name].places()
		for k := range places {
			if (k+offset)%every == 0 || len(places) < every && k == offset%len(places) {
				jobs <- job{name, places[k]}
				count++
			}
		}
	}
	close(jobs)
	wait.Wait()
	sum := images{}
	total := map[string]int{}
	for _, o := range outcomes {
		for k, n := range o {
			total[k] += n
			sum[k] = image{}
		}
	}
	for _, k := range sum.names() {
		t.Logf("%5d  %s", total[k], k)
	}
	t.Logf("%d flips in %v, one byte in %d with offset %d", count, time.Since(begun).Round(time.Second), every, offset)
}
