package bench

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"grapevine/cmd/internal/cli"
)

// play runs the program, and has it draw the run's picture.
func (r run) play(ctx context.Context, program string, draw bool) (result, error) {
	var out, errs bytes.Buffer
	words := append(r.words(), "-o", "json")
	if draw && r.Picture != "" {
		words = append(words, "--plot", r.Picture)
	}
	cmd := exec.CommandContext(ctx, program, words...)
	cmd.Stdout, cmd.Stderr = &out, &errs
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == cli.ExitWrong {
		err = nil // a check found something: the figures stand all the same
	}
	if err != nil {
		return result{}, fmt.Errorf("lab %s: %w\n%s", r.commandLine(), err, errs.Bytes())
	}
	res := result{run: r, Breaches: breaches(errs.String())}
	if err := json.Unmarshal(out.Bytes(), &res.Rows); err != nil {
		return result{}, fmt.Errorf("lab %s printed no rows: %w", r.commandLine(), err)
	}
	return res, nil
}

// breaches are the lines of standard error that name one: those that begin with a
// protocol, a world and a seed.
func breaches(text string) []string {
	out := []string{}
	for line := range strings.Lines(text) {
		if head, _, ok := strings.Cut(line, ": "); ok && strings.Contains(head, ", seed ") {
			out = append(out, strings.TrimSpace(line))
		}
	}
	return out
}

// sourceHash is a hash of all files that the event world is built of: ours by their
// bytes, modules by their versions.
func sourceHash(ctx context.Context) (string, error) {
	const format = `{{if .Module}}{{if .Module.Main}}{{$d := .Dir}}{{range .GoFiles}}file {{$d}}/{{.}}{{"\n"}}{{end}}{{range .EmbedFiles}}file {{$d}}/{{.}}{{"\n"}}{{end}}` +
		`{{else}}module {{.Module.Path}} {{.Module.Version}}{{"\n"}}{{end}}{{end}}`
	list, err := exec.CommandContext(ctx, "go", "list", "-deps", "-f", format, "grapevine/testnet/events").Output()
	if err != nil {
		return "", fmt.Errorf("listing what the event world is built of, which wants the source's directory: %w", err)
	}
	h := sha256.New()
	for line := range strings.Lines(string(list)) {
		line = strings.TrimSpace(line)
		file, ours := strings.CutPrefix(line, "file ")
		if !ours {
			fmt.Fprintln(h, line)
			continue
		}
		if err := hashFile(h, file); err != nil {
			return "", fmt.Errorf("hashing what the event world is built of: %w", err)
		}
	}
	return hex.EncodeToString(h.Sum(nil)[:16]), nil
}

// hashFile adds a file's name and bytes, and not where the checkout is.
func hashFile(w io.Writer, file string) error {
	text, err := os.ReadFile(file)
	if err == nil {
		_, err = fmt.Fprintf(w, "%s %d\n%s", filepath.Base(file), len(text), text)
	}
	return err
}
