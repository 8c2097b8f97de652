package transport

import (
	"math"
	"net/netip"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/budget"
)

// Options are the settings of a Manager. In the zero value each has its default; a negative limit
// or duration means none.
type Options struct {
	// Limits are the limits of listeners that have none of their own, and of dialed connections.
	Limits Limits
	// WriteTimeout is how long a peer may accept nothing of what is queued for it. Default 10 s.
	WriteTimeout time.Duration
	// MaxDialed is the largest number of dialed connections. Default 65536. One user can cause 64
	// of them.
	MaxDialed int
	// DialedIdle is how long a dialed connection is kept on which nothing is received or sent. It
	// is dialed again when it is needed. Default 10 minutes; negative: kept.
	DialedIdle time.Duration
	// UDPSockets is how many sockets share a UDP address on Linux, each with a reader of its own.
	// Default GOMAXPROCS.
	UDPSockets int
	// ReadBuffer is the size in bytes of the receive buffer that each UDP socket asks the kernel
	// for (SO_RCVBUF). Default 8 MiB; the kernel may give less.
	ReadBuffer int
	// Net opens sockets; nil: the operating system. Tests use a simulated network.
	Net Net
	// Budget is what the memory of connections and their queues is taken from; nil: no limit.
	Budget *budget.Budget
	// Refuse reports whether connections from an address are to be closed as soon as they are
	// accepted; nil: none. It must neither block nor call the Manager.
	Refuse func(netip.Addr) bool
	// Logger is for what an operator should see; nil: nothing is logged.
	Logger *zap.Logger
	// Dropped is called for everything that is thrown away, with one of the Drop reasons; it may be
	// nil. It must neither block nor call the Manager.
	Dropped func(reason string)
	// KeepAlive is called for each datagram of nothing but CR, LF and NUL, with the flow that it
	// came by; it may be nil. It must neither block nor call the Manager.
	KeepAlive func(Flow)
	// Unreachable is called when the network reports that a datagram could not be delivered to
	// where it was sent, with the start of the datagram, which is valid during the call only. Who
	// reports that is not known. It may be nil; only Linux tells. It must not block.
	Unreachable func(remote netip.AddrPort, sent []byte, err error)
	// Traffic is called after each batch of datagrams, and after each read and write of a stream,
	// with the numbers of messages and bytes; it may be nil. Messages that are written to a stream
	// are not counted.
	Traffic func(n Network, received bool, messages, bytes int)
}

// The reasons passed to Options.Dropped.
const (
	DropKeepAlive      = "keepalive"         // a datagram of nothing but CR, LF and NUL
	DropShort          = "short"             // a datagram too short for any SIP message
	DropTooLarge       = "too_large"         // a datagram or a stream message over its limit
	DropFraming        = "framing"           // a stream that cannot be cut into messages
	DropMessageTimeout = "message_timeout"   // a stream message not complete in time
	DropIdleTimeout    = "idle_timeout"      // a stream on which nothing arrived
	DropReceiveBuffer  = "receive_buffer"    // a datagram for which the receive buffer had no room
	DropReadError      = "read_error"        // a socket error while reading
	DropSendError      = "send_error"        // a datagram that the kernel refused
	DropSendBuffer     = "send_buffer"       // a datagram for which the send buffer had no room
	DropQueueFull      = "queue_full"        // a message to a stream whose peer reads too slowly
	DropWriteError     = "write_error"       // a stream that could not be written to, or not in time
	DropConnLimit      = "connections"       // a connection over Limits.Conns, or MaxDialed
	DropSourceLimit    = "source_connection" // a connection over Limits.ConnsPerSource
	DropBanned         = "banned"            // a connection that Refuse refused
	DropDescriptors    = "descriptors"       // a connection that would take a reserved descriptor
	DropMemory         = "memory"            // a connection, or a message on one, without memory for it
)

func (o Options) withDefaults() Options {
	o.Limits = o.Limits.withDefaults()
	defaultTo(&o.WriteTimeout, 10*time.Second)
	defaultTo(&o.MaxDialed, 65536)
	defaultTo(&o.DialedIdle, 10*time.Minute)
	if o.MaxDialed < 0 {
		o.MaxDialed = math.MaxInt32
	}
	defaultTo(&o.UDPSockets, runtime.GOMAXPROCS(0))
	defaultTo(&o.ReadBuffer, 8<<20)
	if o.UDPSockets < 0 {
		o.UDPSockets = 1
	}
	if o.Logger == nil {
		o.Logger = zap.NewNop()
	}
	if o.Refuse == nil {
		o.Refuse = func(netip.Addr) bool { return false }
	}
	if o.Dropped == nil {
		o.Dropped = func(string) {}
	}
	if o.KeepAlive == nil {
		o.KeepAlive = func(Flow) {}
	}
	if o.Traffic == nil {
		o.Traffic = func(Network, bool, int, int) {}
	}
	return o
}

func defaultTo[T int | time.Duration](v *T, value T) {
	if *v == 0 {
		*v = value
	}
}
