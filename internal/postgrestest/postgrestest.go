// Package postgrestest runs a PostgreSQL server of its own for tests and for tools that try the service.
//
// Mechanism: the server's data is a copy of a folder that initdb made once on this machine. It listens on a socket in that
// folder and nowhere else, under a supervisor that ends it when the program that started it ends, however that happens.
//
// Limit: nothing reaches the disk on purpose (fsync is off). A server that was killed comes back with all that it
// acknowledged where Options.Durable is set, as long as the machine itself stays up.
package postgrestest

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// ErrMissing says that the server's programs are missing.
var ErrMissing = errors.New("the tests run on a real PostgreSQL and its programs (initdb, postgres) are not on this machine: install Debian's package postgresql, or put them in PATH")

// Options say which server. The zero value is the fastest one.
type Options struct {
	// Durable keeps every acknowledged commit when the server is stopped at once, for tests that start it again.
	Durable bool
	// Log gets what the server says; nil discards it.
	Log io.Writer
}

// Cluster is a PostgreSQL server that belongs to this process. Its methods are for one caller at a time.
type Cluster struct {
	// dir holds the data and the socket.
	dir string
	// orders is the standard input of the supervisor. When it closes, at the latest because this process died, the server
	// goes, and its files with it.
	orders *os.File
	// done gets a line for each order to stop that was carried out.
	done *bufio.Reader
	// ready is told each time the server accepts connections, or why it does not.
	ready chan error
	gone  chan struct{}
}

// supervisor is the server's parent. It takes orders from its standard input: "start", or the signal that the server is to
// be stopped with. When its input closes, which happens however the starting process ends, it stops the server and removes
// its files.
const supervisor = `"$1" -D "$2" >&2 & server=$!
while read -r order; do
	case "$order" in
	start) "$1" -D "$2" >&2 & server=$! ;;
	*) kill -s "$order" "$server"; wait "$server"; echo stopped ;;
	esac
done
kill -QUIT "$server" 2>/dev/null; wait "$server"; rm -rf "$2"`

// settings make the server fast, and let nobody in but through the socket in its own folder.
var settings = []string{
	"fsync=off", "full_page_writes=off", "autovacuum=off", "max_connections=400",
	"shared_buffers=64MB", "listen_addresses=''", "log_min_messages=warning",
}

// New starts a server and waits until it accepts connections. Errors: ErrMissing.
func New(ctx context.Context, o Options) (*Cluster, error) {
	bin, err := postgresBin()
	if err != nil {
		return nil, err
	}
	owner, err := serverUser()
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp("", "tkpg")
	if err != nil {
		return nil, err
	}
	c := &Cluster{dir: dir, ready: make(chan error, 1), gone: make(chan struct{})}
	if err := c.fill(ctx, bin, owner); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.run(bin, owner, o); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// URL names a database of the cluster.
func (c *Cluster) URL(name string) string {
	return "postgres:///" + name + "?host=" + c.dir + "&user=postgres"
}

// Dir is the folder of the server's data.
func (c *Cluster) Dir() string { return c.dir }

// Socket is the path of the server's socket.
func (c *Cluster) Socket() string { return filepath.Join(c.dir, ".s.PGSQL.5432") }

// Stop cuts all sessions, writes what there is to write and ends the server, as an operator who restarts it does.
func (c *Cluster) Stop() error { return c.stop("INT") }

// Crash ends the server at once: it recovers from its log when it starts again.
func (c *Cluster) Crash() error { return c.stop("QUIT") }

func (c *Cluster) stop(signal string) error {
	if _, err := fmt.Fprintln(c.orders, signal); err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	if _, err := c.done.ReadString('\n'); err != nil {
		return fmt.Errorf("stopping PostgreSQL: %w", err)
	}
	return nil
}

// Start starts the server again after Stop or Crash, and waits until it accepts connections.
func (c *Cluster) Start() error {
	if _, err := fmt.Fprintln(c.orders, "start"); err != nil {
		return fmt.Errorf("starting PostgreSQL: %w", err)
	}
	return <-c.ready
}

// Close ends the server for good and removes its files.
func (c *Cluster) Close() error {
	err := c.orders.Close()
	<-c.gone
	return err
}

// fill makes the data folder, from a copy where this machine has made one before.
func (c *Cluster) fill(ctx context.Context, bin string, owner *syscall.Credential) error {
	template := templatePath(ctx, bin)
	if _, err := os.Stat(template); err == nil {
		if err := os.CopyFS(c.dir, os.DirFS(template)); err != nil {
			return fmt.Errorf("copying the cluster's template: %w", err)
		}
		return c.own(owner)
	}
	if err := c.own(owner); err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "-D", c.dir, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C", "--no-sync")
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: owner}, c.dir
	if out, err := cmd.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, out)
	}
	keepTemplate(c.dir, template)
	return nil
}

