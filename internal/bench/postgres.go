package main

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"os/user"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/database"
)

// postgres is a PostgreSQL server of the bench's own. Unlike the one that tests run on it is as careful as in production:
// nothing that makes commits durable is switched off.
type postgres struct {
	url string
	cmd *exec.Cmd
	dir string
}

// postgresConfig is all that differs from the server's defaults: memory as on a small machine, and no door but a socket.
const postgresConfig = "listen_addresses=''\nunix_socket_directories='%s'\nshared_buffers=256MB\nmax_connections=50\n"

// postgresPrograms is the folder of the newest server on this machine.
func postgresPrograms() (string, error) {
	found, _ := filepath.Glob("/usr/lib/postgresql/*/bin/initdb")
	if len(found) > 0 {
		version := func(path string) int {
			n, _ := strconv.Atoi(filepath.Base(filepath.Dir(filepath.Dir(path))))
			return n
		}
		return filepath.Dir(slices.MaxFunc(found, func(a, b string) int { return version(a) - version(b) })), nil
	}
	path, err := exec.LookPath("initdb")
	if err != nil {
		return "", errors.New("its programs (initdb, postgres) are not on this machine; Debian's package is postgresql")
	}
	return filepath.Dir(path), nil
}

// startPostgres makes a cluster and starts it.
func startPostgres(ctx context.Context) (_ *postgres, err error) {
	programs, err := postgresPrograms()
	if err != nil {
		return nil, err
	}
	// A folder of its own: another user has to reach it, and the path of a socket is short.
	dir, err := os.MkdirTemp("", "tkbench")
	if err != nil {
		return nil, err
	}
	p := &postgres{url: "postgres:///postgres?host=" + dir + "&user=postgres", dir: dir}
	if err := p.begin(ctx, programs); err != nil {
		return nil, errors.Join(fmt.Errorf("starting PostgreSQL: %w", err), p.stop())
	}
	return p, nil
}

func (p *postgres) begin(ctx context.Context, programs string) error {
	as, err := serverUser()
	if err != nil {
		return err
	}
	if as != nil {
		if err := os.Chown(p.dir, int(as.Uid), int(as.Gid)); err != nil {
			return err
		}
	}
	data := filepath.Join(p.dir, "data")
	initialize := exec.CommandContext(ctx, filepath.Join(programs, "initdb"), "-D", data, "-U", "postgres", "-A", "trust", "-E", "UTF8", "--locale=C") // #nosec G204 -- the server's own program
	initialize.Dir, initialize.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: as}
	if out, err := initialize.CombinedOutput(); err != nil {
		return fmt.Errorf("running initdb: %w: %s", err, out)
	}
	file, err := os.OpenFile(filepath.Join(data, "postgresql.conf"), os.O_APPEND|os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = fmt.Fprintf(file, postgresConfig, p.dir)
	if err := errors.Join(err, file.Close()); err != nil {
		return err
	}
	// A group of its own: Ctrl-C at the terminal is for the bench, which stops the server last.
	p.cmd = exec.Command(filepath.Join(programs, "postgres"), "-D", data) //nolint:gosec,noctx // the server's own program; stop ends it
	p.cmd.Dir, p.cmd.SysProcAttr = p.dir, &syscall.SysProcAttr{Credential: as, Setpgid: true}
	if err := p.cmd.Start(); err != nil {
		return err
	}
	return p.await(ctx)
}

// await waits until the server answers.
func (p *postgres) await(ctx context.Context) error {
	again := time.NewTicker(100 * time.Millisecond)
	defer again.Stop()
	slow := time.NewTimer(startTime)
	defer slow.Stop()
	for {
		db, err := database.Open(ctx, p.url, database.Options{MaxConns: 1})
		if err == nil {
			return db.Close()
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-slow.C:
			return err
		case <-again.C:
		}
	}
}

// stop ends the server at once and removes its files.
func (p *postgres) stop() error {
	if p.cmd != nil && p.cmd.Process != nil {
		_ = p.cmd.Process.Signal(syscall.SIGQUIT)
		_ = p.cmd.Wait()
	}
	return os.RemoveAll(p.dir)
}

// serverUser is whom the server runs as: it refuses root. Nil is ourselves.
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
	return nil, errors.New("the server refuses to run as root, and there is neither a user postgres nor nobody")
}

// postgresVersion is what the server's program says of itself.
func postgresVersion(ctx context.Context) string {
	programs, err := postgresPrograms()
	if err != nil {
		return ""
	}
	out, _ := exec.CommandContext(ctx, filepath.Join(programs, "postgres"), "--version").Output() // #nosec G204 -- the server's own program
	return strings.TrimPrefix(strings.TrimSpace(string(out)), "postgres (PostgreSQL) ")
}
