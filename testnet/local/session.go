package local

import (
	"context"
	"errors"
	"fmt"
	"syscall"
	"time"
)

// Session is a network that one program makes, changes and ends: until then nobody else
// can change it. One goroutine uses it.
type Session struct {
	*Network
	cfg    Config
	unlock func()
}

// Begin makes a network in cfg.Dir, which may hold none yet (ErrThere), and starts nobody.
func Begin(cfg Config) (*Session, error) {
	cfg = cfg.withDefaults()
	unlock, err := cfg.hold()
	if err != nil {
		return nil, err
	}
	n, err := makeAnew(cfg)
	if err != nil {
		unlock()
		return nil, err
	}
	return &Session{n, cfg, unlock}, nil
}

func makeAnew(cfg Config) (*Network, error) {
	if err := Vacant(cfg.Dir); err != nil {
		return nil, err
	}
	n, err := create(cfg)
	if err != nil {
		return nil, err
	}
	return n, n.save()
}

// Start starts peers, and does not wait for them.
func (s *Session) Start(peers []int) ([]*Started, error) { return s.launchAll(peers) }

// Await returns when all of these are ready and connected to each other, or with the
// first error.
func (s *Session) Await(ctx context.Context, starts []*Started) error {
	return awaitAll(ctx, s.cfg, starts)
}

// Kill ends peers by SIGKILL, all at once, and returns when they are gone.
func (s *Session) Kill(dying []*Started) error {
	var errs []error
	for _, d := range dying {
		errs = append(errs, s.Peers[d.Peer.Index].Process.signal(syscall.SIGKILL))
	}
	ctx, cancel := context.WithTimeout(context.Background(), killPatience)
	defer cancel()
	for _, d := range dying {
		select {
		case <-d.Ended:
			s.Peers[d.Peer.Index].Process = Process{}
		case <-ctx.Done():
			errs = append(errs, fmt.Errorf("%s is still there %v after SIGKILL", d.Peer.Name(), killPatience))
		}
	}
	return errors.Join(append(errs, s.save())...)
}

// End ends all processes, as Down does, and lets go of the network.
func (s *Session) End(patience time.Duration) ([]Stopped, error) {
	defer s.unlock()
	stopped, err := s.stopAll(patience)
	return stopped, errors.Join(err, s.save())
}
