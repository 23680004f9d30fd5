package database

import (
	"context"
	"fmt"
	"log/slog"
	"sync"
	"time"
)

const (
	// measureEvery is how old a measurement of the clocks' difference may get.
	measureEvery = 30 * time.Second
	// measureWithin caps one measurement; what takes longer says little of the difference.
	measureWithin = 2 * time.Second
	// tolerance is the difference that is left alone: measuring is not more exact than that, and tokens need no more.
	tolerance = 200 * time.Millisecond
	// remarkable is the difference that somebody should mend.
	remarkable = 5 * time.Second
)

// Clock tells the time that the database has, by this machine's clock and the measured difference of the two. Replicas
// read from one another's rows and records when a token ends: if their clocks were five minutes apart, the one behind
// would hand out what has expired, and the one ahead renew what has not.
//
// Whoever asks for the time has a measurement that is old taken again beside it, and never waits. While the database does
// not answer the last difference holds.
type Clock struct {
	db   *DB
	wall func() time.Time
	log  *slog.Logger

	mu        sync.Mutex
	ahead     time.Duration // of the database's clock before this machine's
	measured  time.Time     // on the monotonic clock
	measuring bool
}

// NewClock returns a clock that has not been measured yet. wall is this machine's clock.
func NewClock(db *DB, wall func() time.Time, log *slog.Logger) *Clock {
	return &Clock{db: db, wall: wall, log: log, measured: time.Now()}
}

// Now is the time.
func (c *Clock) Now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.measuring && time.Since(c.measured) >= measureEvery {
		c.measuring = true
		go c.measureAgain()
	}
	return c.wall().Add(c.ahead)
}

func (c *Clock) measureAgain() {
	ctx, cancel := context.WithTimeout(context.Background(), measureWithin)
	defer cancel()
	if err := c.Measure(ctx); err != nil {
		c.log.WarnContext(ctx, "comparing the clock with the database's failed", "error", err)
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measuring, c.measured = false, time.Now()
}

// Measure compares the two clocks. A difference within the tolerance, or within what the question took, changes nothing.
func (c *Clock) Measure(ctx context.Context) error {
	before, began := c.wall(), time.Now()
	millis, err := c.db.millis(ctx)
	took := time.Since(began)
	if err != nil {
		return fmt.Errorf("asking the database for the time: %w", err)
	}
	ahead := time.UnixMilli(millis).Sub(before.Add(took / 2))
	c.mu.Lock()
	defer c.mu.Unlock()
	c.measured = time.Now()
	if (ahead - c.ahead).Abs() <= max(tolerance, took) {
		return nil
	}
	c.ahead = ahead
	if ahead.Abs() >= remarkable {
		c.log.WarnContext(ctx, "this machine's clock differs from the database's; the database's is followed", "ahead", ahead.Round(time.Second))
	}
	return nil
}

// millis is the database's time, in milliseconds since 1970.
func (db *DB) millis(ctx context.Context) (int64, error) {
	var millis int64
	rows, err := db.Ent.QueryContext(ctx, "SELECT "+db.NowMillis())
	if err != nil {
		return 0, err
	}
	defer func() { _ = rows.Close() }()
	if rows.Next() {
		err = rows.Scan(&millis)
	}
	if err == nil {
		err = rows.Err()
	}
	return millis, err
}
