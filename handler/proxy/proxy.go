// Package proxy is the proxy of RFC 3261 §16: it relays requests to registered phones, or to given servers.
package proxy

import (
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/wire"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&Proxy{})
}

// DefaultTimeout is how long a phone may ring. RFC 3261 §16.6 step 11 wants more than three minutes.
const DefaultTimeout = 185 * time.Second

// How targets are tried.
const (
	Parallel   = "parallel"
	Sequential = "sequential"
)

// Proxy relays a request to where its address-of-record is registered, or to the given URIs, and the responses back (RFC 3261 §16).
//
// Without URIs it reaches only users of the domains that are served; other requests are refused with 403, unless their sender has
// authenticated. Requests within a call that was set up through the server follow its route.
type Proxy struct {
	// Where requests are relayed to, tried in this order: the next one when one doesn't answer or answers 503. A URI with a user part, or with
	// placeholders, replaces the Request-URI; one without replaces its host and port; one with the parameter lr is put in front of it as a route.
	// Default: the contacts that are registered for the Request-URI.
	To []string `json:"to,omitempty"`

	// How long a phone may ring before it is given up (timer C). Default: 185 seconds.
	Timeout caddy.Duration `json:"timeout,omitempty"`

	// How many further targets are tried after one that did not answer or answered 503. Default: all.
	Retries *int `json:"retries,omitempty"`

	// Whether contacts with the same preference (q) ring together or one after the other: parallel or sequential.
	// Those with a lower q follow when the others have failed. Default: parallel.
	Fork string `json:"fork,omitempty"`

	// Whether further requests of a call go through the server as well. Default: true.
	RecordRoute *bool `json:"record_route,omitempty"`

	app    *module.App
	server *module.Server
	logger *zap.Logger
}

// CaddyModule returns the Caddy module information.
func (*Proxy) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.proxy", New: func() caddy.Module { return new(Proxy) }}
}

// Provision sets the defaults.
func (p *Proxy) Provision(ctx caddy.Context) (err error) {
	p.logger = ctx.Logger()
	if p.Timeout == 0 {
		p.Timeout = caddy.Duration(DefaultTimeout)
	}
	if p.Fork == "" {
		p.Fork = Parallel
	}
	if p.app, err = module.AppFrom(ctx); err != nil {
		return err
	}
	p.server, err = module.ServerFrom(ctx)
	return err
}

// Validate checks the options.
func (p *Proxy) Validate() error {
	if p.Fork != Parallel && p.Fork != Sequential {
		return fmt.Errorf("fork %q: it is %s or %s", p.Fork, Parallel, Sequential)
	}
	if p.Timeout < 0 || p.Retries != nil && *p.Retries < 0 {
		return errors.New("timeout and retries must not be negative")
	}
	for _, text := range p.To {
		if strings.Contains(text, "{") {
			continue
		}
		if err := checkTarget(text); err != nil {
			return err
		}
	}
	return nil
}

func checkTarget(text string) error {
	u, err := wire.ParseURI([]byte(text))
	switch {
	case err != nil:
		return fmt.Errorf("%q is no SIP URI: %w; write it as sip:host, sip:user@host or sip:host:port;transport=tcp", text, err)
	case u.Scheme != wire.SIP:
		return fmt.Errorf("%q: only sip: URIs can be relayed to", text)
	}
	return nil
}

// ServeSIP implements module.Handler.
func (p *Proxy) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	m := r.Message()
	if w.Status() != 0 {
		return next(w, r)
	}
	if m.Method == wire.CANCEL {
		// What it cancels would have been found before: RFC 3261 §16.10 lets a stateful proxy answer 481.
		return module.Error(481, nil)
	}
	if err := p.check(m); err != nil {
		return p.refuse(r, err)
	}
	route, err := p.route(r)
	if err != nil {
		return p.refuse(r, err)
	}
	if route == nil {
		return next(w, r)
	}
	if m.Method == wire.ACK {
		return p.relayACK(r, route)
	}
	return p.relay(w, r, route)
}

// refuse returns the error, but for an ACK, which nothing answers.
func (p *Proxy) refuse(r *module.Request, err error) error {
	if r.Message().Method != wire.ACK {
		return err
	}
	p.logger.Debug("ACK is not relayed", zap.Error(err))
	return nil
}

// check does what RFC 3261 §16.3 asks before a request is relayed.
func (p *Proxy) check(m *module.Message) error {
	if m.MaxForwards == 0 {
		return module.Error(483, nil)
	}
	loop := engine.LoopHash(m)
	for v := m.Values(wire.Via); v.Next(); {
		via, err := wire.ParseVia(v.Value())
		if err != nil {
			return module.HandlerError{Status: 400, Reason: "Malformed Via", Err: err}
		}
		if engine.IsLoop(via.Branch, loop) {
			return module.Error(482, nil)
		}
	}
	if m.Has(wire.ProxyRequire) && m.Method != wire.ACK && m.Method != wire.CANCEL {
		return errExtension
	}
	return nil
}

// errExtension is replaced by an answer that lists the extensions: we have none (RFC 3261 §16.3 step 5).
var errExtension = errors.New("Proxy-Require asks for an extension")

// Interface guards
var (
	_ caddy.Provisioner = (*Proxy)(nil)
	_ caddy.Validator   = (*Proxy)(nil)
	_ module.Handler    = (*Proxy)(nil)
)
