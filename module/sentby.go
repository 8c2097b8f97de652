package module

import (
	"net/netip"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// Outbox returns what collects the packets that are sent while this request is handled; it must not be used once ServeSIP has returned. It is
// nil when the request is handled on a goroutine of its own.
func (r *Request) Outbox() *transport.Outbox { return r.outbox }

// SentBy returns the address by which we can be reached over a flow, for Via and Record-Route: of a connection that we made ourselves, the
// port that we listen on, not the one the connection has.
func (a *App) SentBy(f transport.Flow) netip.AddrPort { return a.generation.SentBy(f) }

// FlowTo returns a flow to an address without waiting: from the preferred listener if it is one of ours and fits, else from any that fits, or down a
// connection that exists. ok is false when a connection would have to be made.
func (a *App) FlowTo(network transport.Network, remote netip.AddrPort, preferred *transport.Listener) (f transport.Flow, ok bool) {
	return a.engine.FlowTo(a.generation, network, remote, preferred)
}
