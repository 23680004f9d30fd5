package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"net/http"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

// supervisor is a process's parent. When the pipe on its standard input closes, which happens however the harness ends, it
// kills the process, frozen or not.
const supervisor = `exec 3<&0
"$@" </dev/null >&2 3<&- &
served=$!
echo "$served"
{ cat <&3; kill -KILL "$served"; } >/dev/null 2>&1 &
wait "$served"`

// process is one run of a program.
type process struct {
	pid   int
	alive *os.File
	ended chan struct{}
	// code is the exit status as a shell tells it, once it has ended.
	code int
	once sync.Once
}

// launch starts a program whose output is added to a log.
func launch(log string, environment []string, name string, args ...string) (*process, error) {
	out, err := os.OpenFile(log, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return nil, err
	}
	defer func() { _ = out.Close() }()
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdin.Close() }()
	stdout, write, err := os.Pipe()
	if err != nil {
		return nil, err
	}
	defer func() { _ = stdout.Close() }()
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervisor, "sh", name}, args...)...) //nolint:gosec,noctx // the harness's own program; closing its input ends it
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = stdin, write, out, environment
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{alive: alive, ended: make(chan struct{})}
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return nil, errors.Join(err, alive.Close())
	}
	go func() {
		_ = cmd.Wait()
		p.code = cmd.ProcessState.ExitCode()
		close(p.ended)
	}()
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		p.pid, err = strconv.Atoi(strings.TrimSpace(line))
	}
	if err != nil {
		p.close()
		return nil, fmt.Errorf("starting %s: %w", name, err)
	}
	return p, nil
}

func (p *process) signal(s syscall.Signal) { _ = syscall.Kill(p.pid, s) }

// close kills what still runs, and waits.
func (p *process) close() {
	p.once.Do(func() { _ = p.alive.Close() })
	<-p.ended
}

// replica is one place where the service runs, with its proxies; the process in it comes and goes.
type replica struct {
	n        int
	world    *world
	graphql  string
	ready    string
	log      string
	settings []string
	client   *http.Client
	traps    traps
	zoom     *zoomProxy
	vault    *vaultProxy
	database *postgresProxy

	// turn is held by whoever stops, starts or freezes the process.
	turn sync.Mutex
	// away ends the window of one who stopped the process to start it later; it belongs to whoever holds turn.
	away func()
	mu   sync.Mutex
	// running is nil while there is none.
	running *process
	// expected is set while an end of the process is the harness's doing.
	expected bool
	starts   int
}

// up starts the process and waits until it is ready; one that ends at once, because a store is away, is started again as a
// service manager would.
func (r *replica) up(ctx context.Context) error {
	for ctx.Err() == nil {
		p, err := launch(r.log, r.environment(), r.world.binary, "serve")
		if err != nil {
			return err
		}
		r.mu.Lock()
		r.running, r.expected = p, false
		r.starts++
		r.mu.Unlock()
		if r.awaitReady(ctx, p) {
			go r.watch(p)
			return nil
		}
		p.close()
		sleep(ctx, time.Second)
	}
	return ctx.Err()
}

// awaitReady waits until the process answers that it is ready; false where it ended, or takes too long.
func (r *replica) awaitReady(ctx context.Context, p *process) bool {
	slow := time.NewTimer(time.Minute)
	defer slow.Stop()
	again := time.NewTicker(50 * time.Millisecond)
	defer again.Stop()
	for {
		if r.isReady(ctx) {
			return true
		}
		select {
		case <-ctx.Done():
			return false
		case <-p.ended:
			return false
		case <-slow.C:
			return false
		case <-again.C:
		}
	}
}

// isReady asks the process.
func (r *replica) isReady(ctx context.Context) bool {
	ctx, cancel := context.WithTimeout(ctx, 3*time.Second)
	defer cancel()
	q, err := http.NewRequestWithContext(ctx, http.MethodGet, r.ready, nil)
	if err != nil {
		return false
	}
	answer, err := r.client.Do(q)
	if err != nil {
		return false
	}
	_ = answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

// watch notices a process that ends though nobody asked it to.
func (r *replica) watch(p *process) {
	<-p.ended
	r.mu.Lock()
	surprise := r.running == p && !r.expected
	r.mu.Unlock()
	if surprise {
		r.world.broke("replica %d ended by itself with status %d; see %s", r.n, p.code, r.log)
	}
}

// current is the running process; nil where there is none.
func (r *replica) current() *process {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.running
}

// down ends the process: at once by SIGKILL, or in its own time by SIGTERM. It returns how it ended.
func (r *replica) down(s syscall.Signal) (code int) {
	r.mu.Lock()
	p := r.running
	r.expected = true
	r.mu.Unlock()
	if p == nil {
		return 0
	}
	p.signal(s)
	if s == syscall.SIGTERM && !within(p.ended, 3*time.Minute) {
		r.world.broke("replica %d does not end within three minutes of SIGTERM; see %s", r.n, r.log)
		p.signal(syscall.SIGKILL)
	}
	p.close()
	r.mu.Lock()
	r.running = nil
	r.mu.Unlock()
	return p.code
}

// environment is what the process sees.
func (r *replica) environment() []string {
	env := append([]string{"PATH=" + os.Getenv("PATH"), "HOME=" + r.world.dir, "TMPDIR=" + r.world.dir, "GORACE=halt_on_error=0"}, r.settings...)
	return append(env, r.world.clock(r)...)
}

// sleep waits, or until ctx ends.
func sleep(ctx context.Context, d time.Duration) {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-ctx.Done():
	case <-timer.C:
	}
}
