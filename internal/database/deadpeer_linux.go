package database

import (
	"syscall"
	"time"
)

// tcpUserTimeout is TCP_USER_TIMEOUT of tcp(7), which package syscall does not name.
const tcpUserTimeout = 18

// giveUpAfter ends a connection when what was sent is not acknowledged for so long.
func giveUpAfter(socket uintptr, d time.Duration) error {
	return syscall.SetsockoptInt(int(socket), syscall.IPPROTO_TCP, tcpUserTimeout, int(d.Milliseconds()))
}
