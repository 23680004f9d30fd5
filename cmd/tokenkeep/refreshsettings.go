package main

import (
	"context"
	"errors"
	"log/slog"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/connection"
	"github.com/tokenkeep/tokenkeep/internal/refresh"
)

// refreshSettings say how tokens are renewed ahead of need. A field that is zero has the default of the package it goes
// to, but for Workers.
type refreshSettings struct {
	Workers     int           `name:"refresh-workers" env:"TOKENKEEP_REFRESH_WORKERS" default:"64" placeholder:"N" help:"How many refreshes this process makes at once ahead of need (${default}); 0 leaves them to other processes."`
	PerProvider int           `name:"refresh-per-provider" env:"TOKENKEEP_REFRESH_PER_PROVIDER" default:"48" placeholder:"N" help:"How many of them at one provider (${default})."`
	PerApp      int           `name:"refresh-per-app" env:"TOKENKEEP_REFRESH_PER_APP" default:"32" placeholder:"N" help:"How many of them for one app (${default})."`
	InUse       time.Duration `name:"refresh-in-use" env:"TOKENKEEP_REFRESH_IN_USE" placeholder:"TIME" help:"For how long after its last use a connection is kept ready for readers, such as 3h (three lives of its token)."`
	KeepAlive   time.Duration `name:"refresh-keep-alive" env:"TOKENKEEP_REFRESH_KEEP_ALIVE" default:"168h" placeholder:"TIME" help:"How long the refresh token of an idle connection may rest where its provider's entry does not say how long it lives (${default})."`
}

// check finds what is wrong with the settings by themselves.
func (s refreshSettings) check() error {
	switch {
	case s.Workers < 0:
		return errors.New("TOKENKEEP_REFRESH_WORKERS is negative: set it to the number of refreshes at once, or to 0 to leave them to other processes")
	case s.Workers > 0 && (s.PerProvider < 1 || s.PerApp < 1):
		return errors.New("TOKENKEEP_REFRESH_PER_PROVIDER and TOKENKEEP_REFRESH_PER_APP are at least 1: with less nothing would be refreshed ahead of need; TOKENKEEP_REFRESH_WORKERS=0 says that for this process")
	case s.InUse < 0 || s.KeepAlive < 0:
		return errors.New("TOKENKEEP_REFRESH_IN_USE and TOKENKEEP_REFRESH_KEEP_ALIVE are times such as 3h or 168h, and not negative")
	default:
		return nil
	}
}

// pace says when tokens are due.
func (s refreshSettings) pace() connection.Pace {
	return connection.Pace{InUse: s.InUse, KeepAlive: s.KeepAlive}
}

// options are the scheduler's.
func (s refreshSettings) options(c *connection.Service, ready func(context.Context) error, log *slog.Logger) refresh.Options {
	return refresh.Options{Connections: c, Ready: ready, Workers: s.Workers, PerProvider: s.PerProvider, PerApp: s.PerApp, Logger: log}
}
