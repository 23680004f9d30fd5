package connection

import (
	"testing"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/provider"
)

// TestPace: the two gears, for tokens and providers of all sorts. jitter 0 is the latest moment, 1 the earliest.
func TestPace(t *testing.T) {
	const day = 24 * time.Hour
	start := time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)
	zoom := provider.Provider{RefreshTokenLife: 90 * day}
	for name, test := range map[string]struct {
		pace     Pace
		life     time.Duration // of the access token; zero does not end
		fixed    bool          // there is nothing to refresh with
		unused   time.Duration
		of       provider.Provider
		jitter   float64
		want     time.Duration // after start
		wantNone bool
	}{
		"in use, an hour":                          {life: time.Hour, of: zoom, want: 55 * time.Minute},
		"in use, an hour, spread":                  {life: time.Hour, of: zoom, jitter: 1, want: 50 * time.Minute},
		"in use, a minute":                         {life: time.Minute, of: zoom, want: 48 * time.Second},
		"in use, a minute, spread":                 {life: time.Minute, of: zoom, jitter: 1, want: 36 * time.Second},
		"used three lives ago":                     {life: time.Hour, of: zoom, unused: 3 * time.Hour, want: 55 * time.Minute},
		"not used for longer":                      {life: time.Hour, of: zoom, unused: 3*time.Hour + 1, want: 60 * day},
		"idle, spread":                             {life: time.Hour, of: zoom, unused: day, jitter: 1, want: 45 * day},
		"uses of short tokens are noted seldom":    {life: time.Minute, of: zoom, unused: 15 * time.Minute, want: 48 * time.Second},
		"idle for the window that was set":         {pace: Pace{InUse: time.Minute}, life: time.Hour, of: zoom, unused: 2 * time.Minute, want: 60 * day},
		"in use for the window that was set":       {pace: Pace{InUse: day}, life: time.Hour, of: zoom, unused: day, want: 55 * time.Minute},
		"idle, nothing known":                      {life: time.Hour, unused: day, want: 7 * day},
		"idle, nothing known, set":                 {pace: Pace{KeepAlive: 2 * day}, life: time.Hour, unused: day, want: 2 * day},
		"idle, what is known wins":                 {pace: Pace{KeepAlive: 2 * day}, life: time.Hour, of: zoom, unused: day, want: 60 * day},
		"idle, the entry wins":                     {pace: Pace{KeepAlive: 2 * day}, life: time.Hour, of: provider.Provider{RefreshTokenLife: 90 * day, KeepAlive: 3 * day}, unused: day, want: 3 * day},
		"a token that outlives the keep-alive":     {life: 60 * day, unused: 365 * day, want: 60*day - 5*time.Minute},
		"a refresh token that ends first, idle":    {life: 30 * day, of: provider.Provider{RefreshTokenLife: 9 * day}, unused: 365 * day, want: 6 * day},
		"a refresh token that ends first, in use":  {life: 30 * day, of: provider.Provider{RefreshTokenLife: 9 * day}, want: 6 * day},
		"a token without end":                      {wantNone: true},
		"no end told, a refresh token that ends":   {of: zoom, want: 60 * day},
		"no end told, spread":                      {of: zoom, jitter: 1, want: 45 * day},
		"no end told, the entry says when":         {of: provider.Provider{KeepAlive: 3 * day}, want: 3 * day},
		"nothing to refresh with":                  {life: time.Hour, fixed: true, of: zoom, wantNone: true},
		"nothing to refresh with, and never ended": {fixed: true, wantNone: true},
	} {
		t.Run(name, func(t *testing.T) {
			tok := token{obtained: start, renewable: !test.fixed}
			if test.life > 0 {
				tok.expires = start.Add(test.life)
			}
			got := test.pace.due(tok, start.Add(-test.unused), start, test.of, test.jitter)
			if test.wantNone != got.IsZero() || !test.wantNone && !got.Equal(start.Add(test.want)) {
				t.Errorf("got %v (%v after the start), want %v", got, got.Sub(start), test.want)
			}
		})
	}
}

// TestProbeWait grows to an hour, and chance shortens it by a fifth at most.
func TestProbeWait(t *testing.T) {
	for probes, want := range []time.Duration{5 * time.Minute, 10 * time.Minute, 20 * time.Minute, 40 * time.Minute, time.Hour, time.Hour, time.Hour} {
		if got := probeWait(probes, 0); got != want {
			t.Errorf("after %d probes %v, want %v", probes, got, want)
		}
		if got := probeWait(probes, 1); got != want*4/5 {
			t.Errorf("after %d probes at the least %v, want %v", probes, got, want*4/5)
		}
	}
}
