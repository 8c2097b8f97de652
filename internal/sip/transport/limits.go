package transport

import (
	"net/netip"
	"time"
)

// Limits bound what the peers of a listener can make it do and hold. Each listener has its own,
// which SetLimits replaces while it is open. Listeners that share one *Limits share its numbers of
// connections. In the zero value each limit has its default.
type Limits struct {
	// Datagram is the size in bytes of the largest datagram accepted. Default 64 KiB, which no
	// datagram exceeds.
	Datagram int
	// Message is the size in bytes of the largest message accepted from a stream. Default 64 KiB.
	Message int
	// MessageTimeout is how long a message on a stream may take from its first byte to its last.
	// Default 30 s; negative: no limit.
	MessageTimeout time.Duration
	// IdleTimeout is how long a stream is kept on which nothing arrives between messages. Default:
	// for ever.
	IdleTimeout time.Duration
	// Conns is the largest number of accepted connections at a time. Default 65536; negative: no
	// limit.
	Conns int
	// ConnsPerSource is the same for those from one IPv4 address or IPv6 /64. Default 4096;
	// negative: no limit.
	ConnsPerSource int

	// The rest is for the handler of the messages and is not used by this package.

	// Headers is the largest number of header field lines in a message. 0: the handler's own limit.
	Headers int
	// Trusted are the sources that may use more than a fair share; nil: none.
	Trusted interface{ Contains(netip.Addr) bool }
	// Transactions is the number of transactions in all beyond which this listener makes no more.
	// 0: the handler's own limit.
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

// NewLimits returns a copy of l, with defaults, for SetLimits.
func NewLimits(l Limits) *Limits {
	l = l.withDefaults()
	return &l
}

var defaultLimits = NewLimits(Limits{})

// SetLimits replaces the limits: for the next datagram and connection, and for the next message on
// existing connections. nil: those of Options. The limits must not be changed afterwards.
func (l *Listener) SetLimits(limits *Limits) { l.limits.Store(limits) }

// Limits returns the current limits.
func (l *Listener) Limits() *Limits {
	if limits := l.limits.Load(); limits != nil {
		return limits
	}
	return &l.m.opts.Limits
}

// Limits returns the limits of messages that come over this flow.
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

// overLimit returns the limit that keeps a listener from accepting another connection from a
// source, as a Drop reason, or "".
func (t *conns) overLimit(l *Listener, from netip.Addr) (reason string) {
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

// connected reports whether a source has an accepted connection.
func (t *conns) connected(from netip.Addr) bool {
	for _, a := range t.accepted {
		if a.sources[from] > 0 {
			return true
		}
	}
	return false
}

// countAccepted counts an accepted connection.
func (t *conns) countAccepted(l *Listener, from netip.Addr) {
	a := t.accepted[l]
	if a == nil {
		a = &accepted{sources: make(map[netip.Addr]int)}
		t.accepted[l] = a
	}
	a.conns++
	a.sources[from]++
}

// uncountAccepted undoes countAccepted.
func (t *conns) uncountAccepted(l *Listener, from netip.Addr) {
	a := t.accepted[l]
	if a.conns--; a.conns == 0 {
		delete(t.accepted, l)
		return
	}
	if a.sources[from]--; a.sources[from] == 0 {
		delete(a.sources, from)
	}
}
