package servicetest

import (
	"context"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
)

// Restartable is a PostgreSQL server that a test has for itself, to stop and start.
type Restartable struct {
	// URL names a migrated database in it.
	URL string

	t       testing.TB
	cluster *cluster
}

// OwnPostgres starts a server that lasts as long as the test.
func OwnPostgres(t testing.TB) *Restartable {
	t.Helper()
	c, err := startCluster(t.Context(), "synchronous_commit=on") // what was committed outlives a crash of the server
	if err != nil {
		t.Fatalf("starting PostgreSQL: %v", err)
	}
	r := &Restartable{URL: c.url("postgres"), t: t, cluster: c}
	t.Cleanup(func() {
		_ = r.control(context.Background(), "stop", "-m", "immediate") // the supervisor knows only the first of its servers
		_ = c.alive.Close()
	})
	if err := migrate(t.Context(), r.URL); err != nil {
		t.Fatal(err)
	}
	return r
}

// Stop ends the server as a crash does: connections are cut, and nothing is finished.
func (r *Restartable) Stop() { r.must("stop", "-m", "immediate") }

// Start starts it again and waits until it accepts connections.
func (r *Restartable) Start() { r.must("start", "-w", "-l", "/dev/null") }

func (r *Restartable) must(args ...string) {
	r.t.Helper()
	if err := r.control(r.t.Context(), args...); err != nil {
		r.t.Fatalf("pg_ctl %v: %v", args, err)
	}
}

func (r *Restartable) control(ctx context.Context, args ...string) error {
	bin, err := postgresBin()
	if err != nil {
		return err
	}
	owner, err := serverUser()
	if err != nil {
		return err
	}
	cmd := exec.CommandContext(ctx, filepath.Join(bin, "pg_ctl"), append([]string{"-D", r.cluster.dir}, args...)...)
	cmd.SysProcAttr, cmd.Dir = &syscall.SysProcAttr{Credential: owner}, r.cluster.dir
	return cmd.Run()
}
