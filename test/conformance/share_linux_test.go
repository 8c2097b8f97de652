package conformance

import (
	"syscall"

	"golang.org/x/sys/unix"
)

// share lets a socket have an address that a server of the same user listens on.
func share(_, _ string, c syscall.RawConn) error {
	return c.Control(func(fd uintptr) {
		_ = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_REUSEPORT, 1)
	})
}
