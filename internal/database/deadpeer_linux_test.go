package database

import (
	"net"
	"syscall"
	"testing"

	"github.com/jackc/pgx/v5"
)

// TestADeadServerIsNoticed asks the kernel what was set: connections end by themselves within half a minute where the
// server is gone without a word, whether something was sent or they only wait.
func TestADeadServerIsNoticed(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0") //nolint:noctx // nothing waits
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = listener.Close() }()
	config, err := pgx.ParseConfig("postgres://somebody@" + listener.Addr().String() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	configure(config)
	c, err := config.DialFunc(t.Context(), "tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = c.Close() }()
	socket, err := c.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	err = socket.Control(func(fd uintptr) {
		option := func(level, name int) int {
			n, err := syscall.GetsockoptInt(int(fd), level, name)
			if err != nil {
				t.Error(err)
			}
			return n
		}
		if ms := option(syscall.IPPROTO_TCP, tcpUserTimeout); ms < 1000 || ms > 30_000 {
			t.Errorf("what is not acknowledged is repeated for %d ms", ms)
		}
		silence := option(syscall.IPPROTO_TCP, syscall.TCP_KEEPIDLE) +
			option(syscall.IPPROTO_TCP, syscall.TCP_KEEPINTVL)*option(syscall.IPPROTO_TCP, syscall.TCP_KEEPCNT)
		if option(syscall.SOL_SOCKET, syscall.SO_KEEPALIVE) == 0 || silence > 30 {
			t.Errorf("a connection that waits is probed for %d s", silence)
		}
	})
	if err != nil {
		t.Fatal(err)
	}
}
