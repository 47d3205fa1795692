package membership

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"grapevine/block"
)

var rewrite = flag.Bool("rewrite", false, "write what the stories' commands print into them")

// Stories are files in testdata: a command, then "----", then what it prints, then a
// blank line. Lines that begin with # are for the reader. Run with -rewrite after a
// change of the protocol, and read the difference.
func TestStories(t *testing.T) {
	files, err := filepath.Glob("testdata/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatalf("no stories: %v", err)
	}
	for _, f := range files {
		t.Run(strings.TrimSuffix(filepath.Base(f), ".txt"), func(t *testing.T) {
			old, err := os.ReadFile(f)
			if err != nil {
				t.Fatal(err)
			}
			got := tell(t, string(old))
			if *rewrite {
				if err := os.WriteFile(f, []byte(got), 0o644); err != nil {
					t.Fatal(err)
				}
			} else if got != string(old) {
				t.Errorf("the story goes otherwise now:\n%s", got)
			}
		})
	}
}

// tell runs a story's commands and returns the story as it goes.
func tell(t *testing.T, story string) string {
	var out strings.Builder
	s := &teller{t: t, now: start}
	for part := range strings.SplitSeq(strings.TrimSpace(story), "\n\n") {
		var notes []string
		command := ""
		for line := range strings.Lines(part) {
			line = strings.TrimSuffix(line, "\n")
			if strings.HasPrefix(line, "#") {
				notes = append(notes, line)
			} else if line == "----" {
				break
			} else {
				command = line
			}
		}
		for _, n := range notes {
			fmt.Fprintln(&out, n)
		}
		if command != "" {
			fmt.Fprintf(&out, "%s\n----\n%s", command, s.do(strings.Fields(command)))
		}
		fmt.Fprintln(&out)
	}
	return strings.TrimSuffix(out.String(), "\n")
}

// teller is one core, and its clock. Its peers are called p00 to p99.
type teller struct {
	t    *testing.T
	now  time.Time
	core *Core
}

func named(s string) block.PublicKey {
	n, _ := strconv.Atoi(strings.TrimPrefix(s, "p"))
	return block.PublicKey{byte(n), 1}
}

func nameOf(k block.PublicKey) string { return fmt.Sprintf("p%02d", k[0]) }

// args splits words into those of the form key=value and the others.
func args(words []string) (map[string]string, []string) {
	kv, rest := make(map[string]string), []string(nil)
	for _, w := range words {
		if k, v, ok := strings.Cut(w, "="); ok {
			kv[k] = v
		} else {
			rest = append(rest, w)
		}
	}
	return kv, rest
}

func number(s string, def uint64) uint64 {
	if n, err := strconv.ParseUint(s, 10, 64); err == nil {
		return n
	}
	return def
}

func (s *teller) do(words []string) string {
	kv, rest := args(words[1:])
	from := named(kv["from"])
	switch words[0] {
	case "new": // new self=p00 [boot=p01] [full=n] [active=n]
		s.create(kv)
	case "up":
		s.core.PeerUp(s.now, named(rest[0]))
	case "down":
		s.core.PeerDown(s.now, named(rest[0]))
	case "fail": // a dial in vain
		s.core.DialFailed(s.now, named(rest[0]))
	case "leave":
		s.core.Leave(s.now)
	case "height":
		s.core.Update(s.now, Info{Addrs: []string{"/ip4/10.0.0.1/tcp/1"}, Height: number(rest[0], 0)})
	case "record": // record from=p01 owner=p02 [inc=1] [ver=1] [addr=…] [left]
		s.core.Receive(s.now, from, &Delta{Records: []*Record{recordOf(kv, rest)}})
	case "check": // check from=p01 [same]
		m := &Check{Count: 1}
		if len(rest) > 0 {
			m.Sum, m.Count = s.core.view.sum(s.now)
		}
		s.core.Receive(s.now, from, m)
	case "digest": // digest from=p01 [p02:1:1 …]
		s.core.Receive(s.now, from, &Digest{High: highest, Entries: s.entriesOf(rest)})
	case "want": // want from=p01 p02 …
		m := &Delta{}
		for _, w := range rest {
			m.Want = append(m.Want, named(w))
		}
		s.core.Receive(s.now, from, m)
	case "wait": // wait 5s: what becomes due is done
		d, err := time.ParseDuration(rest[0])
		if err != nil {
			s.t.Fatal(err)
		}
		return s.wait(d)
	case "members":
		return s.members()
	default:
		s.t.Fatalf("no command %q", words[0])
	}
	return s.effects("")
}

