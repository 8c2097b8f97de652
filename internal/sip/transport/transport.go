package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Network is a SIP transport. The zero value is UDP.
type Network uint8

// The transports of RFC 3261 §18 and RFC 7118.
const (
	UDP Network = iota
	TCP
	TLS
	WS
	WSS
)

var (
	networkNames  = [...]string{UDP: "udp", TCP: "tcp", TLS: "tls", WS: "ws", WSS: "wss"}
	networkTokens = [...]string{UDP: "UDP", TCP: "TCP", TLS: "TLS", WS: "WS", WSS: "WSS"}
)

// String returns the name in lower case, as in an address or in the transport parameter of a URI.
func (n Network) String() string {
	if int(n) < len(networkNames) {
		return networkNames[n]
	}
	return fmt.Sprintf("network(%d)", uint8(n))
}

// Token returns the name as it is written in a Via header field.
func (n Network) Token() string {
	if int(n) < len(networkTokens) {
		return networkTokens[n]
	}
	return n.String()
}

// Reliable reports whether the transport retransmits by itself, so that SIP must not (RFC 3261
// §17).
func (n Network) Reliable() bool { return n != UDP }

// The errors of sending, dialing and accepting, besides those of the operating system.
var (
	// ErrClosed is returned for a connection or listener that is closed or closing.
	ErrClosed = net.ErrClosed
	// ErrWouldBlock is returned when a datagram was dropped because the send buffer of the socket
	// is full.
	ErrWouldBlock = errors.New("the socket's send buffer is full, the datagram was dropped")
	// ErrQueueFull is returned when the peer of a connection reads too slowly, so that too much is
	// queued already.
	ErrQueueFull = errors.New("the peer reads too slowly, too much waits for it")
	// ErrLimit is returned when the configured number of connections is reached.
	ErrLimit = errors.New("too many connections")
	// ErrRefused is returned when Options.Refuse refuses a connection.
	ErrRefused = errors.New("the source is banned")

	errNoConnection = errors.New("the flow has no connection: dial one")
	errNoSocket     = errors.New("the flow has no socket")
	errEmpty        = errors.New("there is nothing to send")
)

// Flow is where a message came from, and the way to answer there (RFC 5626 §2). It is comparable.
type Flow struct {
	Network Network
	// Remote is the peer. An IPv4 address is never in its IPv6-mapped form; a zone is an interface
	// number.
	Remote netip.AddrPort
	// Local is the address that the message was sent to, never the wildcard address. Datagrams
	// leave from it. It is the zero AddrPort when the system knows no route to Remote.
	Local netip.AddrPort
	// Listener is the listening socket: set over UDP and for accepted connections, nil for dialed
	// ones.
	Listener *Listener
	// Conn is the connection; nil over UDP.
	Conn *Conn
}

// Send sends one message now, outside any batch. It does not keep b, and never blocks for long: a
// datagram takes one system call and is dropped with ErrWouldBlock if the send buffer is full; on a
// stream the message is queued. It is safe for concurrent use.
func (f Flow) Send(b []byte) error {
	switch {
	case len(b) == 0:
		return errEmpty
	case f.Conn != nil:
		return f.Conn.send(b, netip.Addr{})
	case f.Network != UDP:
		return errNoConnection
	case f.Listener == nil || f.Listener.network != UDP:
		return errNoSocket
	}
	return f.Listener.send(f.Remote, f.Local, b)
}

// Inbound is one datagram, or one message of a stream. It is reused: keep nothing of it after
// HandleMessage returns.
type Inbound struct {
	// Data is the message. It may be modified in place, and is valid until HandleMessage returns.
	Data []byte
	Flow Flow
	// Outbox collects what is sent while the message is handled. It is flushed after the batch.
	Outbox *Outbox
	// Err is a *FrameError if the stream cannot be cut into further messages. Data then holds the
	// start line and headers as far as they were read, and the connection is closed once what the
	// handler has sent is written.
	Err error

	load *load // nil where load is not measured
}

// Admit returns what to do with this request if it begins something new. When more has been
// arriving for some time than can be handled, a part of those requests is refused. Call it once for
// each of them.
func (in *Inbound) Admit() Admission {
	if in.load == nil {
		return Admit
	}
	return in.load.admit()
}

// Handler receives messages.
type Handler interface {
	// HandleMessage is called on the reader's goroutine and must not block. It is called
	// concurrently for different sockets and connections, and in order for each of them.
	HandleMessage(in *Inbound)
	// ConnClosed is called once when a connection has closed, after its last HandleMessage. err is
	// the reason: io.EOF if the peer closed it, ErrClosed if we did.
	ConnClosed(c *Conn, err error)
}
