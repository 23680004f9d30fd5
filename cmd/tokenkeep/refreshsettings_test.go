package main

import (
	"strings"
	"testing"
	"time"

	"github.com/alecthomas/kong"

	"github.com/tokenkeep/tokenkeep/internal/connection"
)

// TestRefreshSettings: the defaults are taken, what makes no sense is refused by name, and what is set arrives.
func TestRefreshSettings(t *testing.T) {
	for _, test := range []struct {
		args, wrong string
	}{
		{"", ""},
		{"--refresh-workers=0 --refresh-per-app=0 --refresh-per-provider=0", ""},
		{"--refresh-workers=-1", "TOKENKEEP_REFRESH_WORKERS is negative"},
		{"--refresh-per-app=0", "TOKENKEEP_REFRESH_PER_APP are at least 1"},
		{"--refresh-per-provider=-3", "TOKENKEEP_REFRESH_PER_PROVIDER"},
		{"--refresh-in-use=-1s", "TOKENKEEP_REFRESH_IN_USE"},
		{"--refresh-keep-alive=-1h", "TOKENKEEP_REFRESH_KEEP_ALIVE"},
	} {
		err := parseRefresh(t, test.args).check()
		if (err == nil) != (test.wrong == "") || err != nil && !strings.Contains(err.Error(), test.wrong) {
			t.Errorf("%q: got %v, want %q", test.args, err, test.wrong)
		}
	}
	s := parseRefresh(t, "")
	if o := s.options(nil, nil, nil); o.Workers != 64 || o.PerProvider != 48 || o.PerApp != 32 || s.pace() != (connection.Pace{KeepAlive: 168 * time.Hour}) {
		t.Errorf("the defaults are %+v and %+v", o, s.pace())
	}
	s = parseRefresh(t, "--refresh-workers=7 --refresh-per-provider=5 --refresh-per-app=3 --refresh-in-use=90m --refresh-keep-alive=12h")
	if o := s.options(nil, nil, nil); o.Workers != 7 || o.PerProvider != 5 || o.PerApp != 3 || s.pace() != (connection.Pace{InUse: 90 * time.Minute, KeepAlive: 12 * time.Hour}) {
		t.Errorf("got %+v and %+v", o, s.pace())
	}
}

func parseRefresh(t *testing.T, args string) refreshSettings {
	t.Helper()
	var s refreshSettings
	parser, err := kong.New(&s)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := parser.Parse(strings.Fields(args)); err != nil {
		t.Fatal(err)
	}
	return s
}
