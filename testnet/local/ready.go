package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"grapevine/api"
)

// Started is a peer whose process this one has started.
type Started struct {
	Peer  Peer            // as it was then
	Ended <-chan struct{} // closed when the process has ended
	log   int64           // the log's size before: what this process writes comes behind
}

// start launches peer i's process, with flags of peer start besides.
func (n *Network) start(i int, flags ...string) (*Started, error) {
	p := &n.Peers[i]
	var size int64
	if info, err := os.Stat(p.Log()); err == nil {
		size = info.Size()
	}
	process, ended, err := launch(n.Binary, append([]string{"start", "--home", p.Home}, flags...), share(len(n.Peers)), p.Log())
	if err != nil {
		return nil, fmt.Errorf("%s: %w", p.Name(), err)
	}
	p.Process = process
	return &Started{*p, ended, size}, nil
}

// askTimeout is how long a peer that is starting may take to answer once.
const askTimeout = 2 * time.Second

// await returns when the peer says that it is ready and has so many neighbours.
// When it ends first, or ctx does, the error shows the end of its log.
func (s *Started) await(ctx context.Context, neighbours int) error {
	client := api.Dial(s.Peer.API)
	defer client.Close()
	state := "it has not answered yet"
	for {
		ready, now := s.ask(ctx, client, neighbours)
		if ready {
			return nil
		}
		if now != "" {
			state = now
		}
		select {
		case <-s.Ended:
			return fmt.Errorf("%s ended before it was ready; the end of %s:\n%s", s.Peer.Name(), s.Peer.Log(), s.Tail())
		case <-ctx.Done():
			return fmt.Errorf("%s was not ready: %s: %w; the end of %s:\n%s", s.Peer.Name(), state, context.Cause(ctx), s.Peer.Log(), s.Tail())
		case <-time.After(pollEvery):
		}
	}
}

// ask says whether the peer is ready, and otherwise why it is not.
func (s *Started) ask(ctx context.Context, client *api.Client, neighbours int) (bool, string) {
	ctx, cancel := context.WithTimeout(ctx, askTimeout)
	defer cancel()
	status, err := client.Status(ctx)
	switch {
	case err != nil:
		return false, ""
	case status.PeerId != s.Peer.ID:
		return false, fmt.Sprintf("at %s answers %s, another peer", s.Peer.API, status.PeerId)
	case !status.Ready:
		return false, "it says: " + status.Reason
	case int(status.Neighbours) < neighbours:
		return false, fmt.Sprintf("it has %d of %d neighbours", status.Neighbours, neighbours)
	}
	return true, ""
}

// What is shown of a log: what fits a screen, read from what surely holds it.
const (
	tailLines = 15
	tailBytes = 16 << 10
)

// Tail returns the last lines that this start of the peer has written.
func (s *Started) Tail() string {
	text, err := readTail(s.Peer.Log(), s.log)
	if err != nil {
		return err.Error()
	}
	lines := strings.Split(strings.TrimSpace(string(text)), "\n")
	return "  " + strings.Join(lines[max(0, len(lines)-tailLines):], "\n  ")
}

func readTail(path string, from int64) ([]byte, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	end, err := f.Seek(0, io.SeekEnd)
	if err != nil {
		return nil, err
	}
	text := make([]byte, min(max(end-from, 0), tailBytes))
	if _, err := f.ReadAt(text, end-int64(len(text))); err != nil && !errors.Is(err, io.EOF) {
		return nil, err
	}
	return bytes.ToValidUTF8(text, []byte("?")), nil
}