// own gives the folder to the server's user and keeps everybody else out, as the server demands.
func (c *Cluster) own(owner *syscall.Credential) error {
	return filepath.WalkDir(c.dir, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if owner != nil {
			if err := os.Lchown(path, int(owner.Uid), int(owner.Gid)); err != nil {
				return err
			}
		}
		mode := fs.FileMode(0o600)
		if d.IsDir() {
			mode = 0o700
		}
		return os.Chmod(path, mode)
	})
}

// run starts the server under its supervisor.
func (c *Cluster) run(bin string, owner *syscall.Credential, o Options) error {
	commits := "synchronous_commit=off"
	if o.Durable {
		commits = "synchronous_commit=on" // it is written, though not to the disk, before it is acknowledged
	}
	conf := strings.Join(append(slices.Clone(settings), commits, "unix_socket_directories='"+c.dir+"'"), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(c.dir, "postgresql.auto.conf"), []byte(conf), 0o600); err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", supervisor, "sh", filepath.Join(bin, "postgres"), c.dir) //nolint:gosec,noctx // the server's own program; closing its input ends it
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: owner, Setpgid: true}, c.dir
	stdin, orders, err := os.Pipe()
	if err != nil {
		return err
	}
	done, stdout, err := os.Pipe()
	if err != nil {
		return err
	}
	logs, stderr, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = stdin, stdout, stderr
	err = cmd.Start()
	_ = errors.Join(stdin.Close(), stdout.Close(), stderr.Close())
	if err != nil {
		return errors.Join(err, orders.Close(), done.Close(), logs.Close())
	}
	c.orders, c.done = orders, bufio.NewReader(done)
	go c.listen(logs, o.Log)
	go func() {
		_ = cmd.Wait()
		_ = done.Close()
		close(c.gone)
	}()
	if err := <-c.ready; err != nil {
		return errors.Join(err, orders.Close())
	}
	return nil
}

// listen reads the server's log to its end, and tells when it says that it is ready, or has ended without being so.
func (c *Cluster) listen(logs io.ReadCloser, to io.Writer) {
	defer func() { _ = logs.Close() }()
	if to == nil {
		to = io.Discard
	}
	var said bytes.Buffer
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		_, _ = fmt.Fprintln(to, lines.Text())
		switch text := lines.Text(); {
		case strings.Contains(text, "ready to accept connections"):
			said.Reset()
			c.tell(nil)
		case strings.Contains(text, "FATAL:  could not") || strings.Contains(text, "lock file"):
			c.tell(fmt.Errorf("PostgreSQL did not start: %s", text))
		case said.Len() < 4096:
			said.WriteString(text + "\n")
		}
	}
	c.tell(fmt.Errorf("PostgreSQL did not start: %s", &said))
}

// tell hands on what became of a start; nobody waits for more than one.
func (c *Cluster) tell(err error) {
	select {
	case c.ready <- err:
	default:
	}
}

// postgresBin finds the newest server on this machine.
func postgresBin() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	slices.SortFunc(found, func(a, b string) int { return postgresVersion(b) - postgresVersion(a) })
	if len(found) > 0 {
		return filepath.Dir(found[0]), nil
	}
	if path, err := exec.LookPath("initdb"); err == nil {
		return filepath.Dir(path), nil
	}
	return "", ErrMissing
}

// postgresVersion returns the number in /usr/lib/postgresql/15/bin/initdb.
func postgresVersion(path string) int {
	v, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
	return v
}

// serverUser is whom the server runs as: it refuses root. nil is ourselves.
func serverUser() (*syscall.Credential, error) {
	if os.Geteuid() != 0 {
		return nil, nil
	}
	for _, name := range []string{"postgres", "nobody"} {
		u, err := user.Lookup(name)
		if err != nil {
			continue
		}
		uid, _ := strconv.ParseUint(u.Uid, 10, 32)
		gid, _ := strconv.ParseUint(u.Gid, 10, 32)
		return &syscall.Credential{Uid: uint32(uid), Gid: uint32(gid)}, nil
	}
	return nil, errors.New("PostgreSQL refuses to run as root, and there is neither a user postgres nor nobody to run it as")
}

// templatePath is where this machine keeps a fresh data folder, by the server's version.
func templatePath(ctx context.Context, bin string) string {
	cache, err := os.UserCacheDir()
	out, verr := exec.CommandContext(ctx, filepath.Join(bin, "initdb"), "--version").Output()
	if err != nil || verr != nil {
		return ""
	}
	return filepath.Join(cache, "tokenkeep-test", strings.ReplaceAll(strings.TrimSpace(string(out)), " ", "-"))
}

// keepTemplate keeps a copy of a fresh data folder for the next process. Failing to only costs time.
func keepTemplate(dir, template string) {
	if template == "" {
		return
	}
	temporary := fmt.Sprintf("%s.%d", template, os.Getpid())
	if err := os.CopyFS(temporary, os.DirFS(dir)); err == nil {
		_ = os.Rename(temporary, template) // where another process was faster, ours goes
	}
	_ = os.RemoveAll(temporary)
}
