package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"
)

// process is a server that the bench started.
type process struct {
	cmd *exec.Cmd
	// first is the first line that it printed.
	first string
	stdin io.Closer
	out   *bufio.Reader
	// log is the file that its standard error goes to.
	log *os.File
}

// startTime is how long a process may take until its first line, or until it is ready.
const startTime = time.Minute

// stopTime is how long a process may take to end.
const stopTime = 30 * time.Second

// start starts a command, whose standard error goes to a file in dir. It is told to end when ctx does, and by stop.
func start(ctx context.Context, dir string, environment []string, name string, args ...string) (*process, error) {
	log, err := os.CreateTemp(dir, filepath.Base(name)+"-*.log")
	if err != nil {
		return nil, err
	}
	p := &process{cmd: exec.CommandContext(ctx, name, args...), log: log} // #nosec G204 -- the bench's own commands
	p.cmd.Env = append(os.Environ(), environment...)
	p.cmd.Stderr = log
	p.cmd.Cancel = func() error { return p.cmd.Process.Signal(syscall.SIGTERM) }
	p.cmd.WaitDelay = stopTime
	in, err := p.cmd.StdinPipe()
	if err != nil {
		return nil, err
	}
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.stdin, p.out = in, bufio.NewReader(out)
	if err := p.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

// awaitLine waits for the first line on standard output.
func (p *process) awaitLine() error {
	slow := time.AfterFunc(startTime, func() { _ = p.cmd.Process.Kill() })
	defer slow.Stop()
	line, err := p.out.ReadString('\n')
	if err != nil {
		return errors.Join(fmt.Errorf("it printed no line: %w", err), p.stop())
	}
	p.first = strings.TrimSpace(line)
	go func() { _, _ = io.Copy(io.Discard, p.out) }()
	return nil
}

// stop tells the process to end and waits until it has. Nil may be stopped, and what has been.
func (p *process) stop() error {
	if p == nil || p.cmd.ProcessState != nil {
		return nil
	}
	_ = p.stdin.Close()
	_ = p.cmd.Process.Signal(syscall.SIGTERM)
	slow := time.AfterFunc(stopTime, func() { _ = p.cmd.Process.Kill() })
	defer slow.Stop()
	if err := p.cmd.Wait(); err != nil && !ended(p.cmd.ProcessState) {
		return fmt.Errorf("%s: %w: %s", filepath.Base(p.cmd.Path), err, p.said())
	}
	return p.log.Close()
}

// said is the end of what the process wrote to standard error.
func (p *process) said() string {
	const most = 2000
	text, _ := os.ReadFile(p.log.Name())
	return strings.TrimSpace(string(text[max(0, len(text)-most):]))
}

// ended reports whether a process ended as it was told to.
func ended(s *os.ProcessState) bool {
	status, ok := s.Sys().(syscall.WaitStatus)
	return ok && (status.Exited() && status.ExitStatus() == 0 || status.Signaled() && status.Signal() == syscall.SIGTERM)
}

// tick is the unit of times in /proc/<pid>/stat; USER_HZ is 100 wherever Go runs.
const tick = 10 * time.Millisecond

// pid is a process as the system knows it.
type pid int

func (p *process) pid() pid { return pid(p.cmd.Process.Pid) }

// cpu is the time that the process has used, in user and kernel; zero where the system does not tell.
func (p pid) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p))
	if err != nil {
		return 0
	}
	// Fields 14 and 15; the second one is the name in parentheses, which may hold anything.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	if len(fields) < 13 {
		return 0
	}
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * tick
}

// memory is the most that the process held, in bytes; zero where the system does not tell.
func (p *process) memory() int64 {
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", p.cmd.Process.Pid))
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			kib, _ := strconv.ParseInt(strings.Fields(rest)[0], 10, 64)
			return kib << 10
		}
	}
	return 0
}
