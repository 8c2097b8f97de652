package inside

import (
	"net/netip"
	"strings"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// What package module sets when it is initialised. The parameters are a *module.App and a
// *module.Request, whose types cannot be written here: module imports this package. Anything else
// panics.
var (
	// AppOf returns what is behind an app that has been provisioned.
	AppOf func(app any) *App

	// RequestOf returns what is behind a request.
	RequestOf func(request any) *Request

	// Begin makes a request's server transaction, unless it has been made, as
	// module.Request.Transaction does.
	Begin func(request any, h transaction.ServerHandler) (*transaction.Server, error)

	// IsDirect reports whether a module.ResponseWriter only responds: no handler has put its own in
	// front.
	IsDirect func(writer any) bool
)

// Site is what an app says of names and addresses; see the methods of module.App.
type Site interface {
	IsLocal(host []byte) bool
	IsSelf(u *wire.URI) bool
	Serves(u *wire.URI) bool
	Remember(name string)
	AppendAOR(dst []byte, u *wire.URI) ([]byte, bool)
	Secret() []byte
}

// App is what is behind a module.App. It implements routetoken.Site.
type App struct {
	Site
	Engine     *engine.Engine
	Generation *engine.Generation

	// Guard calls f for a handler that has a request wait for a callback: a panic in it is counted
	// and logged, and goes no further.
	Guard func(f func())

	directories []func(user, domain string) bool
}

// AddDirectory adds a directory of users: f reports whether there may be one of that name. It is
// for Provision.
func (a *App) AddDirectory(f func(user, domain string) bool) {
	a.directories = append(a.directories, f)
}

// MayKnow reports whether a directory may have the user of an address-of-record.
func (a *App) MayKnow(aor string) bool {
	at := max(strings.LastIndexByte(aor, '@'), 0)
	for _, f := range a.directories {
		if f(aor[:at], strings.TrimPrefix(aor[at:], "@")) {
			return true
		}
	}
	return false
}

// Location returns the registrations.
func (a *App) Location() *location.Store { return a.Engine.Location }

// SentBy returns the host and port that we can be reached at over a flow, for Via and Record-Route.
// For a connection that we opened ourselves that is the port we listen on, not the connection's.
func (a *App) SentBy(f transport.Flow) wire.HostPort { return a.Generation.SentBy(f) }

// FlowTo returns a flow to an address without waiting: from the preferred listener if it is one of
// ours and fits, else from any that fits, or down a connection that exists. ok is false when a
// connection would have to be made.
func (a *App) FlowTo(
	network transport.Network, remote netip.AddrPort, preferred *transport.Listener,
	local netip.AddrPort,
) (f transport.Flow, ok bool) {
	return a.Engine.FlowTo(a.Generation, network, remote, preferred, local)
}

// Listeners returns the open sockets of all servers.
func (a *App) Listeners() []*transport.Listener { return a.Generation.Listeners }

// AddEdges adds addresses of edge proxies whose Path is followed. It is for Provision.
func (a *App) AddEdges(edges []netip.Prefix) {
	a.Generation.Edges = append(a.Generation.Edges, edges...)
}

// Request is what is behind a module.Request.
type Request struct {
	// Flow is the way the request came, which leads back to its sender.
	Flow transport.Flow

	// Outbox collects the packets that are sent while the request is handled. It is nil once the
	// request is kept, and on goroutines other than the reader's. Whoever answers a kept request
	// from a callback that brings an outbox may set it for the time of that call.
	Outbox *transport.Outbox
}
