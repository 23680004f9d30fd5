package interop_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

// built is the program under test.
var built struct {
	once   sync.Once
	dir    string
	said   []byte
	failed error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if built.dir != "" {
		_ = os.RemoveAll(built.dir)
	}
	os.Exit(code)
}

// binary builds tokenkeep once for all tests.
func binary(t *testing.T) string {
	t.Helper()
	servicetest.Watch(t, "../../cmd", "../../ent", "../../graph", "../../internal", "../../go.mod", "../../go.sum")
	built.once.Do(func() {
		if built.dir, built.failed = os.MkdirTemp("", "tokenkeep-interop"); built.failed != nil {
			return
		}
		built.said, built.failed = exec.Command("go", "build", "-race", "-o", filepath.Join(built.dir, "tokenkeep"), "../../cmd/tokenkeep").CombinedOutput()
	})
	if built.failed != nil {
		t.Fatalf("building tokenkeep: %v\n%s", built.failed, built.said)
	}
	return filepath.Join(built.dir, "tokenkeep")
}

// process is a running "tokenkeep serve" with its files in one folder.
type process struct {
	operator caller
	dir      string
	cmd      *exec.Cmd
	stopping sync.Once
	// log is what it wrote; it is whole once ended is closed.
	log   bytes.Buffer
	ended chan struct{}
}

// startTokenkeep prepares an empty database as an operator would and starts the service on it.
func startTokenkeep(t *testing.T, databaseURL, providers string) *process {
	t.Helper()
	p := &process{dir: t.TempDir(), ended: make(chan struct{})}
	file := func(name string) string { return filepath.Join(p.dir, name) }
	if err := os.WriteFile(file("providers.yaml"), []byte(providers), 0o600); err != nil {
		t.Fatal(err)
	}
	environment := []string{
		"TOKENKEEP_DATABASE_URL=" + databaseURL, "TOKENKEEP_VAULT=embedded", "TOKENKEEP_VAULT_FILE=" + file("vault.db"),
		"TOKENKEEP_ROOT_KEY_FILE=" + file("root.key"), "TOKENKEEP_OPERATOR_KEY_FILE=" + file("operator.key"),
		"TOKENKEEP_PROVIDERS_FILE=" + file("providers.yaml"), "TOKENKEEP_PUBLIC_URL=http://127.0.0.1",
		"TOKENKEEP_LISTEN=127.0.0.1:0", "TOKENKEEP_OUTBOUND_ALLOW=127.0.0.0/8,::1", "TOKENKEEP_LOG_LEVEL=debug", "TOKENKEEP_LOG_FORMAT=json",
	}
	command := func(args ...string) *exec.Cmd {
		cmd := exec.Command(binary(t), args...)
		cmd.Env = append(os.Environ(), environment...)
		return cmd
	}
	for _, args := range [][]string{{"migrate", "up"}, {"rootkey", "create", file("root.key")}, {"operatorkey", "create", file("operator.key")}} {
		if out, err := command(args...).CombinedOutput(); err != nil {
			t.Fatalf("tokenkeep %s: %v\n%s", strings.Join(args, " "), err, out)
		}
	}
	key, err := os.ReadFile(file("operator.key"))
	if err != nil {
		t.Fatal(err)
	}
	p.cmd = command("serve")
	p.operator = caller{graphql: "http://" + p.start(t) + "/graphql", key: strings.TrimSpace(string(key))}
	return p
}

// start starts the process and returns the address that it listens on.
func (p *process) start(t *testing.T) (address string) {
	t.Helper()
	stderr, err := p.cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := p.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { p.stop(t) })
	listening := make(chan string, 1)
	go p.read(stderr, listening)
	select {
	case address = <-listening:
	case <-p.ended:
		t.Fatalf("tokenkeep serve ended before it listened:\n%s", &p.log)
	}
	return address
}

// read keeps the log and picks the address out of it.
func (p *process) read(stderr io.Reader, listening chan<- string) {
	defer close(p.ended)
	for lines := bufio.NewScanner(stderr); lines.Scan(); {
		p.log.Write(append(lines.Bytes(), '\n'))
		var line struct{ Msg, Address string }
		if json.Unmarshal(lines.Bytes(), &line) == nil && line.Msg == "listening" {
			listening <- line.Address
		}
	}
}

// stop ends the process as a service manager does.
func (p *process) stop(t *testing.T) {
	t.Helper()
	p.stopping.Do(func() {
		if err := p.cmd.Process.Signal(syscall.SIGTERM); err != nil {
			t.Errorf("stopping tokenkeep: %v", err)
		}
		<-p.ended
		if err := p.cmd.Wait(); err != nil {
			t.Errorf("tokenkeep ended with %v:\n%s", err, &p.log)
		}
	})
}

// files reads everything that the process wrote to its folder.
func (p *process) files(t *testing.T) map[string][]byte {
	t.Helper()
	all := map[string][]byte{}
	names, err := filepath.Glob(filepath.Join(p.dir, "*"))
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		if all[filepath.Base(name)], err = os.ReadFile(name); err != nil {
			t.Fatal(err)
		}
	}
	return all
}
