package transport

import (
	"net"
	"net/netip"
	"sync"
)

// What is queued for a peer that reads too slowly is in two lanes: responses to its own messages,
// for which we stop reading from it until it has caught up, and what others send to it, which is
// refused above a limit. So a peer cannot make us hold more than it reads, and nobody else can keep
// it from being answered.
const (
	// ownHighWater is how many bytes of its own a peer may leave unread and still be read from.
	ownHighWater = 32 << 10
	// maxOwn is the limit of the peer's own lane in bytes. It is reached only by what was read
	// before reading stopped.
	maxOwn = 1 << 20
	// maxRequests is how many bytes may be queued before a request from another source is refused:
	// a phone that reads 20 kB/s has read them before the request times out.
	maxRequests = 256 << 10
	// maxOthers is the same for what belongs to an existing transaction or call: responses, ACK,
	// BYE and CANCEL.
	maxOthers = 512 << 10

	// chunkSize is the size of a chunk in bytes. A longer message has a chunk of its own size.
	chunkSize = 4 << 10
	// maxWrite is how many bytes of several chunks are written at once.
	maxWrite = 32 << 10
)

// chunk holds whole messages.
type chunk struct {
	next  *chunk
	data  []byte
	sent  int    // how many bytes are written
	parts []part // their senders, in order
}

// part is how many bytes of a chunk are from one sender.
type part struct {
	from  netip.Addr
	bytes int
}

// chunks are chunks of chunkSize for reuse; a connection with nothing to write has none.
var chunks = sync.Pool{New: func() any { return &chunk{data: make([]byte, 0, chunkSize)} }}

func newChunk(n int) *chunk {
	if n > chunkSize {
		return &chunk{data: make([]byte, 0, n)}
	}
	return chunks.Get().(*chunk)
}

// recycle takes back a chunk that nobody reads any more.
func recycle(c *chunk) {
	if cap(c.data) == chunkSize {
		c.next, c.data, c.sent, c.parts = nil, c.data[:0], 0, c.parts[:0]
		chunks.Put(c)
	}
}

// lane is a queue. What is being written is still in it.
type lane struct {
	first, last *chunk
	written     *chunk // the last chunk that is being written; nothing is added to it
	bytes       int    // of the messages
}

// fits reports whether n more bytes need no further chunk.
func (l *lane) fits(n int) bool {
	return l.last != nil && l.last != l.written && len(l.last.data)+n <= cap(l.last.data)
}

// add appends a copy of b.
func (l *lane) add(b []byte, from netip.Addr) {
	if !l.fits(len(b)) {
		c := newChunk(len(b))
		if l.last == nil {
			l.first = c
		} else {
			l.last.next = c
		}
		l.last = c
	}
	c := l.last
	c.data = append(c.data, b...)
	l.bytes += len(b)
	if n := len(c.parts); n > 0 && c.parts[n-1].from == from {
		c.parts[n-1].bytes += len(b)
	} else {
		c.parts = append(c.parts, part{from, len(b)})
	}
}

// gathers hold what is written at once.
var gathers = sync.Pool{New: func() any { return new(gather) }}

type gather struct {
	array [maxWrite / chunkSize][]byte
	data  net.Buffers
}

// begin gathers what is written next.
func (l *lane) begin(g *gather) {
	g.data = g.array[:0]
	bytes := 0
	for c := l.first; c != nil && len(g.data) < len(g.array); c = c.next {
		if bytes += len(c.data); bytes > maxWrite && c != l.first {
			break
		}
		g.data = append(g.data, c.data[c.sent:])
		l.written = c
	}
}

// drop removes the first chunk.
func (l *lane) drop() *chunk {
	c := l.first
	l.first = c.next
	if l.first == nil {
		l.last = nil
	}
	l.bytes -= len(c.data)
	return c
}

// from returns how many bytes of one sender are queued.
func (l *lane) from(sender netip.Addr) (n int) {
	for c := l.first; c != nil; c = c.next {
		for i := range c.parts {
			if c.parts[i].from == sender {
				n += c.parts[i].bytes
			}
		}
	}
	return n
}

// admits reports whether a message from a sender may be queued under a limit in bytes. A
// sender may have no more queued than stays free afterwards, so that there is always room for
// another sender.
func (l *lane) admits(b []byte, from netip.Addr, limit int) bool {
	free := limit - l.bytes - len(b)
	if free < 0 {
		return false
	}
	// Mostly next to nothing is queued, and nobody can have used up anything.
	return l.bytes+len(b) <= free || l.from(from)+len(b) <= free
}

// queueLimit returns how many bytes may be queued for a peer when b, from another source, is added.
func queueLimit(b []byte) int {
	for _, start := range [...]string{"SIP/", "ACK ", "BYE ", "CANCEL "} {
		if len(b) >= len(start) && string(b[:len(start)]) == start {
			return maxOthers
		}
	}
	return maxRequests
}

// sender returns the source that a message is charged to which is sent while another is handled:
// the source of that.
func (o *Outbox) sender() netip.Addr {
	if o.in == nil {
		return o.from
	}
	return source(o.in.Flow.Remote)
}

// OutboxFrom returns an outbox that sends everything at once, on behalf of a source whose message
// is no longer being handled. What it queues for a slow peer is charged to that source.
func OutboxFrom(sender netip.AddrPort) *Outbox { return &Outbox{from: source(sender)} }
