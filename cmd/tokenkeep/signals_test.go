package main

import (
	"context"
	"testing"
	"testing/synctest"
	"time"
)

func TestGraceCountsFromTheFirstSignal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, first := context.WithCancel(t.Context())
		force, cancel := signals{stop: stop, force: t.Context()}.within(time.Minute)
		defer cancel()
		<-time.After(time.Hour)
		if force.Err() != nil {
			t.Fatal("the time was over before the first signal")
		}
		first()
		begun := time.Now()
		<-force.Done()
		if got := time.Since(begun); got != time.Minute {
			t.Errorf("got %s of grace, want a minute", got)
		}
	})
}

func TestSecondSignalEndsTheGrace(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		stop, first := context.WithCancel(t.Context())
		second, now := context.WithCancel(t.Context())
		force, cancel := signals{stop: stop, force: second}.within(time.Minute)
		defer cancel()
		first()
		begun := time.Now()
		now()
		<-force.Done()
		if got := time.Since(begun); got != 0 {
			t.Errorf("got %s of grace after the second signal, want none", got)
		}
	})
}
