package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how much the kernel takes for a peer beyond what is on its way. It would take megabytes, and a phone on a slow
// line would have to read all that before what is new; nor would we notice for minutes that it reads at all.
const unsent = 32 << 10

// shorten keeps the kernel's queue to a peer short.
func shorten(nc net.Conn) {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = control(raw, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
			})
		}
	}
}
