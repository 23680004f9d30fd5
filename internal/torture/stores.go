package main

import (
	"context"
	"fmt"
	"syscall"
	"time"
)

// vaultAway takes Vault away for a while, in one of several ways.
func (w *world) vaultAway(ctx context.Context, a action) string {
	end := w.windows.open(theVault, everybody)
	defer end()
	switch a.kind {
	case "vault-seal":
		if err := w.vault.TrySeal(w.background); err != nil {
			return fmt.Sprintf("it could not be sealed: %v", err)
		}
		sleep(ctx, a.lasts)
	case "vault-freeze":
		_ = syscall.Kill(w.vault.PID(), syscall.SIGSTOP)
		sleep(ctx, a.lasts)
		_ = syscall.Kill(w.vault.PID(), syscall.SIGCONT)
		w.settle(everybody)
		return "stood still and went on"
	case "vault-restart":
		if err := w.vault.TryStop(); err != nil {
			return fmt.Sprintf("it could not be stopped: %v", err)
		}
		sleep(ctx, a.lasts)
		w.must("booting Vault", w.vault.TryBoot())
	case "vault-kill":
		w.vault.Kill()
		sleep(ctx, a.lasts)
		w.must("booting Vault", w.vault.TryBoot())
	}
	w.must("unsealing Vault", w.vault.TryUnseal(w.background))
	w.settle(everybody)
	return "away and back"
}

// databaseAway restarts PostgreSQL.
func (w *world) databaseAway(ctx context.Context, a action) string {
	end := w.windows.open(theDatabase, everybody)
	defer end()
	if a.kind == "database-crash" {
		w.must("crashing PostgreSQL", w.postgres.Crash())
	} else {
		w.must("stopping PostgreSQL", w.postgres.Stop())
	}
	sleep(ctx, a.lasts)
	w.must("starting PostgreSQL", w.postgres.Start())
	w.settle(everybody)
	return "away and back"
}

// must notes that the harness itself could not do something.
func (w *world) must(what string, err error) {
	if err != nil && w.background.Err() == nil {
		w.broke("the harness: %s: %v", what, err)
	}
}

// recovery is how long a replica may take to be ready after a store came back.
const recovery = 30 * time.Second

// settle waits until the processes that run find their stores again. One that does not is a broken promise.
func (w *world) settle(only int) {
	ctx, cancel := context.WithTimeout(w.background, recovery)
	defer cancel()
	for _, r := range w.replicas {
		if only != everybody && only != r.n || !r.turn.TryLock() {
			continue // something is done to it, and who does that waits for it
		}
		if p := r.current(); p != nil && !r.awaitReady(ctx, p) && w.background.Err() == nil {
			w.broke("replica %d is not ready %s after its stores came back; see %s", r.n, recovery, r.log)
		}
		r.turn.Unlock()
	}
}
