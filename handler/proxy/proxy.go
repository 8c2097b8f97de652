package proxy

import (
	"bytes"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/ratelog"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&Proxy{})
}

// DefaultTimeout is how long a phone may ring. RFC 3261 §16.6 step 11 wants more than three
// minutes.
const DefaultTimeout = 185 * time.Second

// DefaultNoResponse is how long a target may say nothing at all to an INVITE. A phone that is there
// answers within a second; until T2, 4 seconds, the INVITE is sent four times (RFC 3261 §17.1.1.2).
const DefaultNoResponse = 5 * time.Second

// How targets are tried.
const (
	Parallel   = "parallel"
	Sequential = "sequential"
)

// Proxy relays a request to where its address-of-record is registered, or to the given URIs, and
// the responses back (RFC 3261 §16).
//
// Without URIs it reaches only users of the domains that are served; other requests are refused
// with 403, unless their sender has authenticated. Requests within a call that was set up through
// the server follow its route.
type Proxy struct {
	// Where requests are relayed to, tried in this order: the next one when one doesn't answer or
	// answers 503. A URI with a user part replaces the Request-URI; one without replaces its host
	// and port; one with the parameter lr is put in front of it as a route. Placeholders are
	// allowed. Default: the contacts that are registered for the Request-URI.
	To []string `json:"to,omitempty"`

	// How long a phone may ring before it is given up (timer C). Default: 185 seconds.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How long a target may take to say anything to an INVITE, be it 100, before it is given up and
	// the next is tried: what doesn't, has gone. Default: 5 seconds.
	NoResponse caddy.Duration `json:"no_response,omitempty"`

	// How many of the further URIs in to are tried when the first doesn't answer or answers 503.
	// Default: all.
	Retries *int `json:"retries,omitempty"`

	// Whether contacts with the same preference (q) ring together or one after the other: parallel
	// or sequential. Those with a lower q follow when the others have failed. Default: parallel.
	Fork string `json:"fork,omitempty"`

	// Whether further requests of a call go through the server as well. Default: true.
	RecordRoute *bool `json:"record_route,omitempty"`

	// Whether requests that control a phone are relayed: they set its keys and settings, have it
	// reboot, answer or dial, and phones take them from anybody. Default: false, they are refused
	// with 403, and calls go without what has a phone answer by itself.
	AllowControl bool `json:"allow_control,omitempty"`

	// The old name of allow_control.
	AllowButtons bool `json:"allow_buttons,omitempty"`

	// Whether a request may itself name a place that is not on the Internet, in its Request-URI or
	// Route, or by a placeholder in the host or port of one of to: an address that is loopback,
	// link-local, private, shared, multicast, reserved, or the server's own; for names what they
	// lead to counts. URIs in to without such placeholders, and registered phones, may be anywhere.
	// Default: false, it is refused with 403.
	AllowPrivate bool `json:"allow_private,omitempty"`

	// Whether requests tell who has authenticated: P-Asserted-Identity with the user's URI, if
	// their sender is no trusted neighbour that has set one. Those who ask for privacy (Privacy:
	// id) are named to trusted neighbours alone. Default: false.
	AssertIdentity bool `json:"assert_identity,omitempty"`

	app    *module.App
	in     *inside.App
	server *module.Server
	logger *zap.Logger
	signer routetoken.Signer
	names  *names

	places    []fixed // of each of To
	id        uint64  // its own among all proxies
	deniedLog ratelog.Gate
}

// CaddyModule returns the Caddy module information.
func (*Proxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.proxy", New: func() caddy.Module { return new(Proxy) }}
}

// Provision sets the defaults.
func (p *Proxy) Provision(ctx caddy.Context) (err error) {
	p.logger = ctx.Logger()
	p.names = lookups
	p.id = rand.Uint64()
	p.AllowControl = p.AllowControl || p.AllowButtons
	repl := caddy.NewReplacer()
	for _, text := range p.To {
		p.places = append(p.places, fixedPlace(repl, text))
	}
	if p.Timeout == 0 {
		p.Timeout = caddy.Duration(DefaultTimeout)
	}
	if p.NoResponse == 0 {
		p.NoResponse = caddy.Duration(DefaultNoResponse)
	}
	if p.Fork == "" {
		p.Fork = Parallel
	}
	if p.app, err = module.AppFrom(ctx); err != nil {
		return err
	}
	p.in = inside.AppOf(p.app)
	p.signer.Site, p.signer.Calls = p.in, p.in.Engine.Calls
	p.server, err = module.ServerFrom(ctx)
	return err
}

// GuardedMethod implements module.Guarded: unauthenticated senders could call at the operator's
// expense.
func (*Proxy) GuardedMethod() string { return "INVITE" }

// Validate checks the options.
func (p *Proxy) Validate() error {
	if p.Fork != Parallel && p.Fork != Sequential {
		return fmt.Errorf("fork %q: it is %s or %s", p.Fork, Parallel, Sequential)
	}
	if p.Timeout < 0 || p.NoResponse < 0 || p.Retries != nil && *p.Retries < 0 {
		return errors.New("timeout, no_response and retries must not be negative")
	}
	for _, text := range p.To {
		if strings.Contains(text, "{") {
			continue
		}
		if _, err := checkTarget(text); err != nil {
			return err
		}
	}
	return nil
}

