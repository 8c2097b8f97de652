package transport

import (
	"net/netip"
	"time"
)

// Limits bound what the peers of a listener can have it do and hold. Each listener has its own, which SetLimits changes while it works; those that
// share one *Limits share its numbers of connections. In the zero value each has its default.
type Limits struct {
	// Datagram is the size in bytes of the largest datagram taken. Default 64 KiB, which no datagram exceeds.
	Datagram int
	// Message is the size in bytes of the largest message taken from a stream. Default 64 KiB.
	Message int
	// MessageTimeout is how long a whole message may take on a stream, from its first byte to its last. Default 30 s;
	// a negative one is none.
	MessageTimeout time.Duration
	// IdleTimeout closes a stream on which nothing arrived between messages for that long. Default none.
	IdleTimeout time.Duration
	// Conns is how many accepted connections there may be at a time. Default 65536; a negative number is no limit.
	Conns int
	// ConnsPerSource is the same for those from one IPv4 address or IPv6 /64. Default 4096; a negative number is no limit.
	ConnsPerSource int

	// The rest is for whoever handles the messages, and means nothing here.

	// Headers is how many header field lines a message may have. 0: the handler's own limit.
	Headers int
	// Trusted are the sources that may have more than a share of them; nil: none.
	Trusted interface{ Contains(netip.Addr) bool }
	// Transactions is how many transactions there may be, in all, when another one is made for this listener. 0: the handler's own limit.
	Transactions int
}

func (l Limits) withDefaults() Limits {
	defaultTo(&l.Datagram, maxDatagram)
	defaultTo(&l.Message, 64<<10)
	defaultTo(&l.MessageTimeout, 30*time.Second)
	defaultTo(&l.Conns, 65536)
	defaultTo(&l.ConnsPerSource, 4096)
	return l
}

// NewLimits returns limits with the defaults put in, for SetLimits.
func NewLimits(l Limits) *Limits {
	l = l.withDefaults()
	return &l
}

var defaultLimits = NewLimits(Limits{})

// SetLimits puts other limits in force: for the next datagram and connection, and for the next message of the connections that are there. nil means
// those of Options. What NewLimits returns must not be changed any more.
func (l *Listener) SetLimits(limits *Limits) { l.limits.Store(limits) }

// Limits returns the limits in force.
func (l *Listener) Limits() *Limits {
	if limits := l.limits.Load(); limits != nil {
		return limits
	}
	return &l.m.opts.Limits
}

// Limits returns the limits for what comes this way.
func (f *Flow) Limits() *Limits {
	switch {
	case f.Listener != nil:
		return f.Listener.Limits()
	case f.Conn != nil:
		return &f.Conn.m.opts.Limits
	}
	return defaultLimits
}

// accepted counts the connections that one listener has accepted.
type accepted struct {
	conns   int
	sources map[netip.Addr]int
}

// room tells what keeps a listener from taking another connection from a source: a Drop reason, or nothing.
func (t *conns) room(l *Listener, from netip.Addr) (reason string) {
	limits := l.Limits()
	var conns, fromSource int
	for other, a := range t.accepted {
		if other.Limits() == limits {
			conns += a.conns
			fromSource += a.sources[from]
		}
	}
	switch {
	case limits.Conns > 0 && conns >= limits.Conns:
		return DropConnLimit
	case limits.ConnsPerSource > 0 && fromSource >= limits.ConnsPerSource:
		return DropSourceLimit
	}
	return ""
}

// connected tells whether a source has a connection that was accepted.
func (t *conns) connected(from netip.Addr) bool {
	for _, a := range t.accepted {
		if a.sources[from] > 0 {
			return true
		}
	}
	return false
}

// enter counts a connection.
func (t *conns) enter(l *Listener, from netip.Addr) {
	a := t.accepted[l]
	if a == nil {
		a = &accepted{sources: make(map[netip.Addr]int)}
		t.accepted[l] = a
	}
	a.conns++
	a.sources[from]++
}

// leave takes back what enter did.
func (t *conns) leave(l *Listener, from netip.Addr) {
	a := t.accepted[l]
	if a.conns--; a.conns == 0 {
		delete(t.accepted, l)
		return
	}
	if a.sources[from]--; a.sources[from] == 0 {
		delete(a.sources, from)
	}
}
