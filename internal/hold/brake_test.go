package hold_test

import (
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/tokenkeep/tokenkeep/internal/hold"
)

func TestBrakeHolds(t *testing.T) {
	for _, test := range []struct {
		name  string
		brake hold.Brake
		want  bool
	}{
		{"the zero value", hold.Brake{}, false},
		{"a hold stands", hold.Brake{Standing: true}, true},
		{"it is confirmed", hold.Brake{Standing: true, Confirmed: true}, false},
		{"the one below the limit", hold.Brake{Recent: 8, Limit: 10}, false},
		{"the one that reaches the limit", hold.Brake{Recent: 9, Limit: 10}, true},
		{"above the limit", hold.Brake{Recent: 90, Limit: 10}, true},
		{"above the limit, and confirmed", hold.Brake{Recent: 90, Limit: 10, Confirmed: true}, false},
		{"a limit of one", hold.Brake{Limit: 1}, true},
		{"many and no limit", hold.Brake{Recent: 1000}, false},
		{"a dismissed hold by itself", hold.Brake{Dismissed: true}, false},
		{"a dismissed hold, and a new one stands", hold.Brake{Dismissed: true, Standing: true}, true},
	} {
		if got := test.brake.Holds(); got != test.want {
			t.Errorf("%s: got %v", test.name, got)
		}
	}
}

func TestPolicyLimit(t *testing.T) {
	p := hold.Policy{Share: 20, Minimum: 10}
	for _, test := range []struct{ connected, want int64 }{{0, 10}, {1, 10}, {50, 10}, {51, 11}, {55, 11}, {56, 12}, {1000, 200}, {50_000, 10_000}} {
		if got := p.Limit(test.connected); got != test.want {
			t.Errorf("of %d connected: got %d, want %d", test.connected, got, test.want)
		}
	}
}

var noon = time.Date(2026, 11, 1, 12, 0, 0, 0, time.UTC)

const window = 10 * time.Minute

func TestCount(t *testing.T) {
	c := hold.Count{Started: noon, Deaths: 6, Earlier: 4, Connected: 100}
	for _, test := range []struct {
		after  time.Duration
		want   hold.Count
		fresh  bool
		recent int64
	}{
		{-time.Minute, c, false, 10}, // another replica's clock
		{0, c, false, 10},
		{5 * time.Minute, c, false, 8},
		{window - 1, c, false, 6},
		{window, hold.Count{Started: noon.Add(window), Earlier: 6}, true, 6},
		{window + 5*time.Minute, hold.Count{Started: noon.Add(window), Earlier: 6}, true, 3},
		{2 * window, hold.Count{Started: noon.Add(2 * window)}, true, 0},
		{365 * 24 * time.Hour, hold.Count{Started: noon.Add(365 * 24 * time.Hour)}, true, 0},
	} {
		now := noon.Add(test.after)
		got, fresh := c.At(now, window)
		if got != test.want || fresh != test.fresh || got.Recent(now, window) != test.recent {
			t.Errorf("after %v: got %+v, %v, %d recent", test.after, got, fresh, got.Recent(now, window))
		}
	}
	zero, fresh := hold.Count{Started: time.UnixMilli(0)}.At(noon, window)
	if !fresh || zero != (hold.Count{Started: noon}) {
		t.Errorf("the first of all: got %+v, %v", zero, fresh)
	}
}

// TestCountNeverForgetsABurst: endings that come at once are all counted for as long as their window lasts, and none is
// counted for longer than two windows.
func TestCountNeverForgetsABurst(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		c, now := hold.Count{Started: time.UnixMilli(0)}, noon
		var times []time.Time
		for _, wait := range rapid.SliceOfN(rapid.Int64Range(0, int64(6*time.Minute)), 1, 40).Draw(t, "waits") {
			now = now.Add(time.Duration(wait))
			c, _ = c.At(now, window)
			c.Deaths++
			times = append(times, now)
			long, present := int64(0), int64(0)
			for _, at := range times {
				if now.Sub(at) < 2*window {
					long++
				}
				if !at.Before(c.Started) {
					present++
				}
			}
			if got := c.Recent(now, window); got < present || got > long {
				t.Fatalf("got %d recent, want between %d and %d", got, present, long)
			}
		}
	})
}
