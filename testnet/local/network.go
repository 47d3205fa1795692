package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"grapevine/p2p/membership"
	"grapevine/testnet/report"
)

// Config says which network Up is to make and start.
type Config struct {
	Dir string
	// Peers is how many there are to be. Zero means 7, or those of the network that
	// is there already.
	Peers  int
	Binary string // the peer program
	// BasePort, when not zero, is the first of the ports that a new network's peers listen
	// on: peer i's API on BasePort+2i, and the next for other peers. Zero means free ones,
	// drawn at random.
	BasePort int
	// Settings are every peer's: keys of config.toml, with values as on the command line.
	Settings map[string]string
	// Own, when set, returns the settings that a peer has besides.
	Own func(peer int) map[string]string
	// Patience is how long the peers may take to be ready. Zero means 60 s: twenty of
	// them on a busy machine.
	Patience time.Duration
	// Progress, when set, hears how many peers are ready.
	Progress func(ready, of int)
}

// MaxPeers bounds the processes of one network: ten times what two cores carry.
const MaxPeers = 200

const (
	defaultPeers    = 7
	defaultPatience = 60 * time.Second
)

func (c Config) withDefaults() Config {
	if c.Patience == 0 {
		c.Patience = defaultPatience
	}
	if c.Progress == nil {
		c.Progress = func(int, int) {}
	}
	return c
}

// Up starts the network in cfg.Dir, which it makes when there is none, and returns
// when every peer is ready and connected to every other. When that fails no process
// is left, and the error shows the end of the log of the peer that it failed at.
func Up(ctx context.Context, cfg Config) (*Network, error) {
	cfg = cfg.withDefaults()
	unlock, err := cfg.hold()
	if err != nil {
		return nil, err
	}
	defer unlock()
	n, err := openOrCreate(cfg)
	if err != nil {
		return nil, err
	}
	if err := n.startAll(ctx, cfg); err != nil {
		_, downErr := n.stopAll(0)
		return nil, errors.Join(err, downErr, n.save())
	}
	return n, nil
}

// hold makes the directory, names it for other shells in other directories too, and
// locks it.
func (c *Config) hold() (unlock func(), err error) {
	if c.Dir, err = filepath.Abs(c.Dir); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(c.Dir, 0o755); err != nil {
		return nil, fmt.Errorf("making testnet: %w", err)
	}
	return lock(c.Dir)
}

func openOrCreate(cfg Config) (*Network, error) {
	n, err := Open(cfg.Dir)
	if errors.Is(err, ErrNone) {
		if cfg.Peers == 0 {
			cfg.Peers = defaultPeers
		}
		if n, err = create(cfg); err != nil {
			return nil, err
		}
		return n, n.save()
	}
	if err != nil {
		return nil, err
	}
	running, err := n.running()
	if err != nil || len(running) > 0 {
		return nil, errors.Join(err, n.refuse(running))
	}
	if cfg.Peers != 0 && cfg.Peers != len(n.Peers) {
		return nil, fmt.Errorf("%s %w, and it has %s, not %d: leave -n out to start it again, or give --fresh to replace it", cfg.Dir, ErrThere, report.Count(len(n.Peers), "peer"), cfg.Peers)
	}
	if cfg.BasePort != 0 && n.Peers[0].API != apiOn(cfg.BasePort) {
		return nil, fmt.Errorf("%s %w, with ports of its own: leave --base-port out to start it again, or give --fresh to replace it", cfg.Dir, ErrThere)
	}
	if len(cfg.Settings) > 0 {
		return nil, fmt.Errorf("%s %w, whose peers have their settings in their config.toml: leave %s out to start it again, or give --fresh to replace it", cfg.Dir, ErrThere, strings.Join(asFlags(cfg.Settings), " "))
	}
	n.Binary = cfg.Binary
	return n, nil
}

func (n *Network) refuse(running []int) error {
	if len(running) == 0 {
		return nil
	}
	return fmt.Errorf("the testnet in %s is %w (%d of its %s): stop it with peer testnet down --dir %s", n.dir, ErrRunning, len(running), report.Count(len(n.Peers), "peer"), n.dir)
}

// running returns the indices of the peers whose processes run.
func (n *Network) running() ([]int, error) {
	var is []int
	for i, p := range n.Peers {
		running, err := p.Process.Running()
		if err != nil {
			return nil, err
		}
		if running {
			is = append(is, i)
		}
	}
	return is, nil
}

// all returns the indices of all peers.
func (n *Network) all() []int {
	is := make([]int, len(n.Peers))
	for i := range is {
		is[i] = i
	}
	return is
}

func (n *Network) startAll(ctx context.Context, cfg Config) error {
	starts, err := n.launchAll(n.all())
	if err != nil {
		return err
	}
	return awaitAll(ctx, cfg, starts)
}

// launchAll starts peers, without waiting for them.
func (n *Network) launchAll(peers []int) ([]*Started, error) {
	var starts []*Started
	for _, i := range peers {
		s, err := n.start(i)
		if err != nil {
			return nil, err
		}
		starts = append(starts, s)
		if err := n.save(); err != nil {
			return nil, err
		}
	}
	return starts, nil
}

