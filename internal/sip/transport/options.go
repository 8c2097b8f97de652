package transport

import (
	"math"
	"net/netip"
	"runtime"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/budget"
)

// Options are the settings of a Manager. The zero value has the defaults; a negative limit or duration means none.
type Options struct {
	// Limits are those of listeners that were given none of their own, and of connections that were dialed.
	Limits Limits
	// WriteTimeout is how long a stream may accept nothing of what is queued. Default 10 s.
	WriteTimeout time.Duration
	// MaxDialed limits connections that were dialed. Default 65536. One user can cause 64 of them.
	MaxDialed int
	// DialedIdle closes a connection that was dialed when nothing came for that long, and nothing was sent: it is made anew
	// when it is needed. Default 10 minutes; a negative one keeps it.
	DialedIdle time.Duration
	// UDPSockets is how many sockets, each with its reader, share a UDP address on Linux. Default GOMAXPROCS.
	UDPSockets int
	// ReadBuffer is the size in bytes that each UDP socket asks the kernel for (SO_RCVBUF). Default 8 MiB; the kernel
	// may give less.
	ReadBuffer int
	// Net is where sockets are opened; nil is the operating system. Tests have a simulated network.
	Net Net
	// Budget is what the memory of connections and their queues is taken from; nil has no end.
	Budget *budget.Budget
	// Refuse tells whether connections from an address are closed as soon as they are accepted; nil refuses none. It must neither block nor call
	// the Manager.
	Refuse func(netip.Addr) bool
	// Logger is for what an operator should see; nil logs nothing.
	Logger *zap.Logger
	// Dropped is called for everything that is thrown away, with one of the Drop reasons; it may be nil. It must neither
	// block nor call the Manager.
	Dropped func(reason string)
	// Traffic is called after each batch of datagrams and each read and write of a stream, with how many messages and
	// bytes moved; it may be nil. What is written to a stream does not count messages.
	Traffic func(n Network, received bool, messages, bytes int)
}

// The reasons given to Options.Dropped.
const (
	DropKeepAlive      = "keepalive"         // a datagram of CR, LF and NUL only
	DropShort          = "short"             // a datagram too short for any SIP message
	DropTooLarge       = "too_large"         // a datagram or a message of a stream over its limit
	DropFraming        = "framing"           // a stream that cannot be cut into messages
	DropMessageTimeout = "message_timeout"   // a stream message not complete in time
	DropIdleTimeout    = "idle_timeout"      // a silent stream
	DropReceiveBuffer  = "receive_buffer"    // a datagram that found the receive buffer full
	DropReadError      = "read_error"        // a socket error while reading
	DropSendError      = "send_error"        // a datagram that the kernel refused
	DropSendBuffer     = "send_buffer"       // a datagram that found the send buffer full
	DropQueueFull      = "queue_full"        // a message to a stream whose peer reads too slowly
	DropWriteError     = "write_error"       // a stream that could not be written, or not in time
	DropConnLimit      = "connections"       // a connection over Limits.Conns, or MaxDialed
	DropSourceLimit    = "source_connection" // a connection over Limits.ConnsPerSource
	DropBanned         = "banned"            // a connection that Refuse refused
	DropDescriptors    = "descriptors"       // a connection for which there is no descriptor but those for something else
	DropMemory         = "memory"            // a connection, or a message on one, that there is no memory for
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