func (s *teller) create(kv map[string]string) {
	cfg := Config{
		Self: named(kv["self"]), Sign: noSign, Incarnation: 1, Info: Info{Addrs: []string{"/ip4/10.0.0.1/tcp/1"}},
		Full: int(number(kv["full"], 0)), Active: int(number(kv["active"], 0)),
	}
	if b := kv["boot"]; b != "" {
		cfg.Bootstrap = []Contact{{named(b), []string{"/dns4/boot/tcp/1"}}}
	}
	s.core = New(s.now, cfg, [32]byte{1})
}

func recordOf(kv map[string]string, flags []string) *Record {
	r := &Record{Owner: named(kv["owner"]), Incarnation: number(kv["inc"], 1), Version: number(kv["ver"], 1)}
	r.Left = len(flags) > 0
	r.Addrs = []string{fmt.Sprintf("/ip4/10.%d.0.1/tcp/1", r.Owner[0])}
	if a, ok := kv["addr"]; ok {
		r.Addrs = strings.Fields(a)
	}
	return r
}

func (s *teller) entriesOf(words []string) []Entry {
	var out []Entry
	for _, w := range words {
		part := strings.Split(w, ":")
		e := recordOf(map[string]string{"owner": part[0], "inc": part[1], "ver": part[2]}, nil).entry()
		if m := s.core.view.get(e.Owner); m != nil && m.Incarnation == e.Incarnation && m.Version == e.Version {
			e = m.entry // an honest owner signs one
		}
		out = append(out, e)
	}
	return out
}

// wait prints the effects of each Tick with the time since it began, but not the
// rounds' Checks, of which there are too many.
func (s *teller) wait(d time.Duration) string {
	var out strings.Builder
	began, end := s.now, s.now.Add(d)
	for {
		next := s.core.Deadline()
		if next.IsZero() || next.After(end) {
			s.now = end
			return out.String()
		}
		s.now = next
		s.core.Tick(s.now)
		for line := range strings.Lines(s.effects("")) {
			if !strings.Contains(line, "check") {
				fmt.Fprintf(&out, "%v: %s", s.now.Sub(began).Round(time.Second), line)
			}
		}
	}
}

func (s *teller) effects(prefix string) string {
	var out strings.Builder
	for _, e := range s.core.Effects() {
		out.WriteString(prefix)
		switch e := e.(type) {
		case Send:
			fmt.Fprintf(&out, "send %s %s\n", nameOf(e.To), messageText(e.Message))
		case Connect:
			fmt.Fprintf(&out, "connect %s %s\n", nameOf(e.Key), strings.Join(e.Addrs, " "))
		case Release:
			fmt.Fprintf(&out, "release %s\n", nameOf(e.Key))
		case Persist:
			fmt.Fprintf(&out, "persist incarnation %d\n", e.Incarnation)
		case Blame:
			fmt.Fprintf(&out, "blame %s: %s\n", nameOf(e.Key), e.Reason)
		}
	}
	return out.String()
}

func messageText(m Message) string {
	switch m := m.(type) {
	case *Check:
		return fmt.Sprintf("check of %d, reply %v", m.Count, m.Reply)
	case *Digest:
		var list []string
		for _, e := range m.Entries {
			list = append(list, fmt.Sprintf("%s:%d:%d", nameOf(e.Owner), e.Incarnation, e.Version))
		}
		return "digest " + strings.Join(list, " ")
	case *Delta:
		var list []string
		for _, r := range m.Records {
			list = append(list, fmt.Sprintf("%s:%d:%d", nameOf(r.Owner), r.Incarnation, r.Version))
		}
		for _, w := range m.Want {
			list = append(list, nameOf(w)+"?")
		}
		return "delta " + strings.Join(list, " ")
	}
	return "?"
}

func (s *teller) members() string {
	var out strings.Builder
	for _, m := range s.core.Members() {
		fmt.Fprintf(&out, "%s:%d:%d %s", nameOf(m.Owner), m.Incarnation, m.Version, m.State)
		if m.Linked {
			out.WriteString(" linked")
		}
		out.WriteString("\n")
	}
	return out.String()
}