// awaitAll returns when all peers are ready, or with the first error: a peer that
// has ended is the news, not the others that wait for it.
func awaitAll(ctx context.Context, cfg Config, starts []*Started) error {
	ctx, cancel := context.WithTimeoutCause(ctx, cfg.Patience, late(cfg.Patience))
	defer cancel()
	cfg.Progress(0, len(starts))
	results := make(chan error, len(starts))
	for _, s := range starts {
		go func() { results <- s.await(ctx, min(len(starts)-1, membership.DefaultFull)) }()
	}
	var first error
	for ready := range starts {
		if err := <-results; err != nil && first == nil {
			first = err
			cancel()
		}
		if first == nil {
			cfg.Progress(ready+1, len(starts))
		}
	}
	return first
}

func late(patience time.Duration) error {
	return fmt.Errorf("within %v: %w", patience, context.DeadlineExceeded)
}

// Start starts peer i of the network in dir again, with flags of peer start besides, and
// returns when it is ready.
func Start(ctx context.Context, dir string, i int, patience time.Duration, flags ...string) error {
	return change(dir, func(n *Network) error {
		if err := n.checkIndex(i); err != nil {
			return err
		}
		running, err := n.Peers[i].Process.Running()
		if err != nil {
			return err
		}
		if running {
			return fmt.Errorf("%s is %w as process %d", n.Peers[i].Name(), ErrRunning, n.Peers[i].Process.PID)
		}
		s, err := n.start(i, flags...)
		if err != nil {
			return err
		}
		if err := n.save(); err != nil {
			return err
		}
		ctx, cancel := context.WithTimeoutCause(ctx, patience, late(patience))
		defer cancel()
		return s.await(ctx, 0)
	})
}

// Kill ends peer i of the network in dir by SIGKILL, which it cannot prepare for.
// It returns when the process is gone.
func Kill(dir string, i int) error {
	return change(dir, func(n *Network) error {
		if err := n.checkIndex(i); err != nil {
			return err
		}
		p := &n.Peers[i]
		running, err := p.Process.Running()
		if err != nil {
			return err
		}
		if !running {
			return fmt.Errorf("%s %w: start it with peer testnet start %d --dir %s", p.Name(), ErrNotRunning, i, n.dir)
		}
		if err := p.Process.signal(syscall.SIGKILL); err != nil {
			return err
		}
		if gone, err := p.Process.await(killPatience); err != nil || !gone {
			return errors.Join(err, fmt.Errorf("%s: process %d is still there %v after SIGKILL", p.Name(), p.Process.PID, killPatience))
		}
		p.Process = Process{}
		return nil
	})
}

// Peer returns peer i: ErrNoPeer when there is none.
func (n *Network) Peer(i int) (Peer, error) {
	if err := n.checkIndex(i); err != nil {
		return Peer{}, err
	}
	return n.Peers[i], nil
}

func (n *Network) checkIndex(i int) error {
	if i < 0 || i >= len(n.Peers) {
		return fmt.Errorf("peer %d: %w: the testnet's peers are 0 to %d", i, ErrNoPeer, len(n.Peers)-1)
	}
	return nil
}

// ErrNoPeer says that a testnet has no peer of that number.
var ErrNoPeer = errors.New("no such peer")

// killPatience is how long the system may take to end a process that it was told
// to kill. It waits for disk writes under way.
const killPatience = 10 * time.Second

// Stopped is what became of a peer's process when the network was taken down.
type Stopped struct {
	Peer int    `json:"peer"`
	How  string `json:"how"` // "stopped", "killed" after the deadline, or "not running"
}

// Down ends every process of the network in dir: SIGTERM to each in order, and
// SIGKILL to what is left when patience ends. Ledgers and logs stay.
func Down(dir string, patience time.Duration) ([]Stopped, error) {
	var stopped []Stopped
	err := change(dir, func(n *Network) (err error) {
		stopped, err = n.stopAll(patience)
		return err
	})
	return stopped, err
}

// stopAll does its work to the end, whatever goes wrong with one of the peers.
func (n *Network) stopAll(patience time.Duration) ([]Stopped, error) {
	stopped := make([]Stopped, len(n.Peers))
	deadline := time.Now().Add(patience)
	var errs []error
	for i, p := range n.Peers {
		stopped[i] = Stopped{i, "stopped"}
		running, err := p.Process.Running()
		if !running {
			stopped[i].How = "not running"
		}
		errs = append(errs, err, p.Process.signal(syscall.SIGTERM))
	}
	for i := range n.Peers {
		p := &n.Peers[i].Process
		gone, err := p.await(time.Until(deadline))
		errs = append(errs, err)
		if !gone {
			stopped[i].How = "killed"
			errs = append(errs, p.signal(syscall.SIGKILL))
			if gone, err = p.await(killPatience); err != nil || !gone {
				errs = append(errs, err, fmt.Errorf("peer %d: process %d is still there %v after SIGKILL", i, p.PID, killPatience))
				continue
			}
		}
		*p = Process{}
	}
	return stopped, errors.Join(errs...)
}
