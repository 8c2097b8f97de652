package module

import (
	"cmp"
	"fmt"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Limits bound what others can make a server do and hold. A reload that changes them applies to the
// next datagram, connection and request, and to the next message of connections that are open; it
// closes none. What is refused is counted in caddy_sip_dropped_total, by reason.
type Limits struct {
	// The largest datagram, in bytes. Larger ones are dropped (reason too_large). 256 to 65536.
	// Default: 65536.
	Datagram int `json:"datagram,omitempty"`

	// The largest message on a stream, in bytes. A larger one is answered 413, or 513 when its
	// header alone is larger, and the connection is closed (reason too_large). 256 to 65536, of
	// which the last byte can't be used. Default: 65536.
	Message int `json:"message,omitempty"`

	// How many header field lines a message may have. One with more is answered 400 (reason
	// headers). 8 to 240. Default: 128.
	Headers int `json:"headers,omitempty"`

	// How long a whole message may take on a stream, from its first byte to its last. A connection
	// on which one takes longer is closed (reason message_timeout). Default: 30 seconds.
	MessageTimeout caddy.Duration `json:"message_timeout,omitempty"`

	// How long a connection may say nothing between messages, keep-alives included, before it is
	// closed (reason idle_timeout). Phones that keep no connection alive can't be called then.
	// Default: for ever.
	IdleTimeout caddy.Duration `json:"idle_timeout,omitempty"`

	// How many connections the server accepts at a time, on all its addresses. Further ones are
	// closed at once (reason connections). Default: 65536.
	Connections int `json:"connections,omitempty"`

	// The same for connections from one IPv4 address or IPv6 /64, of link-local ones each (reason
	// source_connection). Default: 4096.
	ConnectionsPerSource int `json:"connections_per_source,omitempty"`

	// How many transactions may be held, those of other servers counted in, when a request needs
	// another one. It is answered 503 with Retry-After (counted in
	// caddy_sip_transaction_events_total, event full), and so is one whose source has half of them
	// already, and 64 or more, unless it is trusted. Default: 1000000, if there is memory for so
	// many, of which the same holds.
	Transactions int `json:"transactions,omitempty"`

	// How many contacts may be registered, those of other servers counted in, when a REGISTER adds
	// another. It is answered 503 with Retry-After (counted in
	// caddy_sip_registrations_refused_total, reason registrations), and refreshes and removals are
	// served. A tenth of it is for what one user registers for others, where digest_auth allows
	// that (reason user). Default: 100000.
	Registrations int `json:"registrations,omitempty"`

	// The same for the bytes of memory that they take, 400 a contact if nobody sends long ones
	// (reason registration_bytes). Default: 268435456, 256 MiB.
	RegistrationBytes int64 `json:"registration_bytes,omitempty"`

	// How many bytes the whole process may take, all servers together; of several the smallest
	// counts. Above it, what would make the server hold more (a registration, a call, a connection)
	// is refused with 503 and Retry-After, and what exists is served. At least 128 MiB. Default:
	// half of what the machine or its container has.
	Memory int64 `json:"memory,omitempty"`
}

// The defaults of registrations. They are far more than an office has, and no burden to a small
// machine.
const (
	DefaultRegistrations     = 100_000
	DefaultRegistrationBytes = 256 << 20
)

// Registered returns how many contacts may be registered, and how many bytes of memory they may
// take. l may be nil.
func (l *Limits) Registered() (contacts int, bytes int64) {
	if l == nil {
		return DefaultRegistrations, DefaultRegistrationBytes
	}
	return cmp.Or(l.Registrations, DefaultRegistrations), cmp.Or(l.RegistrationBytes, DefaultRegistrationBytes)
}

const (
	minMessage = 256
	maxMessage = 64 << 10
	minHeaders = 8
	minMemory  = 128 << 20
	maxHeaders = wire.MaxHeaders - 10 // a proxy adds some
)

// Validate checks the limits. Those that are zero have their defaults.
func (l *Limits) Validate() error {
	for _, n := range [...]struct {
		name            string
		value, min, max int
		unit            string
	}{
		{"datagram", l.Datagram, minMessage, maxMessage, " bytes"},
		{"message", l.Message, minMessage, maxMessage, " bytes"},
		{"headers", l.Headers, minHeaders, maxHeaders, ""},
		{"connections", l.Connections, 1, 0, ""},
		{"connections_per_source", l.ConnectionsPerSource, 1, 0, ""},
		{"transactions", l.Transactions, 1, 0, ""},
		{"registrations", l.Registrations, 1, 0, ""},
	} {
		switch {
		case n.value == 0:
		case n.max == 0 && n.value < n.min:
			return fmt.Errorf("limits: %s %d: it must be at least %d", n.name, n.value, n.min)
		case n.max != 0 && (n.value < n.min || n.value > n.max):
			return fmt.Errorf("limits: %s %d: it must be %d to %d%s", n.name, n.value, n.min, n.max, n.unit)
		}
	}
	if l.Memory != 0 && l.Memory < minMemory {
		return fmt.Errorf("limits: memory %d: it must be at least %d bytes (128MiB)", l.Memory, minMemory)
	}
	if l.RegistrationBytes < 0 {
		return fmt.Errorf("limits: registration_bytes %d: it must not be negative", l.RegistrationBytes)
	}
	if l.MessageTimeout < 0 || l.IdleTimeout < 0 {
		return fmt.Errorf("limits: message_timeout %s and idle_timeout %s must not be negative", time.Duration(l.MessageTimeout), time.Duration(l.IdleTimeout))
	}
	return nil
}

// listener returns the limits as the listeners take them; l may be nil.
func (l *Limits) listener() *transport.Limits {
	if l == nil {
		l = new(Limits)
	}
	message := l.Message
	if message == 0 || message > wire.MaxSize {
		message = wire.MaxSize
	}
	return transport.NewLimits(transport.Limits{
		Datagram:       l.Datagram,
		Message:        message,
		Headers:        l.Headers,
		MessageTimeout: time.Duration(l.MessageTimeout),
		IdleTimeout:    time.Duration(l.IdleTimeout),
		Conns:          l.Connections,
		ConnsPerSource: l.ConnectionsPerSource,
		Transactions:   l.Transactions,
	})
}
