package ratelimit

import (
	"cmp"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/metrics"
	"github.com/caddysip/caddysip/internal/ratelimit"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&RateLimit{})
}

// The defaults.
const (
	DefaultEvents = 50
	DefaultWindow = time.Second

	sourceKey = "{sip.source.ip}"
)

// RateLimit drops the requests of who sends too many. They get no answer, no handler that follows
// sees them, and they are not in the access log.
//
// Each source may send that many requests at once, and then one each time that the window's
// fraction for one has passed: with 50 in a second, one every 20 milliseconds. All requests count
// that come to this handler, those in a dialog and ACK too. What a zone knows survives a reload
// that leaves name, key, events and window as they are. It is 2.2 MB, however many sources there
// are, and follows 131,072 of them at a time.
type RateLimit struct {
	// The name, for metrics and logs. Handlers with the same name, key, events and window count
	// together. Global placeholders, such as {env.NAME}, are replaced. Default: the server's name.
	Zone string `json:"zone,omitempty"`

	// Whose requests are counted together, with placeholders. Default: {sip.source.ip}, for which
	// all addresses of an IPv6 /64 are one source, of link-local ones each.
	Key string `json:"key,omitempty"`

	// How many requests are let through in the window. Default: 50.
	Events int `json:"events,omitempty"`

	// The window. Default: 1 second.
	Window caddy.Duration `json:"window,omitempty"`

	// How long the source address of a request over the limit is banned: all it sends is dropped
	// unread, on every server, and its connections are closed. Anybody can forge the source of a
	// UDP packet, and so have another one banned. An address where a user was within a day who has
	// authenticated is not banned. Default: it isn't banned.
	Ban caddy.Duration `json:"ban,omitempty"`

	// The status that a request over the limit is answered with, 400 to 699; the answer says in
	// Retry-After when there is room again. Default: no answer. A source that is banned gets none.
	Respond int `json:"respond,omitempty"`

	id      zoneID
	zone    *zone // stays after Cleanup: a request may be under way
	pooled  bool
	engine  *engine.Engine
	limited prometheus.Counter
	log     limitedLog
}

// CaddyModule returns the Caddy module information.
func (*RateLimit) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.rate_limit", New: func() caddy.Module { return new(RateLimit) }}
}

// Provision finds the zone, or makes it.
func (h *RateLimit) Provision(ctx caddy.Context) error {
	server, err := module.ServerFrom(ctx)
	if err != nil {
		return err
	}
	if h.Zone, err = module.ReplaceGlobal(h.Zone); err != nil {
		return fmt.Errorf("zone: %w", err)
	}
	h.engine = inside.AppOf(server.App()).Engine
	h.log.logger = ctx.Logger()
	h.id = zoneID{
		name:   cmp.Or(h.Zone, server.Name()),
		key:    cmp.Or(h.Key, sourceKey),
		events: cmp.Or(h.Events, DefaultEvents),
		window: cmp.Or(time.Duration(h.Window), DefaultWindow),
	}
	if err := (ratelimit.Limit{Events: h.id.events, Window: h.id.window}).Validate(); err != nil {
		return err
	}
	if err := metrics.Register(ctx.GetMetricsRegistry(), limitedTotal); err != nil {
		return err
	}
	h.limited = limitedTotal.WithLabelValues(h.id.name)
	h.zone, h.pooled = openZone(h.id), true
	return nil
}

// Validate refuses what makes no sense.
func (h *RateLimit) Validate() error {
	if h.Ban < 0 {
		return fmt.Errorf("ban must not be negative: %v", time.Duration(h.Ban))
	}
	if err := checkRespond(h.Respond); err != nil {
		return fmt.Errorf("respond %w", err)
	}
	return nil
}

func checkRespond(status int) error {
	if status != 0 && (status < 400 || status > 699) {
		return fmt.Errorf("takes a status from 400 to 699, not %d", status)
	}
	return nil
}

// Cleanup lets go of the zone.
func (h *RateLimit) Cleanup() error {
	if !h.pooled {
		return nil
	}
	h.pooled = false
	return closeZone(h.id)
}

// ServeSIP implements module.Handler.
func (h *RateLimit) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	key, now := h.key(r), r.Received()
	result := h.zone.Count(key, now)
	if result == ratelimit.Within {
		return next(w, r)
	}
	h.limited.Inc()
	addr := r.Source().Addr()
	ban := h.Ban > 0 && !h.engine.HasUsers(addr)
	switch {
	case ban:
		if h.engine.Ban(addr, time.Duration(h.Ban), h.zone.reason) {
			h.log.banned(r, &h.id, time.Duration(h.Ban))
		}
	case result == ratelimit.Exceeded:
		h.log.exceeded(r, &h.id)
	}
	if ban || h.Respond == 0 || w.Status() != 0 {
		r.Drop()
		return nil
	}
	res := &module.Response{Status: h.Respond}
	wait := h.zone.Wait(key, now)
	res.AddHeader("Retry-After", strconv.Itoa(int((wait+time.Second-1)/time.Second)))
	return w.WriteResponse(res)
}

func (h *RateLimit) key(r *module.Request) uint64 {
	if h.id.key == sourceKey {
		return h.zone.AddrKey(r.Source().Addr())
	}
	return h.zone.Key(r.Replace(h.id.key))
}

// Interface guards
var (
	_ module.Handler     = (*RateLimit)(nil)
	_ caddy.Provisioner  = (*RateLimit)(nil)
	_ caddy.Validator    = (*RateLimit)(nil)
	_ caddy.CleanerUpper = (*RateLimit)(nil)
)
