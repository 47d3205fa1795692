package main

import (
	"archive/tar"
	"compress/gzip"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"testing"

	"grapevine/cmd/internal/cli"
)

// unpack writes an archive's files below a directory.
func unpack(t *testing.T, archive, dir string) {
	t.Helper()
	f, err := os.Open(archive)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	z, err := gzip.NewReader(f)
	if err != nil {
		t.Fatal(err)
	}
	for r := tar.NewReader(z); ; {
		h, err := r.Next()
		if errors.Is(err, io.EOF) {
			return
		}
		if err != nil {
			t.Fatal(err)
		}
		path := filepath.Join(dir, filepath.Clean("/"+h.Name))
		if h.Typeflag == tar.TypeDir {
			err = os.MkdirAll(path, 0o755)
		} else {
			var content []byte
			if content, err = io.ReadAll(r); err == nil {
				err = os.WriteFile(path, content, os.FileMode(h.Mode))
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
}

// A home of the software of before there was coding opens, verifies and goes on, without
// coding: its genesis says nothing of it. Its three blocks are of 1, 30 and 1 transactions,
// the second of more bytes than a body has that is not coded elsewhere; one transaction
// waits in its pool.
func TestHomeOfBefore(t *testing.T) {
	home := t.TempDir()
	unpack(t, filepath.Join("testdata", "home-uncoded.tar.gz"), home)
	var v verified
	r := peer(t, "ledger", "verify", "--home", home, "-o", "json").Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &v); err != nil || !v.OK || v.Height != 3 || v.Txs != 32 {
		t.Fatalf("verifying printed %s, %v: want 32 transactions in 3 blocks, all well", r.Out, err)
	}
	api, settings := loopback(t)
	n := &runningNode{home: home, api: api}
	n.start(t, append(settings, "--alone")...)
	peer(t, "tx", "submit", "goes on", "--wait", "--api", n.api, "--key", filepath.Join(home, "client.key")).Want(t, cli.ExitOK)
	var last struct {
		Header struct{ Version, Coding int }
	}
	r = peer(t, "block", "get", "tip", "--api", n.api, "-o", "json").Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &last); err != nil || last.Header.Version != 1 || last.Header.Coding != 0 {
		t.Errorf("the last block is %s, %v: want a header of version 1", r.Out, err)
	}
	if code := n.stop(t); code != cli.ExitOK {
		t.Errorf("SIGTERM ended the node with %d:\n%s", code, n.log)
	}
	r = peer(t, "ledger", "verify", "--home", home, "-o", "json").Want(t, cli.ExitOK)
	if err := json.Unmarshal([]byte(r.Out), &v); err != nil || !v.OK || v.Height < 4 || v.Txs != 34 {
		t.Errorf("verifying printed %s, %v: want 34 transactions, all well", r.Out, err)
	}
}
