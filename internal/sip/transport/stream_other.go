//go:build !linux

package transport

import "net"

// sendBuffer is how many bytes the kernel takes for a peer. By default it takes megabytes: a phone
// on a slow line would have to read all that before anything new, and it would take minutes to
// notice that it doesn't read at all.
const sendBuffer = 64 << 10

// limitSendQueue limits what the kernel queues for a peer.
func limitSendQueue(nc net.Conn) {
	if c, ok := nc.(interface{ SetWriteBuffer(int) error }); ok {
		_ = c.SetWriteBuffer(sendBuffer)
	}
}

// direct is for Linux.
type direct struct{}

func newDirect(net.Conn) *direct { return nil }

func (*direct) write([]byte) int { return 0 }
