package sig

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"

	"grapevine/block"
)

func TestKeyFile(t *testing.T) {
	path := filepath.Join(t.TempDir(), "identity.key")
	if _, err := LoadKey(path); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no file: %v", err)
	}
	k := key(1)
	if err := CreateKey(path, k); err != nil {
		t.Fatal(err)
	}
	got, err := LoadKey(path)
	if err != nil || got.Seed() != k.Seed() {
		t.Errorf("read back: %v", err)
	}
	if err := CreateKey(path, key(2)); !errors.Is(err, fs.ErrExist) {
		t.Errorf("over another key: %v", err)
	}
	if got, err := LoadOrCreateKey(path); err != nil || got.Seed() != k.Seed() {
		t.Errorf("the first key is not there any more: %v", err)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("mode is %v, %v", info.Mode(), err)
	}
	entries, err := os.ReadDir(filepath.Dir(path))
	if err != nil || len(entries) != 1 {
		t.Errorf("the directory has %v, %v", entries, err)
	}
	if err := CreateKey(filepath.Join(path, "below"), k); err == nil {
		t.Error("a key below a file was created")
	}
}

func TestKeyFileRefusals(t *testing.T) {
	hex64 := strings.Repeat("ab", 32)
	for _, tc := range []struct {
		name, text string
		mode       os.FileMode
		words      string
	}{
		{"others can read", hex64, 0o644, "run chmod 600"},
		{"the group can read", hex64, 0o640, "run chmod 600"},
		{"empty", "", 0o600, "want 64 hexadecimal digits"},
		{"short", hex64[1:], 0o600, "want 64 hexadecimal digits"},
		{"long", hex64 + "ab", 0o600, "want 64 hexadecimal digits"},
		{"no hex", strings.Repeat("xy", 32), 0o600, "want 64 hexadecimal digits"},
		{"a second line", hex64 + "\n" + hex64, 0o600, "want 64 hexadecimal digits"},
	} {
		t.Run(tc.name, func(t *testing.T) {
			path := filepath.Join(t.TempDir(), "key")
			if err := os.WriteFile(path, []byte(tc.text), tc.mode); err != nil {
				t.Fatal(err)
			}
			for _, load := range []func(string) (Key, error){LoadKey, LoadOrCreateKey} {
				_, err := load(path)
				if err == nil || !strings.Contains(err.Error(), tc.words) || !strings.Contains(err.Error(), path) {
					t.Errorf("error is %v", err)
				}
				if err != nil && len(tc.text) > 60 && strings.Contains(err.Error(), hex64[:32]) {
					t.Errorf("the error shows the secret: %v", err)
				}
			}
			if text, err := os.ReadFile(path); err != nil || string(text) != tc.text {
				t.Errorf("the file was changed to %q, %v", text, err)
			}
		})
	}
}

// Of several that make the key at once, all have the same.
func TestLoadOrCreateKeyAtOnce(t *testing.T) {
	path := filepath.Join(t.TempDir(), "key")
	keys := make([]block.PublicKey, 8)
	var wg sync.WaitGroup
	for i := range keys {
		wg.Go(func() {
			k, err := LoadOrCreateKey(path)
			if err != nil {
				t.Error(err)
				return
			}
			keys[i] = k.Public()
		})
	}
	wg.Wait()
	for _, k := range keys {
		if k != keys[0] {
			t.Fatalf("keys are %v", keys)
		}
	}
}
