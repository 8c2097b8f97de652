package transport

import (
	"net/netip"
	"sync"
)

const (
	batchSize = 64
	// bufferSize is the size of a Buffer: nearly every message fits, and a longer one moves to
	// memory of its own.
	bufferSize = 4 << 10
	arenaSize  = batchSize * bufferSize
)

// arenas are lent to the outboxes of streams while what one read has brought is handled. A UDP
// reader has its own.
var arenas = sync.Pool{New: func() any { return new([arenaSize]byte) }}

// Outbox collects what is sent while a batch of packets is handled, and sends it with one system
// call after the batch. It is not safe for concurrent use: it belongs to one reader. The zero value
// collects nothing and sends everything at once.
type Outbox struct {
	arena *[arenaSize]byte
	used  int
	last  int // where the latest buffer starts in arena

	batch    *udpBatch    // datagrams collected
	packets  *packetBatch // the same on Options.Net
	listener *Listener    // the listener whose datagrams are collected
	conn     *Conn        // the stream whose messages are collected, to be written after the batch
	more     bool         // the stream has more to read: what that causes can be written with this

	in   *Inbound   // the message that is handled
	from netip.Addr // without in: the source that what is sent is charged to
}

// Buffer returns an empty slice with room in the memory of the batch. Append one message to it,
// then Send that. Several buffers may be in use at once; what is appended is valid until the batch
// is flushed.
func (o *Outbox) Buffer() []byte {
	if o.arena == nil {
		if o.conn == nil {
			return make([]byte, 0, bufferSize)
		}
		o.arena = arenas.Get().(*[arenaSize]byte)
	}
	if o.used+bufferSize > arenaSize {
		return make([]byte, 0, bufferSize)
	}
	o.last = o.used
	o.used += bufferSize
	return o.arena[o.last:o.last:o.used]
}

// Send sends b to f when the batch is flushed, if f leaves through the socket or connection of this
// reader. Anything else is sent with f.Send at once, after what was collected before it. b must not
// change until the batch is flushed, which is so for what was appended to a Buffer. An error of a
// datagram that is sent later is counted, not returned.
func (o *Outbox) Send(f Flow, b []byte) error {
	switch {
	case len(b) == 0:
		return errEmpty
	case o.conn != nil && f.Conn == o.conn:
		return o.conn.queueOwn(b)
	case f.Conn != nil:
		// What was collected leaves first: what b causes may come back to another reader, and must
		// not overtake it.
		o.flushPackets()
		return f.Conn.send(b, o.sender())
	case o.packets != nil && f.Listener == o.listener:
		o.packets.add(f.Remote, f.Local, b)
		return nil
	case o.batch == nil || f.Listener != o.listener:
		o.flushPackets()
		return f.Send(b)
	}
	// The next buffer gets the room that this one didn't need.
	if o.used == o.last+bufferSize && len(b) <= bufferSize && &b[0] == &o.arena[o.last] {
		o.used = o.last + (len(b)+63)&^63
	}
	o.batch.add(f.Remote, f.Local, b)
	return nil
}

// flushPackets sends the collected datagrams.
func (o *Outbox) flushPackets() {
	if o.batch != nil {
		o.batch.flush()
	}
	o.packets.flush()
}

// flush sends what was collected and takes back the memory of the buffers.
func (o *Outbox) flush() {
	o.used, o.last = 0, 0
	o.flushPackets()
	if o.conn == nil {
		return
	}
	o.conn.kick(!o.more)
	if o.arena != nil {
		arenas.Put(o.arena)
		o.arena = nil
	}
}
