package database

import (
	"context"
	"database/sql"
	"time"

	"github.com/jackc/pgx/v5"
)

// channel is the name under which processes signal one another.
const channel = "tokenkeep"

// Bounds of the pause before the listener connects anew.
const (
	reconnectFirst   = 50 * time.Millisecond
	reconnectLongest = 5 * time.Second
)

// notifyOn sends a payload over a pool.
func notifyOn(pool *sql.DB) func(ctx context.Context, payload string) error {
	return func(ctx context.Context, payload string) error {
		_, err := pool.ExecContext(ctx, "SELECT pg_notify($1, $2)", channel, payload)
		return err
	}
}

// listen keeps one connection that does nothing but listen. Where it is lost everybody is woken, for what came in between
// is lost, and it is opened anew.
func (s *signals) listen() {
	pause := reconnectFirst
	for s.ctx.Err() == nil {
		began := time.Now()
		err := s.listenOnce()
		if s.ctx.Err() != nil {
			return
		}
		s.log.DebugContext(s.ctx, "the connection that listens was lost and is opened again", "error", err)
		s.wakeAll()
		if time.Since(began) > reconnectLongest {
			pause = reconnectFirst
		}
		if wait(s.ctx, pause) != nil {
			return
		}
		pause = min(2*pause, reconnectLongest)
	}
}

// listenOnce listens until the connection is lost.
func (s *signals) listenOnce() error {
	config := s.config.Copy()
	config.RuntimeParams["application_name"] += " listener"
	c, err := pgx.ConnectConfig(s.ctx, config)
	if err != nil {
		return err
	}
	defer func() { _ = c.Close(context.WithoutCancel(s.ctx)) }()
	if _, err := c.Exec(s.ctx, "LISTEN "+channel); err != nil {
		return err
	}
	s.wakeAll()
	for {
		n, err := c.WaitForNotification(s.ctx)
		if err != nil {
			return err
		}
		s.heard(n.Payload)
	}
}
