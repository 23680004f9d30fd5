package main

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestMain(m *testing.M) {
	testscript.Main(m, map[string]func(){"tokenkeep": main})
}

// TestScripts runs what does not depend on the database.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{Dir: "testdata/script", Cmds: scriptCommands(), RequireExplicitExec: true, Setup: clean})
}

// TestDatabaseScripts runs the scripts that need a database, on both kinds; $DATABASE is the URL of one without tables.
func TestDatabaseScripts(t *testing.T) {
	for name, url := range map[string]func(testing.TB, *testscript.Env) string{
		"sqlite": func(_ testing.TB, e *testscript.Env) string {
			return "sqlite://" + filepath.Join(e.WorkDir, "tokenkeep.db")
		},
		"postgres": func(t testing.TB, _ *testscript.Env) string { return servicetest.EmptyPostgres(t) },
	} {
		t.Run(name, func(t *testing.T) {
			testscript.Run(t, testscript.Params{
				Dir: "testdata/script/database", Cmds: scriptCommands(), RequireExplicitExec: true,
				Setup: func(e *testscript.Env) error {
					e.Setenv("DATABASE", url(e.T().(testing.TB), e))
					return clean(e)
				},
			})
		})
	}
}

// clean keeps settings of whoever runs the tests out of them. Under the race detector a process waits for a second
// before it ends, which a hundred commands in a row would feel.
func clean(e *testscript.Env) error {
	var kept []string
	for _, v := range e.Vars {
		if !strings.HasPrefix(v, "TOKENKEEP_") {
			kept = append(kept, v)
		}
	}
	e.Vars = append(kept, "GORACE=atexit_sleep_ms=0")
	return nil
}

// scriptCommands are what scripts may use beside testscript's own commands.
func scriptCommands() map[string]func(*testscript.TestScript, bool, []string) {
	r := &runners{all: map[string]*runner{}}
	return map[string]func(*testscript.TestScript, bool, []string){
		"start": r.start, "interrupt": r.interrupt, "graphql": graphqlCommand, "fetch": fetchCommand, "capture": captureCommand, "busy": busyCommand,
		"await": awaitCommand,
	}
}

// runners are the processes that scripts have started, by script and name.
type runners struct {
	mu  sync.Mutex
	all map[string]*runner
}

// runner is a process that is up.
type runner struct {
	cmd    *exec.Cmd
	out    *transcript
	errors *transcript
	done   chan struct{}
}

func (r *runners) key(ts *testscript.TestScript, name string) string {
	return ts.Getenv("WORK") + " " + name
}

// start NAME tokenkeep ARG...: starts a process and returns when it is up: with its first line on standard output, or
// with the line of serve's log that says where it listens. What a line of JSON says is then in $NAME_key, where serve
// listens in $NAME_address.
func (r *runners) start(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: start NAME COMMAND ARG...")
	}
	up := make(chan string, 1)
	p := &runner{cmd: exec.Command(args[1], args[2:]...), done: make(chan struct{})}
	p.out, p.errors = newTranscript(up, regexp.MustCompile(`^.*$`)), newTranscript(up, regexp.MustCompile(`msg=listening.*$`))
	p.cmd.Dir, p.cmd.Stdout, p.cmd.Stderr = ts.MkAbs("."), p.out, p.errors
	p.cmd.Env = environment(ts)
	ts.Check(p.cmd.Start())
	go func() {
		defer close(p.done)
		_ = p.cmd.Wait()
	}()
	ts.Defer(func() {
		_ = p.cmd.Process.Kill()
		<-p.done
	})
	r.mu.Lock()
	r.all[r.key(ts, args[0])] = p
	r.mu.Unlock()
	select {
	case line := <-up:
		announce(ts, args[0], line)
	case <-p.done:
		ts.Fatalf("%s ended with %v: %s", args[0], p.cmd.ProcessState, p.errors)
	}
}

// announce puts what a process says of itself into the script's environment.
func announce(ts *testscript.TestScript, name, line string) {
	var said map[string]string
	if json.Unmarshal([]byte(line), &said) == nil {
		for key, value := range said {
			ts.Setenv(name+"_"+key, value)
		}
	}
	if m := regexp.MustCompile(`address=(\S+)`).FindStringSubmatch(line); m != nil {
		ts.Setenv(name+"_address", m[1])
	}
}

// environment is the script's, as far as the commands here have use for it.
func environment(ts *testscript.TestScript) []string {
	env := []string{"PATH=" + ts.Getenv("PATH"), "HOME=" + ts.Getenv("HOME"), "TMPDIR=" + ts.Getenv("TMPDIR"), "GORACE=" + ts.Getenv("GORACE")}
	for _, name := range []string{
		"LISTEN", "PUBLIC_URL", "DATABASE_URL", "VAULT", "VAULT_FROM", "VAULT_FILE", "ROOT_KEY_FILE", "OPERATOR_KEY_FILE", "PROVIDERS_FILE", "PLAYGROUND", "INTROSPECTION",
		"VAULT_ROLE_ID", "VAULT_SECRET_ID_FILE", "VAULT_KEYS_ROLE_ID", "VAULT_KEYS_SECRET_ID_FILE", "VAULT_UNSEAL_KEY_FILE", "VAULT_LOGIN_DIR",
	} {
		if value := ts.Getenv("TOKENKEEP_" + name); value != "" {
			env = append(env, "TOKENKEEP_"+name+"="+value)
		}
	}
	for _, name := range []string{"VAULT_ADDR", "VAULT_TOKEN"} {
		if value := ts.Getenv(name); value != "" {
			env = append(env, name+"="+value)
		}
	}
	return env
}

