package main

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"os"
	"sync"
	"time"

	"github.com/tokenkeep/tokenkeep/internal/server"
	"github.com/tokenkeep/tokenkeep/internal/zoomsim"
)

const (
	// savePeriod is the shortest time between two writes of the emulator's state.
	savePeriod = time.Second
	// saveShare keeps a state that grew large from being written all the time: after a write that took t, nothing is
	// written for saveShare times t.
	saveShare = 20
	// emulatorGrace is for the emulator's last requests; a fault may hold one for as long as it likes.
	emulatorGrace = 2 * time.Second
)

// emulator is a Zoom that listens and, where it has a file, remembers its state from one run to the next.
type emulator struct {
	*zoomsim.Server
	url  string
	file string
	log  *slog.Logger

	stop    context.CancelFunc
	done    chan error
	touched chan struct{}
	saver   sync.WaitGroup
}

// startEmulator serves on the listener until close. An empty file remembers nothing.
func startEmulator(l net.Listener, file string, log *slog.Logger) (*emulator, error) {
	url := baseURL(l)
	e := &emulator{
		Server: zoomsim.New(zoomsim.Options{BaseURL: url, Logger: log}), url: url, file: file, log: log,
		done: make(chan error, 1), touched: make(chan struct{}, 1),
	}
	if err := e.load(); err != nil {
		return nil, err
	}
	ctx, stop := context.WithCancel(context.Background())
	e.stop = stop
	s := &http.Server{
		Handler:           e.noting(server.LoopbackOnly(e.Server)),
		ReadHeaderTimeout: 10 * time.Second,
		ErrorLog:          slog.NewLogLogger(log.Handler(), slog.LevelDebug),
	}
	go func() { e.done <- e.serve(ctx, s, l) }()
	e.saver.Go(func() { e.saveLoop(ctx) })
	return e, nil
}

func (e *emulator) serve(stop context.Context, s *http.Server, l net.Listener) error {
	force, cancel := signals{stop: stop, force: context.Background()}.within(emulatorGrace)
	defer cancel()
	return server.Run(stop, force, s, l)
}

// close ends the server and writes the state a last time.
func (e *emulator) close() error {
	e.ClearFaults() // lets go of requests that stand still
	e.stop()
	err := <-e.done
	e.saver.Wait()
	return errors.Join(err, e.save())
}

// noting marks the state as changed after every request that may change it.
func (e *emulator) noting(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		defer e.touch(r.Method)
		next.ServeHTTP(w, r)
	})
}

func (e *emulator) touch(method string) {
	if method == http.MethodGet || method == http.MethodHead {
		return
	}
	select {
	case e.touched <- struct{}{}:
	default:
	}
}

// saveLoop writes the state soon after it has changed, so that a process that is killed loses a second of it.
func (e *emulator) saveLoop(ctx context.Context) {
	for {
		select {
		case <-ctx.Done():
			return
		case <-e.touched:
		}
		started := time.Now()
		if err := e.save(); err != nil {
			e.log.ErrorContext(ctx, "saving the emulator's state failed", "error", err)
		}
		rest := time.NewTimer(max(savePeriod, saveShare*time.Since(started)))
		select {
		case <-ctx.Done():
			rest.Stop()
			return
		case <-rest.C:
		}
	}
}

func (e *emulator) save() error {
	if e.file == "" {
		return nil
	}
	data, err := e.Snapshot()
	if err != nil {
		return err
	}
	return writePrivate(e.file, data)
}

// load reads the state of an earlier run, if there is one.
func (e *emulator) load() error {
	if e.file == "" {
		return nil
	}
	data, err := os.ReadFile(e.file)
	if errors.Is(err, os.ErrNotExist) {
		return nil
	}
	if err == nil {
		err = e.Restore(data)
	}
	if err != nil {
		return fmt.Errorf("reading the emulator's state from %s: %w; remove the file to begin with an empty emulator, in which earlier connections are unknown", e.file, err)
	}
	return nil
}
