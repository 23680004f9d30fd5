package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"syscall"
)

// listen opens a TCP listener; the flag is named in what goes wrong.
func listen(ctx context.Context, flag, address string) (net.Listener, error) {
	if _, _, err := net.SplitHostPort(address); err != nil {
		return nil, fmt.Errorf("--%s %s is not an address: give a host and a port, such as 127.0.0.1:8080", flag, address)
	}
	l, err := (&net.ListenConfig{}).Listen(ctx, "tcp", address)
	if errors.Is(err, syscall.EADDRINUSE) {
		return nil, fmt.Errorf("%s is in use by another program: choose another address with --%s (port 0 takes a free one)", address, flag)
	}
	if err != nil {
		return nil, fmt.Errorf("listening on %s, as --%s says: %w", address, flag, err)
	}
	return l, nil
}

// listenLoopback is listen for what must not be reached from other machines.
func listenLoopback(ctx context.Context, flag, address string) (net.Listener, error) {
	host, _, err := net.SplitHostPort(address)
	if err == nil && !isLoopback(host) {
		return nil, fmt.Errorf("--%s %s can be reached from other machines, and this is for one machine only: use 127.0.0.1, [::1] or localhost", flag, address)
	}
	return listen(ctx, flag, address)
}

// isLoopback reports whether a host is this machine by its name or address alone, without asking a resolver.
func isLoopback(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address, err := netip.ParseAddr(host)
	return err == nil && address.Unmap().IsLoopback()
}

// baseURL is the address of a listener as a browser writes it.
func baseURL(l net.Listener) string { return "http://" + l.Addr().String() }
