package server

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"sync"
	"syscall"
	"testing"
	"time"
)

const (
	freeze = syscall.SIGSTOP
	thaw   = syscall.SIGCONT
)

// supervisor is the server's parent. It ends with the server; and when the pipe on its standard input closes, which
// happens however the test process ends, it kills the server, frozen or not.
const supervisor = `exec 3<&0
"$@" </dev/null 3<&- &
server=$!
{ cat <&3; kill -KILL "$server"; } >/dev/null 2>&1 &
wait "$server"`

// process is one run of the server.
type process struct {
	pid int
	// alive is the write end of the supervisor's standard input.
	alive *os.File
	// said is the server's log.
	said *os.File
	// ended is closed when the server has ended.
	ended chan struct{}
	once  sync.Once
}

// openLog opens the file that the server's log goes to; without a name one that both sides have open and nobody else finds.
func openLog(name string) (*os.File, error) {
	if name != "" {
		return os.OpenFile(name, os.O_CREATE|os.O_RDWR|os.O_APPEND, 0o600)
	}
	said, err := os.CreateTemp("", "tokenkeep-vault-*.log")
	if err == nil {
		_ = os.Remove(said.Name()) // this way nothing stays behind
	}
	return said, err
}

// run starts the server and waits until it listens; it returns where.
func run(binary, logFile string, args ...string) (*process, string, error) {
	stdin, alive, err := os.Pipe()
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = stdin.Close() }()
	stdout, write, err := os.Pipe()
	if err != nil {
		return nil, "", errors.Join(err, alive.Close())
	}
	defer func() { _ = stdout.Close() }()
	said, err := openLog(logFile)
	if err != nil {
		return nil, "", errors.Join(err, alive.Close(), write.Close())
	}
	cmd := exec.Command("/bin/sh", append([]string{"-c", supervisor, "sh", binary}, args...)...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr, cmd.Env = stdin, write, said, environment()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	p := &process{alive: alive, said: said, ended: make(chan struct{})}
	err = cmd.Start()
	_ = write.Close()
	if err != nil {
		return nil, "", errors.Join(err, alive.Close())
	}
	go func() {
		_ = cmd.Wait()
		close(p.ended)
	}()
	var address string
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err == nil {
		_, err = fmt.Sscanf(line, "ready pid=%d address=%s", &p.pid, &address)
	}
	if err != nil {
		p.close()
		return nil, "", fmt.Errorf("starting the Vault server: %w\n%s", err, p.log())
	}
	return p, address, nil
}

// stop asks the server to end and waits until it has.
func (p *process) stop() error {
	if err := syscall.Kill(p.pid, syscall.SIGTERM); err != nil {
		return err
	}
	select {
	case <-p.ended:
		p.close()
		return nil
	case <-time.After(30 * time.Second):
		return fmt.Errorf("the Vault server does not stop\n%s", p.log())
	}
}

// kill ends the server at once; it may have ended before.
func (p *process) kill() { p.close() }

// close lets the supervisor kill what still runs, and waits.
func (p *process) close() {
	p.once.Do(func() {
		_ = p.alive.Close()
		<-p.ended
	})
}

func (p *process) signal(t testing.TB, s syscall.Signal) {
	t.Helper()
	if err := syscall.Kill(p.pid, s); err != nil {
		t.Fatal(err)
	}
}

// log returns the last of what the server said.
func (p *process) log() string {
	info, err := p.said.Stat()
	if err != nil {
		return ""
	}
	const most = 8 << 10
	text := make([]byte, min(info.Size(), most))
	n, _ := p.said.ReadAt(text, max(0, info.Size()-most))
	return string(text[:n])
}
