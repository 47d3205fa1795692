package local

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"grapevine/block/sig"
	"grapevine/genesis"
)

// makeHomes has the peer program make every home directory, as an operator would: it
// alone knows what belongs into one. All are made, or none.
func (n *Network) makeHomes(cfg Config, g *genesis.Genesis, keys []sig.Key) (err error) {
	secrets, err := os.MkdirTemp(n.dir, ".init-*") // mode 0700
	if err != nil {
		return fmt.Errorf("making homes: %w", err)
	}
	defer func() { err = errors.Join(err, os.RemoveAll(secrets)) }()
	network := filepath.Join(secrets, "genesis.json")
	if err := os.WriteFile(network, g.Bytes(), 0o600); err != nil {
		return fmt.Errorf("making homes: %w", err)
	}
	var made []string
	defer func() {
		for _, home := range made {
			if err != nil {
				err = errors.Join(err, os.RemoveAll(home))
			}
		}
	}()
	for i, p := range n.Peers {
		identity := filepath.Join(secrets, fmt.Sprintf("%d.key", i))
		if err := sig.CreateKey(identity, keys[i]); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
		args := []string{"init", "--home", p.Home, "--genesis", network, "--key", identity}
		if err := initialise(cfg.Binary, append(args, asFlags(n.settings(i, cfg))...)); err != nil {
			return fmt.Errorf("%s: %w", p.Name(), err)
		}
		made = append(made, p.Home)
	}
	return nil
}

// asFlags writes settings as they stand on a command line.
func asFlags(settings map[string]string) []string {
	var args []string
	for _, key := range slices.Sorted(maps.Keys(settings)) {
		args = append(args, "--"+strings.ReplaceAll(key, "_", "-")+"="+settings[key])
	}
	return args
}

// initialise runs peer init to its end, which no Ctrl-C brings forward.
func initialise(binary string, args []string) error {
	cmd := exec.Command(binary, args...)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	out, err := cmd.CombinedOutput()
	if err != nil {
		return fmt.Errorf("making its home: %s init: %w:\n%s", binary, err, strings.TrimSpace(string(out)))
	}
	return nil
}
