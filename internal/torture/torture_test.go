package main

import (
	"bytes"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/servicetest"
)

func TestMain(m *testing.M) { servicetest.Main(m) }

// TestTorture is the short run that everybody makes: small, with the race detector in the service as well. What takes a
// minute of waiting is made to have been by moving the database's times, see docs/torture.md.
func TestTorture(t *testing.T) {
	servicetest.Watch(t, "../../cmd", "../../ent", "../../graph", "..")
	for name, args := range map[string]string{
		modePostgres: "-connections 40 -duration 30s -every 900ms -tenants 2",
		modeSQLite:   "-connections 20 -duration 15s -every 1s -tenants 2",
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel() // both wait for most of their time
			var out bytes.Buffer
			args := strings.Fields("-mode " + name + " -race -forward -bound 2m -life-min 20s -life-max 60s -freeze 4s " + args)
			if err := run(t.Context(), args, &out); err != nil {
				t.Fatalf("%v\n%s", err, &out)
			}
			t.Logf("%s", &out)
		})
	}
}

func TestASeedMakesOneSchedule(t *testing.T) {
	plan := func(args string) string {
		var out bytes.Buffer
		if err := run(t.Context(), strings.Fields("-plan "+args), &out); err != nil {
			t.Fatal(err)
		}
		return out.String()
	}
	if one, two := plan("-seed 7"), plan("-seed 7"); one != two {
		t.Error("one seed made two schedules")
	}
	if plan("-seed 7") == plan("-seed 8") {
		t.Error("two seeds made one schedule")
	}
	if first, second := plan("-seed 0"), plan("-seed 0"); first == second {
		t.Error("seeds are not drawn")
	}
}

func TestALongScheduleLeavesNothingOut(t *testing.T) {
	for _, mode := range []string{modePostgres, modeSQLite} {
		o, err := parse([]string{"-mode", mode, "-seed", "1"}, t.Output())
		if err != nil {
			t.Fatal(err)
		}
		plan := schedule(o)
		for _, k := range kinds(o) {
			if n := len(slices.DeleteFunc(slices.Clone(plan), func(a action) bool { return a.kind != k.name })); n < 5 {
				t.Errorf("%s: %s comes %d times in %s", mode, k.name, n, o.duration)
			}
		}
		lone := map[int]time.Duration{}
		for _, a := range plan {
			k := kinds(o)[slices.IndexFunc(kinds(o), func(k kind) bool { return k.name == a.kind })]
			if k.lone != nothing && a.at < lone[k.lone] {
				t.Errorf("%s: %s overlaps with another of its sort", mode, a)
			}
			lone[k.lone] = a.at + a.lasts
			if a.at > o.duration || a.replica >= o.replicas {
				t.Errorf("%s: %s does not fit into the run", mode, a)
			}
		}
	}
}

func TestFlags(t *testing.T) {
	for _, test := range []struct{ args, want string }{
		{"-mode oracle", "-mode is postgres or sqlite"},
		{"-replicas 0", "there must be replicas"},
		{"-connections 3", "a connection for each tenant"},
		{"-bound 0s", "durations must be positive"},
		{"-life-min 1s", "-life-min is ten seconds at least"},
		{"-skew 1m -binary x", "-skew needs a build of its own"},
		{"kill", "there are flags only"},
		{"-hard", errUsage.Error()},
	} {
		_, err := parse(strings.Fields(test.args), &bytes.Buffer{})
		if err == nil || !strings.Contains(err.Error(), test.want) {
			t.Errorf("%s: got %v, want %q", test.args, err, test.want)
		}
	}
}

// TestLeaksAreFound shows that the search for secrets can fail.
func TestLeaksAreFound(t *testing.T) {
	w := &world{ledger: newLedger()}
	const secret = "zsim_rt_qK3-_Zt8vN0aUw5yHb2LdPxRjM7cEoGiTfSl1nWk4uY"
	w.ledger.secret("refresh token", secret)
	needles := w.needles()
	for how, text := range encodings(secret) {
		if found := leaks([]byte(`{"level":"INFO"}`+"\n"+`{"msg":"`+text+`"}`), needles); len(found) != 1 {
			t.Errorf("%q: got %q, want one leak", how, found)
		}
	}
	if found := leaks([]byte("zsim_rt_ is how they begin, sha256 "+digest(secret)), needles); len(found) != 0 {
		t.Errorf("got %q in what holds no secret", found)
	}
}
