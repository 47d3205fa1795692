// Package durable makes files that a crash or a power loss leaves whole: as they were
// before, or as they are to be.
//
// A file is written beside its place, synced, given its name, and the directory is
// synced, for a name is on the disk only then:
//
//	write → sync → name → sync directory
//	                ↑ until here the old content stands, and after a crash it may still
//
// Whoever acts on what a file says waits for the last step. A failed step leaves the
// old file or the new one, and its caller does not know which.
package durable

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
)

// Unfinished ends the name of a file that Replace or Open had not given its own when
// the process died. The next Replace or Open of the same file writes over it.
const Unfinished = ".new"

// Steps carries out the steps that change the disk, each of which a crash may come
// before or after. Nil carries them out as they are; tests have one fail, undone or
// done after all.
type Steps func(step string, do func() error) error

// The steps of this package, in their order.
const (
	StepWrite   = "write"
	StepSync    = "sync"
	StepName    = "name"
	StepSyncDir = "sync directory"
	StepMakeDir = "make directory" // of MkdirAll, before the last
)

// Do carries out one step.
func (s Steps) Do(step string, do func() error) error {
	if s == nil {
		return do()
	}
	return s(step, do)
}

// Replace makes a file with this content, in place of any that has the name. Two calls
// for one file must not overlap.
func (s Steps) Replace(path string, content []byte, mode fs.FileMode) error {
	file, err := s.Open(path, content, mode)
	if err != nil {
		return err
	}
	return file.Close()
}

// Open is Replace that leaves the file open, to go on writing at its end.
func (s Steps) Open(path string, content []byte, mode fs.FileMode) (*os.File, error) {
	return s.OpenFilled(path, all(content), mode)
}

// OpenFilled is Open for content that need not be in memory at once: fill writes it.
func (s Steps) OpenFilled(path string, fill func(io.Writer) error, mode fs.FileMode) (*os.File, error) {
	file, err := os.OpenFile(path+Unfinished, os.O_CREATE|os.O_TRUNC|os.O_RDWR, mode)
	if err != nil {
		return nil, err
	}
	if err := s.place(file, path, fill, os.Rename); err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

// Create makes a file that is not there yet. One that is there is left alone, and is an
// error that matches fs.ErrExist. Of several calls at once for one file, one succeeds.
func (s Steps) Create(path string, content []byte, mode fs.FileMode) error {
	file, err := os.CreateTemp(filepath.Dir(path), "."+filepath.Base(path)+"-*")
	if err != nil {
		return err
	}
	defer os.Remove(file.Name())
	if err := file.Chmod(mode); err != nil {
		return errors.Join(err, file.Close())
	}
	return errors.Join(s.place(file, path, all(content), os.Link), file.Close()) // unlike rename, a link never replaces
}

// all writes the whole content.
func all(content []byte) func(io.Writer) error {
	return func(w io.Writer) error { _, err := w.Write(content); return err }
}

// place fills the file and gives it its name.
func (s Steps) place(file *os.File, path string, fill func(io.Writer) error, name func(from, to string) error) error {
	err := s.Do(StepWrite, func() error { return fill(file) })
	if err == nil {
		err = s.Do(StepSync, file.Sync)
	}
	if err == nil {
		err = s.Do(StepName, func() error { return name(file.Name(), path) })
	}
	if err == nil {
		err = s.SyncDir(filepath.Dir(path))
	}
	return err
}

// Rename gives a file or directory, whose content is on the disk already, another name
// in the same directory.
func (s Steps) Rename(from, to string) error {
	if err := s.Do(StepName, func() error { return os.Rename(from, to) }); err != nil {
		return err
	}
	return s.SyncDir(filepath.Dir(to))
}

// MkdirAll makes a directory, and those above it that are missing, and puts their names on
// the disk. The name of one that is there already is put there too: whoever made it may
// have died in between.
func (s Steps) MkdirAll(dir string, mode fs.FileMode) error {
	dir, err := filepath.Abs(dir)
	if err != nil {
		return err
	}
	info, err := os.Stat(dir)
	switch {
	case err == nil && !info.IsDir():
		return &fs.PathError{Op: "mkdir", Path: dir, Err: errors.New("there is a file of this name")}
	case err == nil:
		err = s.SyncDir(filepath.Dir(dir))
		if errors.Is(err, fs.ErrPermission) {
			err = nil // whoever cannot read the directory above has not made this one
		}
		return err
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	if err := s.MkdirAll(filepath.Dir(dir), mode); err != nil {
		return err
	}
	err = s.Do(StepMakeDir, func() error { return os.Mkdir(dir, mode) })
	if err != nil && !errors.Is(err, fs.ErrExist) { // another may have been faster
		return err
	}
	return s.SyncDir(filepath.Dir(dir))
}

// SyncDir puts on the disk which names a directory has.
func (s Steps) SyncDir(dir string) error {
	return s.Do(StepSyncDir, func() error {
		d, err := os.Open(dir)
		if err != nil {
			return fmt.Errorf("syncing %s: %w", dir, err)
		}
		if err := errors.Join(d.Sync(), d.Close()); err != nil {
			return fmt.Errorf("syncing %s: %w", dir, err)
		}
		return nil
	})
}

// Replace is Steps.Replace, carried out.
func Replace(path string, content []byte, mode fs.FileMode) error {
	return Steps(nil).Replace(path, content, mode)
}

// Create is Steps.Create, carried out.
func Create(path string, content []byte, mode fs.FileMode) error {
	return Steps(nil).Create(path, content, mode)
}

// Rename is Steps.Rename, carried out.
func Rename(from, to string) error { return Steps(nil).Rename(from, to) }

// MkdirAll is Steps.MkdirAll, carried out.
func MkdirAll(dir string, mode fs.FileMode) error { return Steps(nil).MkdirAll(dir, mode) }

// SyncDir is Steps.SyncDir, carried out.
func SyncDir(dir string) error { return Steps(nil).SyncDir(dir) }
