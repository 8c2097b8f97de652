//go:build !linux

package transport

import "net"

// sendBuffer is how much the kernel takes for a peer. It would take megabytes, and a phone on a slow line would have to
// read all that before what is new; nor would we notice for minutes that it reads at all.
const sendBuffer = 64 << 10

// shorten keeps the kernel's queue to a peer short.
func shorten(nc net.Conn) {
	if c, ok := nc.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(sendBuffer)
	}
}