// checkTarget reads a URI to relay to.
func checkTarget(text string) (wire.URI, error) {
	u, err := wire.ParseURI([]byte(text))
	switch {
	case err != nil:
		return u, fmt.Errorf("%q, which is no SIP URI: %w; write it as sip:host, sip:user@host or sip:host:port;transport=tcp", text, err)
	case u.Headers != nil:
		return u, fmt.Errorf("%q: a URI to relay to has no headers; leave away what follows the question mark", text)
	}
	if _, err := networkOf(&u); err != nil {
		return u, fmt.Errorf("%q: %w", text, err)
	}
	return u, nil
}

// routes are those of requests that are being routed.
var routes = sync.Pool{New: func() any { return new(routetoken.Routes) }}

var droppedACK = engine.Dropped("ack")

// ServeSIP implements module.Handler.
func (p *Proxy) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if w.Status() != 0 {
		return next(w, r)
	}
	m := r.Message()
	if m.Method == wire.CANCEL {
		// RFC 3261 §16.10 has it forwarded statelessly, for an INVITE that was. Here none ever is,
		// so it is for nothing that is further on.
		return module.Error(481, nil)
	}
	c := newContext(p, w, r)
	forNext, err := c.serve()
	c.free()
	if forNext {
		return next(w, r)
	}
	return err
}

// serve relays the request, or says why not. forNext says that it is for the next handler.
func (c *responseContext) serve() (forNext bool, err error) {
	p, w, r, m := c.p, c.w, c.r, c.r.Message()
	c.loop = p.loopHash(r)
	rs := routes.Get().(*routetoken.Routes)
	defer routes.Put(rs)
	if *rs, err = p.signer.ReadRoutes(m, r.URI(), sender(r)); err != nil {
		return false, p.refuse(m, module.HandlerError{Status: 400, Reason: "Malformed Route", Err: err})
	}
	c.pop, c.unstrict = rs.Pop, rs.Unstrict
	if m.Method == wire.ACK && !p.mayACK(r, rs) {
		droppedACK.Inc()
		return false, p.refuse(m, errACK)
	}
	if p.forSelf(r, rs) {
		return true, nil
	}
	if err := check(m, c.loop); err != nil {
		return false, p.refuse(m, err)
	}
	c.control = !p.AllowControl && (controls(r, rs.Standing == routetoken.Admitted) || routesToAnswer(m, rs))
	if c.control && r.KeyPress() != nil {
		return true, nil // it is the server that is told
	}
	if m.Has(wire.ProxyRequire) && m.Method != wire.ACK {
		return false, badExtension(w, m)
	}
	if err := p.route(r, &c.routing, rs); err != nil {
		return false, p.refuse(m, err)
	}
	if c.control {
		return false, p.refuse(m, errControl)
	}
	if !p.AllowControl {
		if err := ring(r); err != nil {
			return false, p.refuse(m, err)
		}
	}
	return false, c.relay()
}

var errControl = module.HandlerError{Status: 403, Reason: "Remote Control Not Allowed"}

// refuse returns the error, but for an ACK, which nothing answers.
func (p *Proxy) refuse(m *wire.Message, err error) error {
	if m.Method != wire.ACK {
		return err
	}
	p.logger.Debug("an ACK is not relayed", zap.String("error", wire.ForLog(err.Error())))
	return nil
}

// loopHash returns what is the same when a request comes here once more. A connection's port says
// nothing about who is there.
func (p *Proxy) loopHash(r *module.Request) uint64 {
	f := &inside.RequestOf(r).Flow
	from := f.Remote
	if f.Network.Reliable() {
		from = netip.AddrPortFrom(from.Addr(), 0)
	}
	return engine.LoopHash(r.Message(), from, p.id)
}

// check does what RFC 3261 §16.3 asks before a request is relayed.
func check(m *wire.Message, loop uint64) error {
	if m.MaxForwards == 0 {
		return module.Error(483, nil) // step 3
	}
	var room [16]byte
	hash := engine.AppendHex(room[:0], loop)
	for v := m.Values(wire.Via); v.Next(); {
		if bytes.Contains(v.Value(), hash) {
			return module.Error(482, nil) // step 4: it was routed here like this before
		}
	}
	return nil
}

// badExtension refuses what Proxy-Require asks for: we have no extensions (RFC 3261 §16.3 step 5).
func badExtension(w module.ResponseWriter, m *wire.Message) error {
	var tags []byte // in one line: a line for each would make an answer many times as long as the request
	for v := m.Values(wire.ProxyRequire); v.Next(); {
		if tags != nil {
			tags = append(tags, ", "...)
		}
		tags = append(tags, v.Value()...)
	}
	res := &module.Response{Status: 420}
	res.Header = wire.AppendHeader(res.Header, "Unsupported", tags)
	return w.WriteResponse(res)
}

// Interface guards
var (
	_ caddy.Provisioner = (*Proxy)(nil)
	_ caddy.Validator   = (*Proxy)(nil)
	_ module.Handler    = (*Proxy)(nil)
	_ module.Guarded    = (*Proxy)(nil)
)
