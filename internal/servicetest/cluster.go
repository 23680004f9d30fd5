package servicetest

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

// errNoPostgres says that the server's programs are missing.
var errNoPostgres = errors.New("the tests run on a real PostgreSQL and its programs (initdb, postgres) are not on this machine: install Debian's package postgresql, or put them in PATH")

// cluster is a PostgreSQL server that belongs to this process and keeps nothing.
type cluster struct {
	// extra are settings beside, and over, the common ones.
	extra []string
	// dir holds the data and the socket.
	dir string
	// alive is the write end of a pipe. When it closes, at the latest because this process died, the server goes.
	alive *os.File
}

// supervisor is the server's parent. It waits until the pipe on its standard input closes, which happens however the test
// process ends, then stops the server and removes its files.
const supervisor = `"$1" -D "$2" & cat >/dev/null; kill -QUIT $!; wait $!; rm -rf "$2"`

// settings make the server fast and forgetful, and let nobody in but through the socket in its own folder.
var settings = []string{
	"fsync=off", "synchronous_commit=off", "full_page_writes=off", "autovacuum=off", "max_connections=400",
	"shared_buffers=64MB", "listen_addresses=''", "log_min_messages=warning",
}

// startCluster starts a server and waits until it accepts connections.
func startCluster(ctx context.Context, extra ...string) (*cluster, error) {
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
	c := &cluster{dir: dir, extra: extra}
	if err := c.fill(ctx, bin, owner); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	if err := c.run(bin, owner); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	return c, nil
}

// url names a database of the cluster.
func (c *cluster) url(name string) string {
	return "postgres:///" + name + "?host=" + c.dir + "&user=postgres"
}

// fill makes the data folder, from a copy where this machine has made one before.
func (c *cluster) fill(ctx context.Context, bin string, owner *syscall.Credential) error {
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
func (c *cluster) own(owner *syscall.Credential) error {
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
func (c *cluster) run(bin string, owner *syscall.Credential) error {
	own := append([]string{"unix_socket_directories='" + c.dir + "'"}, c.extra...)
	conf := strings.Join(slices.Concat(settings, own), "\n") + "\n"
	if err := os.WriteFile(filepath.Join(c.dir, "postgresql.auto.conf"), []byte(conf), 0o600); err != nil {
		return err
	}
	stdin, alive, err := os.Pipe()
	if err != nil {
		return err
	}
	logs, stderr, err := os.Pipe()
	if err != nil {
		return err
	}
	cmd := exec.Command("/bin/sh", "-c", supervisor, "sh", filepath.Join(bin, "postgres"), c.dir)
	cmd.SysProcAttr = &syscall.SysProcAttr{Credential: owner, Setpgid: true}
	cmd.Stdin, cmd.Stderr, cmd.Dir = stdin, stderr, c.dir
	err = cmd.Start()
	_ = errors.Join(stdin.Close(), stderr.Close())
	if err != nil {
		return err
	}
	c.alive = alive
	if err := awaitReady(logs); err != nil {
		return errors.Join(err, alive.Close())
	}
	go func() { _, _ = io.Copy(io.Discard, logs) }()
	return nil
}

// awaitReady reads the server's log until it says that it is ready.
func awaitReady(logs io.Reader) error {
	var said bytes.Buffer
	lines := bufio.NewScanner(logs)
	for lines.Scan() {
		if strings.Contains(lines.Text(), "ready to accept connections") {
			return nil
		}
		said.WriteString(lines.Text() + "\n")
	}
	return fmt.Errorf("PostgreSQL did not start: %s", &said)
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
	return "", errNoPostgres
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
