package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// minReserve is the smallest reserve: descriptors for Caddy's admin endpoint, storage, look-ups.
const minReserve = 32

// reservedDescriptor reports whether a new connection has got one of the descriptors that are
// reserved for everything but connections: the highest eighth of the process's limit. The system
// hands out the lowest free one, so all below it are in use. A dialed connection may take one from
// the lower half of the reserve.
func reservedDescriptor(nc net.Conn, dialed bool) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	var limit unix.Rlimit
	raw, err := sc.SyscallConn()
	if err != nil || unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	reserve := min(max(minReserve, limit.Cur/8), limit.Cur/2)
	if dialed {
		reserve /= 2
	}
	var got uint64
	_ = control(raw, func(fd int) error { got = uint64(fd); return nil })
	return got >= limit.Cur-reserve
}
