// Command bench measures the service and says how near it comes to the least that an answer over HTTP costs. Run it with
// "make bench"; docs/performance.md explains each figure.
//
// Mechanism: it builds the service, starts it as a process of its own on loopback, connects accounts of an emulated Zoom,
// and fills the tenant with connections past the API. Then clients that keep their connections open load it, row by row.
// Each row is measured in turns with a reference: this same binary, started a second time as a bare net/http handler that
// decodes the very same requests and encodes the very same answers, and does nothing in between.
//
// Reason: requests per second on a shared machine drift by a third between two runs. What does not drift that much is the
// ratio to a reference of the same run, under the same load, from the same clients.
//
// Limit: clients, service, database and emulator share one machine, so the absolute figures are lower than those of a
// machine of the service's own. An answer that is not the one asked for ends the run: a fast error is no result.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"regexp"
	"syscall"
	"time"
)

// options are the flags.
type options struct {
	clients     int
	duration    time.Duration
	warmup      time.Duration
	connections int
	credentials int
	opened      int
	database    string
	vault       string
	rows        *regexp.Regexp
	json        string
	binary      string
}

func main() {
	if len(os.Args) == 2 && os.Args[1] == bareArgument {
		os.Exit(exitCode(serveBare(os.Stdin, os.Stdout), os.Stderr))
	}
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := run(ctx, os.Args[1:], os.Stdout, os.Stderr)
	stop()
	os.Exit(exitCode(err, os.Stderr))
}

func exitCode(err error, to io.Writer) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	case errors.Is(err, errUsage):
		return 2
	}
	tell(to, "bench: %v\n", err)
	return 1
}

// errUsage says that the flags were not understood; package flag has said why.
var errUsage = errors.New("wrong usage")

func parse(args []string, to io.Writer) (options, error) {
	var o options
	rows := "."
	f := flag.NewFlagSet("bench", flag.ContinueOnError)
	f.SetOutput(to)
	f.IntVar(&o.clients, "clients", 32, "how many clients ask at the same time")
	f.DurationVar(&o.duration, "duration", 8*time.Second, "how long a row is measured; its reference takes the same again")
	f.DurationVar(&o.warmup, "warmup", 2*time.Second, "how long a row runs before that")
	f.IntVar(&o.connections, "connections", 100_000, "how many connections the lists are drawn from")
	f.IntVar(&o.credentials, "credentials", 100, "how many connections have tokens that the row credential reads")
	f.IntVar(&o.opened, "opened", 2000, "how many connections have tokens in HashiCorp Vault, which its rows open and refresh; at least 101")
	f.StringVar(&o.vault, "vault", "all", "embedded, hashicorp (on PostgreSQL), or all: both, where PostgreSQL is measured")
	f.StringVar(&o.database, "database", "all", "sqlite, postgres, or all: both, where PostgreSQL's programs are installed")
	f.StringVar(&rows, "rows", rows, "regular expression: which rows to measure")
	f.StringVar(&o.json, "json", "", "file to write the results to, as JSON")
	f.StringVar(&o.binary, "binary", "", "service to measure; by default it is built from this checkout")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, err
	} else if err != nil {
		return o, errUsage
	}
	var err error
	if o.rows, err = regexp.Compile(rows); err != nil {
		return o, fmt.Errorf("reading -rows: %w", err)
	}
	return o, o.check(f.NArg())
}

func (o options) check(arguments int) error {
	switch {
	case arguments > 0:
		return errors.New("there are flags only; see -help")
	case o.clients < 1, o.connections < 1, o.credentials < 1, o.duration <= 0, o.warmup < 0:
		return errors.New("counts and durations must be positive")
	case o.opened <= hundred:
		return errors.New("-opened must be at least 101: a hundred are asked for at once, beside the first")
	case o.vault != "all" && o.vault != "embedded" && o.vault != "hashicorp":
		return errors.New("-vault is embedded, hashicorp or all")
	case o.vault == "hashicorp" && o.database == "sqlite":
		return errors.New("-vault hashicorp is measured with PostgreSQL: leave -database out, or set it to postgres")
	case o.database != "all" && o.database != "sqlite" && o.database != "postgres":
		return errors.New("-database is sqlite, postgres or all")
	default:
		return nil
	}
}

// run measures and prints. Progress goes to progress, the tables to out.
func run(ctx context.Context, args []string, out, progress io.Writer) error {
	o, err := parse(args, progress)
	if err != nil {
		return err
	}
	dir, err := os.MkdirTemp("", "tokenkeep-bench")
	if err != nil {
		return err
	}
	report, err := measure(ctx, o, dir, out, progress)
	err = errors.Join(err, os.RemoveAll(dir))
	if err != nil || o.json == "" {
		return err
	}
	return writeJSON(o.json, report)
}

// measure does all databases, each in a folder of its own.
func measure(ctx context.Context, o options, dir string, out, progress io.Writer) (report, error) {
	r := report{Facts: facts(ctx, o)}
	b := &bench{options: o, dir: dir, progress: progress}
	if err := b.build(ctx); err != nil {
		return r, err
	}
	targets, err := b.targets()
	if err != nil {
		return r, err
	}
	tell(out, "%s", r.Facts)
	for _, t := range targets {
		table, err := b.target(ctx, t)
		if err != nil {
			return r, fmt.Errorf("%s: %w", t.name, err)
		}
		tell(out, "%s", table)
		r.Tables = append(r.Tables, table)
	}
	return r, nil
}

// tell prints; whoever does not listen has no need of it.
func tell(w io.Writer, format string, args ...any) { _, _ = fmt.Fprintf(w, format, args...) }

func writeJSON(file string, v any) error {
	data, err := json.MarshalIndent(v, "", "  ")
	if err != nil {
		return err
	}
	return os.WriteFile(file, append(data, '\n'), 0o600)
}
