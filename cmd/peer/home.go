package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"

	"grapevine/block/sig"
	"grapevine/cmd/internal/cli"
	"grapevine/durable"
	"grapevine/genesis"
	"grapevine/ordering"
)

// The files of a home directory.
const (
	genesisFile = "genesis.json"
	keyFile     = "identity.key"
	configFile  = "config.toml"
	lockFile    = "orderer.lock"
	ledgerDir   = "ledger"
)

// lostAndFound is what a file system of its own has at its root from the beginning.
const lostAndFound = "lost+found"

// place is where a home is to be made.
type place struct {
	path   string
	there  bool // a directory, with nothing in it but perhaps the identity
	hasKey bool
}

// lookAt refuses a place where no home can be made.
func lookAt(home string) (place, error) {
	if err := checkHome(home); err != nil {
		return place{}, err
	}
	p := place{path: filepath.Clean(home)}
	entries, err := os.ReadDir(home)
	if errors.Is(err, fs.ErrNotExist) {
		if _, err := os.Lstat(home); err == nil {
			return p, cli.Refused(fmt.Errorf("home %s is a symbolic link to a directory that is not there: make the directory, or name another one", home))
		}
		return p, nil
	}
	if err != nil {
		return p, cli.Refused(fmt.Errorf("home %s: %w", home, err))
	}
	p.there = true
	other := ""
	for _, e := range entries {
		switch e.Name() {
		case keyFile:
			p.hasKey = true
		case lostAndFound:
		default:
			other = e.Name()
		}
	}
	switch {
	case other == "":
		return p, nil
	case p.hasKey:
		return p, cli.Refused(fmt.Errorf("home %s is a peer's already, nothing was changed: start it with peer start --home %s, or name another directory", home, cli.ShellQuoted(home)))
	}
	return p, cli.Refused(fmt.Errorf("home %s is a directory with other things in it (%s, …): name a new directory", home, other))
}

// makeHome writes a home, all of it or nothing. A directory that is there is filled where it
// is: it may be where a disk is mounted. Another is built beside its place, and then renamed
// into it.
func (p place) makeHome(key sig.Key, g *genesis.Genesis, given []setting) error {
	if p.there {
		return p.fill(p.path, key, g, given)
	}
	if err := durable.MkdirAll(filepath.Dir(p.path), 0o755); err != nil {
		return fmt.Errorf("making home: %w", err)
	}
	tmp, err := os.MkdirTemp(filepath.Dir(p.path), ".peer-init-*") // mode 0700
	if err != nil {
		return fmt.Errorf("making home: %w", err)
	}
	defer os.RemoveAll(tmp)
	if err := p.fill(tmp, key, g, given); err != nil {
		return err
	}
	if err := durable.Rename(tmp, p.path); err != nil {
		return fmt.Errorf("making home: %w", err)
	}
	return nil
}

// fill writes the files that are not there yet into dir, and takes them away again if one
// of them fails. Without the last of them, the genesis, no peer starts there.
func (p place) fill(dir string, key sig.Key, g *genesis.Genesis, given []setting) (err error) {
	files := []struct {
		name  string
		write func(path string) error
	}{
		{keyFile, func(path string) error { return sig.CreateKey(path, key) }},
		{lockFile, func(path string) error { return ordering.CreateLock(path, g.ID()) }},
		{configFile, func(path string) error {
			return durable.Create(path, writeConfig(defaultSettings().table(), given), 0o644)
		}},
		{genesisFile, func(path string) error { return durable.Create(path, g.Bytes(), 0o644) }},
	}
	var made []string
	defer func() {
		for _, path := range made {
			if err != nil {
				err = errors.Join(err, os.Remove(path))
			}
		}
	}()
	for _, f := range files {
		if f.name == keyFile && p.hasKey || f.name == lockFile && !g.Produces(key.Public()) {
			continue
		}
		path := filepath.Join(dir, f.name)
		if err := f.write(path); err != nil {
			return fmt.Errorf("making home: %w", err)
		}
		made = append(made, path)
	}
	return nil
}
