package main

import (
	"bytes"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
)

// image is what a file holds: the pages that are not all zeros, for some are of 128 MiB
// of which 2 KiB were written.
type image struct {
	mode  fs.FileMode
	size  int64
	pages []page
}

type page struct {
	at   int64
	data []byte
}

const pageSize = 4096

// Where whence of a seek says so, the next data or hole is found (Linux, and the BSDs
// with the numbers swapped, where a file is read as a whole then).
const (
	seekData = 3
	seekHole = 4
)

// imageOf reads a file, or a directory, of which just the mode counts.
func imageOf(path string) (image, error) {
	f, err := os.Open(path)
	if err != nil {
		return image{}, err
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil || info.IsDir() {
		return image{mode: info.Mode()}, err
	}
	i := image{mode: info.Mode(), size: info.Size()}
	for at := int64(0); at < i.size; {
		from, err := f.Seek(at, seekData)
		if errors.Is(err, syscall.ENXIO) { // holes up to the end
			break
		}
		to := i.size
		if err != nil {
			from = at
		} else if hole, err := f.Seek(from, seekHole); err == nil {
			to = hole
		}
		raw := make([]byte, to-from)
		if _, err := f.ReadAt(raw, from); err != nil {
			return i, err
		}
		for k, chunk := range slices.Collect(slices.Chunk(raw, pageSize)) {
			if len(bytes.Trim(chunk, "\x00")) > 0 {
				i.pages = append(i.pages, page{from + int64(k)*pageSize, chunk})
			}
		}
		at = to
	}
	return i, nil
}

// write makes the file.
func (i image) write(path string) error {
	if i.mode.IsDir() {
		return os.Mkdir(path, i.mode.Perm())
	}
	f, err := os.OpenFile(path, os.O_CREATE|os.O_EXCL|os.O_WRONLY, i.mode.Perm())
	if err != nil {
		return err
	}
	for _, p := range i.pages {
		if _, err := f.WriteAt(p.data, p.at); err != nil {
			return errors.Join(err, f.Close())
		}
	}
	return errors.Join(f.Truncate(i.size), f.Close())
}

func (i image) equal(o image) bool {
	return i.mode == o.mode && i.size == o.size && slices.EqualFunc(i.pages, o.pages, func(a, b page) bool {
		return a.at == b.at && bytes.Equal(a.data, b.data)
	})
}

// flipped is the image with one bit of one byte changed; which, follows from the offset.
func (i image) flipped(at int64) image {
	k, found := slices.BinarySearchFunc(i.pages, at, func(p page, at int64) int {
		switch {
		case at < p.at:
			return 1
		case at >= p.at+int64(len(p.data)):
			return -1
		}
		return 0
	})
	i.pages = slices.Clone(i.pages)
	if found {
		i.pages[k].data = slices.Clone(i.pages[k].data)
	} else {
		begin := at / pageSize * pageSize
		i.pages = slices.Insert(i.pages, k, page{begin, make([]byte, min(pageSize, i.size-begin))})
	}
	p := i.pages[k]
	p.data[at-p.at] ^= 1 << ((at*5 + at/8) % 8)
	return i
}

// places are the bytes worth flipping: all that are written, and of zeros that nobody
// wrote one in 4,096. Fewer than 64 zeros in a row are written: numbers have some.
func (i image) places() []int64 {
	const fill = 64
	var out []int64
	zeros := func(from, to int64) {
		step := int64(1)
		if to-from >= fill {
			step = pageSize
		}
		for at := from; at < to; at += step {
			out = append(out, at)
		}
	}
	from := int64(0) // where the zeros begin
	for _, p := range i.pages {
		for k, b := range p.data {
			if at := p.at + int64(k); b != 0 {
				zeros(from, at)
				out = append(out, at)
				from = at + 1
			}
		}
	}
	zeros(from, i.size)
	return out
}

// images are a directory's files by their paths below it.
type images map[string]image

func imagesOf(dir string) (images, error) {
	all := images{}
	err := filepath.WalkDir(dir, func(path string, _ fs.DirEntry, err error) error {
		if err != nil || path == dir {
			return err
		}
		name, err := filepath.Rel(dir, path)
		if err != nil {
			return err
		}
		all[name], err = imageOf(path)
		return err
	})
	return all, err
}

// write makes the directory.
func (m images) write(dir string) error {
	if err := os.Mkdir(dir, 0o700); err != nil {
		return err
	}
	for _, name := range m.names() { // directories before what is in them
		if err := m[name].write(filepath.Join(dir, name)); err != nil {
			return err
		}
	}
	return nil
}

func (m images) names() []string {
	var names []string
	for name := range m {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}

// differs names a file that is not the same in both, "" when there is none.
func (m images) differs(o images) string {
	for _, name := range append(m.names(), o.names()...) {
		a, here := m[name]
		b, there := o[name]
		if here != there || !a.equal(b) {
			return name
		}
	}
	return ""
}
