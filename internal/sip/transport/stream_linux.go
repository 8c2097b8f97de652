package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// unsent is how many bytes the kernel takes for a peer beyond those that are on their way. By
// default it takes megabytes: a phone on a slow line would have to read all that before anything
// new, and it would take minutes to notice that it doesn't read at all.
const unsent = 32 << 10

// limitSendQueue limits what the kernel queues for a peer.
func limitSendQueue(nc net.Conn) {
	if sc, ok := nc.(syscall.Conn); ok {
		if raw, err := sc.SyscallConn(); err == nil {
			_ = control(raw, func(fd int) error {
				return unix.SetsockoptInt(fd, unix.IPPROTO_TCP, unix.TCP_NOTSENT_LOWAT, unsent)
			})
		}
	}
}
