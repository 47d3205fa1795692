package scenario

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"grapevine/internal/spelling"
	"grapevine/testnet/scenarios"
)

// Default is the name of the library's scenario that runs where none is named.
const Default = "default"

const extension = ".toml"

// ErrUnknown is wrapped by the error for a name that the library has not got.
var ErrUnknown = errors.New("not in the library")

// Names returns the names of the library's scenarios, ascending.
func Names() []string {
	files, err := fs.Glob(scenarios.Files, "*"+extension)
	if err != nil {
		panic(err) // the pattern is wrong
	}
	for i, f := range files {
		files[i] = strings.TrimSuffix(f, extension)
	}
	return files
}

// Library returns the library's scenarios, by their names. They are part of the
// program: one that does not parse is a fault of ours.
func Library() []Scenario {
	var out []Scenario
	for _, name := range Names() {
		s, err := Find(name)
		if err != nil {
			panic(err)
		}
		out = append(out, s)
	}
	return out
}

// Find reads a scenario of the library, or a file: what has a slash in it, or ends
// with .toml.
func Find(nameOrPath string) (Scenario, error) {
	name := strings.TrimSuffix(filepath.Base(nameOrPath), extension)
	if strings.ContainsRune(nameOrPath, filepath.Separator) || strings.HasSuffix(nameOrPath, extension) {
		text, err := os.ReadFile(nameOrPath)
		if err != nil {
			return Scenario{}, fmt.Errorf("reading scenario: %w", err)
		}
		return parseFile(nameOrPath, name, text)
	}
	text, err := scenarios.Files.ReadFile(nameOrPath + extension)
	if errors.Is(err, fs.ErrNotExist) {
		return Scenario{}, fmt.Errorf("scenario %q is %w, and a file's name would end with %s: %s", nameOrPath, ErrUnknown, extension, spelling.DidYouMean(nameOrPath, Names()))
	}
	if err != nil {
		return Scenario{}, fmt.Errorf("reading scenario: %w", err)
	}
	return Parse(name, text)
}