// interrupt NAME [SIGNAL]: interrupts the process, waits for its end, and expects exit code 0 (another one after "!"). Its
// output is then in the files NAME.out and NAME.err.
func (r *runners) interrupt(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) == 0 {
		ts.Fatalf("usage: interrupt NAME [SIGNAL]")
	}
	r.mu.Lock()
	p := r.all[r.key(ts, args[0])]
	r.mu.Unlock()
	if p == nil {
		ts.Fatalf("nothing was started as %s", args[0])
	}
	signal := syscall.SIGINT
	if len(args) > 1 {
		signal = map[string]syscall.Signal{"TERM": syscall.SIGTERM, "KILL": syscall.SIGKILL}[args[1]]
	}
	ts.Check(p.cmd.Process.Signal(signal))
	<-p.done
	ts.Check(errors.Join(
		os.WriteFile(ts.MkAbs(args[0]+".out"), []byte(p.out.String()), 0o600),
		os.WriteFile(ts.MkAbs(args[0]+".err"), []byte(p.errors.String()), 0o600)))
	if p.cmd.ProcessState.Success() == neg {
		ts.Fatalf("%s ended with %v: %s", args[0], p.cmd.ProcessState, p.errors)
	}
}

// graphql URL KEY QUERY: sends a query and writes the answer's body to stdout.
func graphqlCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: graphql URL KEY QUERY")
	}
	body, err := json.Marshal(map[string]string{"query": args[2]})
	ts.Check(err)
	req, err := http.NewRequest(http.MethodPost, args[0], bytes.NewReader(body))
	ts.Check(err)
	req.Header.Set("Content-Type", "application/json")
	req.Header.Set("Authorization", "Bearer "+args[1])
	answer(ts, neg, req)
}

// fetch URL: gets it and writes the body to stdout. After "!" the status must be 400 or above.
func fetchCommand(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 1 {
		ts.Fatalf("usage: fetch URL")
	}
	req, err := http.NewRequest(http.MethodGet, args[0], http.NoBody)
	ts.Check(err)
	answer(ts, neg, req)
}

// await URL PATTERN: gets it until the body matches.
func awaitCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: await URL PATTERN")
	}
	pattern := regexp.MustCompile(args[1])
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(30 * time.Second); ; <-tick.C {
		res, err := http.Get(args[0]) //nolint:gosec,noctx // the script's own process
		ts.Check(err)
		body, err := io.ReadAll(res.Body)
		_ = res.Body.Close()
		ts.Check(err)
		if pattern.Match(body) {
			return
		}
		if time.Now().After(deadline) {
			ts.Fatalf("no %s in: %s", args[1], body)
		}
	}
}

func answer(ts *testscript.TestScript, neg bool, req *http.Request) {
	res, err := http.DefaultTransport.RoundTrip(req)
	ts.Check(err)
	defer res.Body.Close()
	body, err := io.ReadAll(res.Body)
	ts.Check(err)
	_, _ = ts.Stdout().Write(body)
	if failed := res.StatusCode >= http.StatusBadRequest; failed != neg {
		ts.Fatalf("got %s: %s", res.Status, body)
	}
}

// capture NAME PATTERN: puts the first group of the pattern, as found in the last command's stdout, into $NAME.
func captureCommand(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 2 {
		ts.Fatalf("usage: capture NAME PATTERN")
	}
	m := regexp.MustCompile(args[1]).FindStringSubmatch(ts.ReadFile("stdout"))
	if len(m) < 2 {
		ts.Fatalf("no %s in: %s", args[1], ts.ReadFile("stdout"))
	}
	ts.Setenv(args[0], m[1])
}

// busy: listens on a port until the script ends; $BUSY is its address.
func busyCommand(ts *testscript.TestScript, _ bool, _ []string) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	ts.Check(err)
	ts.Defer(func() { l.Close() })
	ts.Setenv("BUSY", l.Addr().String())
}

// transcript keeps what a process writes and reports the first line that matches.
type transcript struct {
	mu      sync.Mutex
	text    bytes.Buffer
	checked int
	pattern *regexp.Regexp
	found   chan<- string
	once    sync.Once
}

func newTranscript(found chan<- string, pattern *regexp.Regexp) *transcript {
	return &transcript{found: found, pattern: pattern}
}

func (s *transcript) Write(b []byte) (int, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.text.Write(b)
	lines := bufio.NewScanner(bytes.NewReader(s.text.Bytes()[s.checked:]))
	for lines.Scan() {
		if s.checked += len(lines.Bytes()) + 1; s.checked > s.text.Len() {
			s.checked -= len(lines.Bytes()) + 1 // not ended yet
			break
		}
		if s.pattern.Match(lines.Bytes()) {
			line := lines.Text()
			s.once.Do(func() { s.found <- line })
		}
	}
	return len(b), nil
}

func (s *transcript) String() string {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.text.String()
}
