// Command torture runs Tokenkeep as processes, does to them and to all they rest on what production does in bad weeks, and
// compares what the service believes at the end with what the provider's own ledger says. Run it with "make torture";
// docs/torture.md explains the output.
//
// Mechanism: replicas of an unmodified "tokenkeep serve" run over a PostgreSQL and a Vault of the harness's own, or one of
// them over SQLite and the embedded vault. The Zoom emulator is part of this process. Between each replica and the
// provider, the vault and the database stands a small proxy of the harness, which can hold a request before it is
// forwarded, hold an answer after the server has committed, change it, or cut the line: so a crash can be placed between
// any two steps of the protocol without touching the program. A seed makes the schedule of all that; readers ask for
// credentials meanwhile, at a steady pace.
//
// Reason: a protocol that is right on paper loses tokens in a client library's retry, a pool's dead connection or a
// drain that forgets somebody. Those are found by processes that die, not by reading.
//
// Limit: the machine itself stays up, so what fsync is for is not tested here; and which request a planned crash hits is
// up to the scheduler of the operating system. The same seed gives the same plan, not the same interleaving.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"syscall"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

// errUsage says that the flags were not understood; package flag has said why.
var errUsage = errors.New("wrong usage")

// errBroken says that a promise was not kept; what was printed says which.
var errBroken = errors.New("a promise was not kept")

func exitCode(err error, to io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	_, _ = fmt.Fprintf(to, "torture: %v\n", err)
	return 1
}

// run does one run, or as many as the flags ask for, and prints what it finds.
func run(ctx context.Context, args []string, out io.Writer) error {
	o, err := parse(args, out)
	if err != nil {
		return err
	}
	return torture(ctx, o, out)
}

// torture does the whole of one run. What it finds broken is printed and is errBroken.
func torture(ctx context.Context, o options, out io.Writer) (err error) {
	if o.plan {
		return printPlan(o, out)
	}
	w, err := newWorld(ctx, o, out)
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, w.close(err != nil)) }()
	if err := w.start(ctx); err != nil {
		return fmt.Errorf("setting up: %w", err)
	}
	if err := w.connectAll(ctx); err != nil {
		return fmt.Errorf("connecting users: %w", err)
	}
	readers := w.startReaders(ctx)
	w.play(ctx)
	w.quiesce(ctx)
	readers.stop()
	return w.judge(ctx)
}

// printPlan prints the schedule.
func printPlan(o options, out io.Writer) error {
	for _, a := range schedule(o) {
		if _, err := fmt.Fprintln(out, a); err != nil {
			return err
		}
	}
	return nil
}
