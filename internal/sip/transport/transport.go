// Package transport is the sockets of a SIP server and the framing on them (RFC 3261 §18): datagrams read and written
// in batches, streams cut into messages. It knows nothing of what a message says beyond where it ends.
//
// A Manager owns listeners and connections and hands every message to one Handler, together with the Flow it came
// from: sending to that flow answers where the message came from, out of the address it was sent to.
package transport

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
)

// Network is a SIP transport. Its zero value is UDP.
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

// String returns the name in lower case, as in an address or a URI's transport parameter.
func (n Network) String() string {
	if int(n) < len(networkNames) {
		return networkNames[n]
	}
	return fmt.Sprintf("network(%d)", uint8(n))
}

// Token returns the name as a Via header field writes it.
func (n Network) Token() string {
	if int(n) < len(networkTokens) {
		return networkTokens[n]
	}
	return n.String()
}

// Reliable tells whether the transport itself retransmits, so that SIP must not (RFC 3261 §17).
func (n Network) Reliable() bool { return n != UDP }

// Errors that sending returns, beside those of the operating system.
var (
	// ErrClosed is returned for a connection or listener that is closed or closing.
	ErrClosed = net.ErrClosed
	// ErrWouldBlock is returned when a datagram was dropped because the socket's send buffer is full.
	ErrWouldBlock = errors.New("the socket's send buffer is full, the datagram was dropped")
	// ErrQueueFull is returned when a connection's peer reads too slowly: too much waits for it already.
	ErrQueueFull = errors.New("the peer reads too slowly, too much waits for it")
	// ErrLimit is returned when the configured number of connections is reached.
	ErrLimit = errors.New("too many connections")
	// ErrRefused is returned when Options.Refuse refuses a connection.
	ErrRefused = errors.New("the source is banned")

	errNoConnection = errors.New("the flow has no connection: dial one")
	errNoSocket     = errors.New("the flow has no socket")
	errEmpty        = errors.New("there is nothing to send")
)

// Flow is where a message came from and how to answer there. It is comparable.
type Flow struct {
	Network Network
	// Remote is the peer. An IPv4 address is never in its IPv6-mapped form; zones are interface numbers.
	Remote netip.AddrPort
	// Local is the address the message was sent to, never the wildcard. Datagrams leave from it.
	// It is the zero AddrPort when the system knows no way to Remote.
	Local netip.AddrPort
	// Listener is the listening socket: set on UDP and on accepted connections, nil on dialed ones.
	Listener *Listener
	// Conn is the connection, nil on UDP.
	Conn *Conn
}

// Send sends one message now, outside any batch. It does not keep b and never blocks for long: a datagram is one system
// call and is dropped with ErrWouldBlock if the socket takes no more; a stream queues. It is safe for concurrent use.
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

// Inbound is one datagram, or one message of a stream. It is reused: nothing of it may be kept.
type Inbound struct {
	// Data may be modified in place and is valid until HandleMessage returns.
	Data []byte
	Flow Flow
	// Outbox collects what is sent while handling; it is flushed after the batch.
	Outbox *Outbox
	// Err is a *FrameError if the stream cannot be followed any further. Data then holds the start line and headers
	// as far as they were read, and the connection is closed once what the handler sent is written.
	Err error

	load *load // nil where it isn't known
}

// Admit tells what to do with this request if it is one that begins something new: when more has been arriving for some time than can be handled, a
// part of them has to be refused. It is asked once for each such request.
func (in *Inbound) Admit() Admission {
	if in.load == nil {
		return Admit
	}
	return in.load.admit()
}

// Handler receives what arrives.
type Handler interface {
	// HandleMessage is called on the reader's goroutine and must not block. It is called concurrently for different
	// sockets and connections, and in order for one of them.
	HandleMessage(in *Inbound)
	// ConnClosed tells once that a stream connection has gone, after its last HandleMessage. err is why: io.EOF if the
	// peer closed it, ErrClosed if we did.
	ConnClosed(c *Conn, err error)
}
