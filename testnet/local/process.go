package local

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"runtime"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// Process names a process for good. The zero value names none.
type Process struct {
	PID int `json:"pid"`
	// Started is when it started, in the system's own words: what is compared.
	Started string `json:"started"`
}

// identify returns the process that has this ID now; the zero value when there is
// none, or only what is left of one that has ended.
func identify(pid int) (Process, error) {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err == nil {
		return fromStat(pid, stat)
	}
	if _, noProc := os.Stat("/proc/self/stat"); noProc != nil {
		return fromPS(pid)
	}
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return Process{}, nil
	}
	return Process{}, fmt.Errorf("looking at process %d: %w", pid, err)
}

// fromStat reads Linux's /proc/PID/stat: the ID, the name in parentheses, which may
// hold anything, the state, and as the 22nd field the start in ticks since boot.
func fromStat(pid int, stat []byte) (Process, error) {
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("looking at process %d: /proc/%d/stat is %q", pid, pid, stat)
	}
	if fields[0] == "Z" || fields[0] == "X" {
		return Process{}, nil
	}
	boot, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return Process{}, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	return Process{pid, fields[19] + " ticks after boot " + strings.TrimSpace(string(boot))}, nil
}

// fromPS asks ps, where there is no /proc.
func fromPS(pid int) (Process, error) {
	out, err := exec.Command("ps", "-o", "state=,lstart=", "-p", strconv.Itoa(pid)).Output()
	state, started, _ := strings.Cut(strings.TrimSpace(string(out)), " ")
	var exit *exec.ExitError
	if errors.As(err, &exit) || strings.HasPrefix(state, "Z") {
		return Process{}, nil
	}
	if err != nil {
		return Process{}, fmt.Errorf("looking at process %d: %w", pid, err)
	}
	return Process{pid, strings.TrimSpace(started)}, nil
}

// Running says whether the process still runs.
func (p Process) Running() (bool, error) {
	if p.PID == 0 {
		return false, nil
	}
	now, err := identify(p.PID)
	return err == nil && now == p, err
}

// signal sends a signal, unless the process has ended. The handle is taken before
// its identity is checked, so that the ID cannot change hands in between (on Linux,
// where the handle is a pidfd).
func (p Process) signal(s syscall.Signal) error {
	if p.PID == 0 {
		return nil
	}
	handle, err := os.FindProcess(p.PID)
	if err != nil {
		return fmt.Errorf("process %d: %w", p.PID, err)
	}
	defer handle.Release()
	if running, err := p.Running(); !running || err != nil {
		return err
	}
	if err := handle.Signal(s); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("process %d: sending %v: %w", p.PID, s, err)
	}
	return nil
}

// pollEvery is how often a process that is to end, or a peer that is to become
// ready, is looked at: reading /proc costs some microseconds.
const pollEvery = 20 * time.Millisecond

// await waits until the process has ended, and says whether it did in time.
func (p Process) await(patience time.Duration) (bool, error) {
	for deadline := time.Now().Add(patience); ; time.Sleep(pollEvery) {
		running, err := p.Running()
		if !running || err != nil {
			return err == nil, err
		}
		if time.Now().After(deadline) {
			return false, nil
		}
	}
}

// share is the environment of one of n peers on this machine: each gets its share
// of the processors, and so many threads. With 20 peers of two threads each on two
// processors, half of the time went into waking threads (measured: a block's p95
// latency of 160 ms became 25). A GOMAXPROCS that is set already is left alone.
func share(n int) []string {
	env := os.Environ()
	if os.Getenv("GOMAXPROCS") != "" {
		return env
	}
	return append(env, fmt.Sprintf("GOMAXPROCS=%d", max(1, runtime.NumCPU()/max(1, n))))
}

// launch starts a process that outlives this one, and returns a channel that is
// closed when it ends while this one still runs.
func launch(binary string, args, env []string, log string) (Process, <-chan struct{}, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	if err != nil {
		return Process{}, nil, fmt.Errorf("opening log: %w", err)
	}
	defer out.Close()
	cmd := exec.Command(binary, args...)
	cmd.Env = env
	cmd.Stdout, cmd.Stderr = out, out
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if err := cmd.Start(); err != nil {
		return Process{}, nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	p, err := identify(cmd.Process.Pid)
	if err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return Process{}, nil, err
	}
	ended := make(chan struct{})
	go func() {
		cmd.Wait()
		close(ended)
	}()
	return p, ended, nil
}

// Memory returns the resident memory in bytes, 0 where the system does not tell.
func (p Process) Memory() int {
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/statm", p.PID))
	if err != nil {
		return 0
	}
	fields := strings.Fields(string(text))
	if len(fields) < 2 {
		return 0
	}
	pages, err := strconv.Atoi(fields[1])
	if err != nil {
		return 0
	}
	return pages * os.Getpagesize()
}
