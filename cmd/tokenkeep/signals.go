package main

import (
	"context"
	"os"
	"os/signal"
	"syscall"
	"time"
)

// signals are what Ctrl-C and a service manager ask for.
type signals struct {
	// stop ends with the first SIGINT or SIGTERM: finish what is under way and leave.
	stop context.Context
	// force ends with the second one: do not wait for anybody.
	force context.Context
}

// catchSignals listens until release. After the second signal a third one ends the process at once.
func catchSignals() (s signals, release func()) {
	stop, stopNow := context.WithCancel(context.Background())
	force, forceNow := context.WithCancel(context.Background())
	caught := make(chan os.Signal, 2)
	signal.Notify(caught, syscall.SIGINT, syscall.SIGTERM)
	go func() {
		<-caught
		stopNow()
		<-caught
		signal.Stop(caught)
		forceNow()
	}()
	return signals{stop: stop, force: force}, func() {
		signal.Stop(caught)
		stopNow()
		forceNow()
	}
}

// within returns force with a deadline that is counted from the moment when stop ends.
func (s signals) within(grace time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(s.force)
	go func() {
		select {
		case <-ctx.Done():
			return
		case <-s.stop.Done():
		}
		timer := time.NewTimer(grace)
		defer timer.Stop()
		select {
		case <-ctx.Done():
		case <-timer.C:
			cancel()
		}
	}()
	return ctx, cancel
}
