package course

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"grapevine/testnet/scenario"
)

// stage writes down what is done on it and when, and accepts each block so much later.
type stage struct {
	t      *testing.T
	course *Course
	told   chan func() error
	news   chan struct{}
	takes  time.Duration
	asked  int // blocks
	came   int
	wrote  []string
}

func (s *stage) write(what string) {
	s.wrote = append(s.wrote, fmt.Sprintf("%v %s", s.course.Now(), what))
}

func (s *stage) Begin(context.Context) error {
	s.write("begin")
	return nil
}

func (s *stage) Note(context.Context) error {
	s.write("note")
	return nil
}

func (s *stage) Settled(context.Context) bool { return s.came == s.asked }

func (s *stage) Happen(_ context.Context, e scenario.Event) error {
	if e.Kind != scenario.Propose {
		s.write(fmt.Sprintf("kind %d of %v", e.Kind, e.Peers))
		return nil
	}
	s.write(fmt.Sprintf("block %d", e.Block))
	s.asked++
	time.AfterFunc(s.takes, func() {
		s.told <- func() error {
			s.came++
			return nil
		}
		if s.news != nil {
			s.news <- struct{}{}
		}
	})
	return nil
}

// played plays a scenario in a bubble, and returns what happened.
func played(t *testing.T, change func(s *scenario.Scenario, on *stage)) (wrote []string, c *Course, err error) {
	t.Helper()
	synctest.Test(t, func(t *testing.T) {
		s := scenario.Defaults()
		s.Name, s.Peers, s.Load.Blocks = "test", 5, 2
		s.Load.First, s.Load.Every = scenario.Duration(2*time.Second), scenario.Duration(time.Second)
		on := &stage{t: t, told: make(chan func() error, 10), news: make(chan struct{}, 10), takes: 100 * time.Millisecond}
		on.course = &Course{Stage: on, Told: on.told, LookEvery: 30 * time.Millisecond}
		change(&s, on)
		p, planErr := s.Plan()
		if planErr != nil {
			t.Fatal(planErr)
		}
		c = on.course
		c.Plan, c.News = p, on.news
		c.Start(time.Now())
		err = c.Run(t.Context())
		on.write("over")
		wrote = on.wrote
	})
	return wrote, c, err
}

func want(t *testing.T, got []string, want ...string) {
	t.Helper()
	if !slices.Equal(got, want) {
		t.Errorf("what happened is\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestCourse(t *testing.T) {
	got, c, err := played(t, func(s *scenario.Scenario, on *stage) {
		on.course.Ahead = 500 * time.Millisecond
		s.Faults = []scenario.Fault{{Kind: scenario.Crash, Peers: []int{3}, At: scenario.Duration(2500 * time.Millisecond), For: scenario.Duration(7 * time.Second)}}
	})
	if err != nil || c.Healed() != 9500*time.Millisecond {
		t.Errorf("%v, healed at %v", err, c.Healed())
	}
	want(t, got, "1.5s begin", "2s block 0", "2.5s kind 3 of [3]", "3s block 1", "3.1s note", "4.1s note", "9.5s kind 4 of [3]", "9.5s over")
}

// TestCourseOfLateBlocks: the traffic is noted again when something comes after it was.
func TestCourseOfLateBlocks(t *testing.T) {
	got, _, err := played(t, func(s *scenario.Scenario, on *stage) {
		s.Load.Every = scenario.Duration(4 * time.Second)
	})
	if err != nil {
		t.Error(err)
	}
	want(t, got, "2s begin", "2s block 0", "3.1s note", "6s block 1", "7.1s note", "7.1s over")
}

// TestCourseWithoutNews: the network is asked whether it rests, and has done so for Tail
// when the run is over.
func TestCourseWithoutNews(t *testing.T) {
	got, _, err := played(t, func(_ *scenario.Scenario, on *stage) { on.news = nil })
	if err != nil {
		t.Error(err)
	}
	want(t, got[:3], "1s note", "2s begin", "2s block 0")
	want(t, got[3:], "3s block 1", "4.09s note", "4.09s over") // it was last found busy at 3.09 s
}

func TestCourseThatIsNeverOver(t *testing.T) {
	got, _, err := played(t, func(s *scenario.Scenario, on *stage) {
		s.Duration, on.takes = scenario.Duration(5*time.Second), time.Hour
	})
	if err != nil {
		t.Error(err)
	}
	want(t, got, "2s begin", "2s block 0", "3s block 1", "5s note", "5s over")
}

// TestCourseOfNoBlocks: traffic counts from the beginning.
func TestCourseOfNoBlocks(t *testing.T) {
	got, _, err := played(t, func(s *scenario.Scenario, _ *stage) {
		s.Load.Blocks = 0
		s.Faults = []scenario.Fault{{Kind: scenario.Crash, Peers: []int{3}, At: scenario.Duration(time.Second)}}
	})
	if err != nil {
		t.Error(err)
	}
	want(t, got, "0s begin", "1s kind 3 of [3]", "1s note", "1s over")
}

func TestCourseEndsWithWhatItIsTold(t *testing.T) {
	cause := errors.New("a peer has ended")
	got, _, err := played(t, func(_ *scenario.Scenario, on *stage) {
		time.AfterFunc(2100*time.Millisecond, func() { on.told <- func() error { return cause } })
	})
	if !errors.Is(err, cause) {
		t.Errorf("%v, want what was told", err)
	}
	want(t, got, "2s begin", "2s block 0", "2.1s over")
}
