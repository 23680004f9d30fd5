package main

import (
	"errors"
	"flag"
	"fmt"
	"io"
	"math/rand/v2"
	"time"
)

// The two ways to run the service.
const (
	modePostgres = "postgres"
	modeSQLite   = "sqlite"
)

// options are the flags.
type options struct {
	mode        string
	seed        uint64
	duration    time.Duration
	every       time.Duration
	bound       time.Duration
	replicas    int
	tenants     int
	connections int
	readRate    float64
	lifeMin     time.Duration
	lifeMax     time.Duration
	freeze      time.Duration
	skew        time.Duration
	latency     time.Duration
	race        bool
	binary      string
	keep        string
	only        string
	forward     bool
	plan        bool
}

func parse(args []string, to io.Writer) (options, error) {
	var o options
	f := flag.NewFlagSet("torture", flag.ContinueOnError)
	f.SetOutput(to)
	f.StringVar(&o.mode, "mode", modePostgres, "postgres: replicas over PostgreSQL and HashiCorp Vault; sqlite: one process over SQLite and the embedded vault")
	f.Uint64Var(&o.seed, "seed", 0, "what the schedule is drawn from; 0 draws a seed and prints it")
	f.DurationVar(&o.duration, "duration", 30*time.Minute, "how long things are done to the service")
	f.DurationVar(&o.every, "every", 2*time.Second, "how far apart two actions are on average")
	f.DurationVar(&o.bound, "bound", 15*time.Minute, "within which everything must have recovered after the last action")
	f.IntVar(&o.replicas, "replicas", 3, "processes over PostgreSQL and Vault; sqlite has one")
	f.IntVar(&o.tenants, "tenants", 4, "tenants, each with an app of its own")
	f.IntVar(&o.connections, "connections", 2000, "users who are connected at the beginning")
	f.Float64Var(&o.readRate, "rate", 10, "reads per second of each replica")
	f.DurationVar(&o.lifeMin, "life-min", 30*time.Second, "shortest life of an access token; each user has one life")
	f.DurationVar(&o.lifeMax, "life-max", 300*time.Second, "longest life of an access token")
	f.DurationVar(&o.freeze, "freeze", 75*time.Second, "how long a process is stopped by SIGSTOP; a grant's lock lives for 60s")
	f.DurationVar(&o.latency, "latency", 150*time.Millisecond, "most that the provider takes for a request of its token endpoint when all is well")
	f.DurationVar(&o.skew, "skew", 0, "most that a replica's clock is off, either way, drawn anew at each start; needs a build of its own (see docs/torture.md); 0 leaves the clocks alone")
	f.BoolVar(&o.race, "race", false, "build the service with the race detector")
	f.StringVar(&o.binary, "binary", "", "service to torture; by default it is built from this checkout")
	f.StringVar(&o.keep, "keep", "", "folder for logs and files, which stays; by default a temporary one, kept only where a promise was broken")
	f.StringVar(&o.only, "only", "", "comma-separated kinds of actions to limit the schedule to")
	f.BoolVar(&o.forward, "forward", false, "at the end move the database's locks and failures a minute into the past in place of waiting for it, while no process runs")
	f.BoolVar(&o.plan, "plan", false, "print the schedule and stop")
	if err := f.Parse(args); errors.Is(err, flag.ErrHelp) {
		return o, err
	} else if err != nil {
		return o, errUsage
	}
	if o.seed == 0 {
		o.seed = rand.Uint64() // #nosec G404 -- a seed is printed, not kept
	}
	if o.mode == modeSQLite {
		o.replicas = 1
	}
	return o, o.check(f.NArg())
}

func (o options) check(arguments int) error {
	switch {
	case arguments > 0:
		return errors.New("there are flags only; see -help")
	case o.mode != modePostgres && o.mode != modeSQLite:
		return fmt.Errorf("-mode is %s or %s", modePostgres, modeSQLite)
	case o.replicas < 1, o.tenants < 1, o.connections < o.tenants, o.readRate <= 0:
		return errors.New("there must be replicas, tenants, reads, and a connection for each tenant")
	case o.duration <= 0, o.every <= 0, o.bound <= 0, o.freeze <= 0, o.skew < 0, o.latency < 0:
		return errors.New("durations must be positive")
	case o.lifeMin < 10*time.Second, o.lifeMax < o.lifeMin:
		return errors.New("-life-min is ten seconds at least, and -life-max not below it")
	case o.skew > 0 && o.binary != "":
		return errors.New("-skew needs a build of its own, so -binary cannot be given")
	}
	return nil
}

// String is the command line that repeats the schedule.
func (o options) String() string {
	return fmt.Sprintf("-mode %s -seed %d -duration %s -every %s -replicas %d -tenants %d -connections %d -rate %g -life-min %s -life-max %s -freeze %s -skew %s -latency %s",
		o.mode, o.seed, o.duration, o.every, o.replicas, o.tenants, o.connections, o.readRate, o.lifeMin, o.lifeMax, o.freeze, o.skew, o.latency)
}
