package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"time"
)

// The times of a connection. Writing includes everything between reading the request's header and the end of the answer:
// connecting an account may wait for a lock, the provider and the vault, one after the other.
const (
	readHeaderTimeout = 10 * time.Second
	readTimeout       = 30 * time.Second
	writeTimeout      = 150 * time.Second
	idleTimeout       = 120 * time.Second
	maxHeader         = 32 << 10
)

// Serve answers on the listener until stop ends. It then takes no more connections, lets the requests under way finish
// until force ends, and cuts what is left. It returns nil after a stop that was asked for, also where it had to cut:
// what must not be cut (spending and storing) is waited for elsewhere, by connection.Service.Drain.
func (s *Server) Serve(stop, force context.Context, l net.Listener) error {
	server := &http.Server{
		Handler:           s,
		ReadHeaderTimeout: readHeaderTimeout,
		ReadTimeout:       readTimeout,
		WriteTimeout:      writeTimeout,
		IdleTimeout:       idleTimeout,
		MaxHeaderBytes:    maxHeader,
		ErrorLog:          slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
	}
	return Run(stop, force, server, l)
}

// Run runs a server as Serve does: for the emulator, which has a listener of its own.
func Run(stop, force context.Context, server *http.Server, l net.Listener) error {
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(l) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serving on %s: %w", l.Addr(), err)
	case <-stop.Done():
	}
	err := server.Shutdown(force)
	if err != nil {
		err = server.Close()
	}
	if served := <-failed; !errors.Is(served, http.ErrServerClosed) {
		err = errors.Join(err, served)
	}
	return err
}
