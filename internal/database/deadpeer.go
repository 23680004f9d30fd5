package database

import (
	"context"
	"net"
	"strings"
	"syscall"
	"time"
)

// How soon a server that is gone without a word is noticed: one whose machine died, or to which the network drops packets,
// as in most failovers. Otherwise TCP repeats what was not acknowledged for a quarter of an hour, and whoever waits for an
// answer (a refresh, and with it all readers of its connection) waits as long, although the new server answers.
const (
	deadAfter     = 20 * time.Second
	probeAfter    = 10 * time.Second
	probeInterval = 5 * time.Second
	probes        = 2
)

// dialer returns what opens connections to PostgreSQL that end when the server is gone.
func dialer(timeout time.Duration) func(ctx context.Context, network, address string) (net.Conn, error) {
	d := &net.Dialer{
		Timeout:         timeout,
		KeepAliveConfig: net.KeepAliveConfig{Enable: true, Idle: probeAfter, Interval: probeInterval, Count: probes},
		Control: func(network, _ string, c syscall.RawConn) (err error) {
			if !strings.HasPrefix(network, "tcp") {
				return nil
			}
			if failed := c.Control(func(socket uintptr) { err = giveUpAfter(socket, deadAfter) }); failed != nil {
				return failed
			}
			return err
		},
	}
	return d.DialContext
}
