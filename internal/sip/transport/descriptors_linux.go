package transport

import (
	"net"
	"syscall"

	"golang.org/x/sys/unix"
)

// leastReserve is how many descriptors, at least, connections leave to everything else: Caddy's
// admin endpoint, storage, look-ups.
const leastReserve = 32

// scarce reports whether a new connection has a descriptor that is reserved for something else: the
// highest eighth of what the process may have. The system gives the lowest free one, so all below
// it are in use. A dialed connection may still have one of the lower half of the reserved ones.
func scarce(nc net.Conn, dialed bool) bool {
	sc, ok := nc.(syscall.Conn)
	if !ok {
		return false
	}
	var limit unix.Rlimit
	raw, err := sc.SyscallConn()
	if err != nil || unix.Getrlimit(unix.RLIMIT_NOFILE, &limit) != nil {
		return false
	}
	reserve := min(max(leastReserve, limit.Cur/8), limit.Cur/2)
	if dialed {
		reserve /= 2
	}
	var got uint64
	_ = control(raw, func(fd int) error { got = uint64(fd); return nil })
	return got >= limit.Cur-reserve
}
