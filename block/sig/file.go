package sig

import (
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"grapevine/durable"
)

// LoadKey reads a key file: the secret seed as 64 hexadecimal digits and a
// newline, readable by its owner alone.
func LoadKey(path string) (Key, error) {
	info, err := os.Stat(path)
	if err != nil {
		return Key{}, fmt.Errorf("reading key: %w", err)
	}
	if info.IsDir() {
		return Key{}, fmt.Errorf("key %s is a directory: name the key's file in it", path)
	}
	if mode := info.Mode().Perm(); mode&0o077 != 0 {
		return Key{}, fmt.Errorf("key %s has mode %04o, others can read the secret: run chmod 600 %s", path, mode, path)
	}
	text, err := os.ReadFile(path)
	if err != nil {
		return Key{}, fmt.Errorf("reading key: %w", err)
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(text)))
	if err != nil || len(seed) != 32 {
		return Key{}, fmt.Errorf("key %s: want 64 hexadecimal digits: put a good copy back", path)
	}
	return NewKey([32]byte(seed)), nil
}

// CreateKey writes k to a new file of mode 0600, whole and synced or not at all.
// An existing file is left alone and is an error that matches fs.ErrExist.
func CreateKey(path string, k Key) error {
	seed := k.Seed()
	if err := durable.Create(path, []byte(hex.EncodeToString(seed[:])+"\n"), 0o600); err != nil {
		return fmt.Errorf("creating key %s: %w", path, err)
	}
	return nil
}

// LoadOrCreateKey reads the key file, or makes it when there is none.
func LoadOrCreateKey(path string) (Key, error) {
	k, err := LoadKey(path)
	if !errors.Is(err, fs.ErrNotExist) {
		return k, err
	}
	k = Generate()
	if err := CreateKey(path, k); errors.Is(err, fs.ErrExist) {
		return LoadKey(path) // somebody else was faster
	} else if err != nil {
		return Key{}, err
	}
	return k, nil
}
