// Package doorbell is a handler that relays a call and lights a key while it rings.
package doorbell

import (
	"context"
	"fmt"
	"strconv"
	"sync"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"go.uber.org/zap"

	"github.com/caddysip/caddysip/handler/proxy"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(new(Doorbell))
}

// Doorbell relays calls as proxy does. From the first ring until somebody answers, or the caller
// gives up, a key of some users shows it.
type Doorbell struct {
	// The number of the key.
	Key int `json:"key"`

	// Whose key it is, as user or user@domain.
	For []string `json:"for"`

	app    *module.App
	logger *zap.Logger
	aors   []string
	proxy  proxy.Proxy
}

// CaddyModule returns the Caddy module information.
func (*Doorbell) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.doorbell", New: func() caddy.Module { return new(Doorbell) }}
}

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	doorbell [<matcher>] <key> <users...>
func (h *Doorbell) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	args := d.RemainingArgs()
	if len(args) < 2 {
		return d.ArgErr()
	}
	key, err := strconv.Atoi(args[0])
	if err != nil {
		return d.Errf("the key is a number, not %q", args[0])
	}
	h.Key, h.For = key, args[1:]
	return nil
}

// Provision finds out whose keys they are.
func (h *Doorbell) Provision(ctx caddy.Context) (err error) {
	h.logger = ctx.Logger()
	if h.app, err = module.AppFrom(ctx); err != nil {
		return err
	}
	for _, user := range h.For {
		aor, _, err := h.app.ParseAOR(user)
		if err != nil {
			return err
		}
		h.aors = append(h.aors, aor)
	}
	if err := h.proxy.Provision(ctx); err != nil {
		return fmt.Errorf("proxy: %w", err)
	}
	return nil
}

// ServeSIP implements module.Handler.
func (h *Doorbell) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if r.Is("INVITE") && !r.InDialog() && w.Status() == 0 {
		w = &ringing{ResponseWriter: w, h: h, r: r}
	}
	return h.proxy.ServeSIP(w, r, next)
}

// ringing sees the responses to one call pass.
type ringing struct {
	module.ResponseWriter
	h *Doorbell
	r *module.Request

	lit bool // what the key is to show; only WriteResponse uses it

	mu  sync.Mutex // held while keys are set, so that the last change is the last that is made
	now bool       // what the key is to show
}

// WriteResponse implements module.ResponseWriter.
func (w *ringing) WriteResponse(res *module.Response) error {
	err := w.ResponseWriter.WriteResponse(res)
	switch {
	case res.Status >= 200 && w.lit:
		w.show(false)
	case res.Status == 180 && !w.lit:
		w.show(true)
	}
	return err
}

// show has the key lit or put out. It does not wait for that: the phone's call must not.
func (w *ringing) show(lit bool) {
	w.lit = lit
	w.mu.Lock()
	w.now = lit
	w.mu.Unlock()
	w.r.Background(module.PoolKeys, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if err := w.h.set(w.now); err != nil {
			w.h.logger.Error("setting the key", zap.Error(err))
		}
	})
}

// ringsFor is longer than anything rings: after it the lamp goes out whatever happens.
const ringsFor = 10 * time.Minute

// set sets or clears the key of all users. It goes with the call, so it is not stored.
func (h *Doorbell) set(lit bool) error {
	changes := make([]module.KeyChange, len(h.aors))
	for i, aor := range h.aors {
		changes[i] = module.KeyChange{AOR: aor, Volatile: true, Clear: h.Key}
		if lit {
			changes[i].TTL = ringsFor
			changes[i].Set = &module.Key{Key: h.Key, Light: "pickup", Color: "red", Label: "Door"}
		}
	}
	return h.app.SetKeys(context.Background(), changes...)
}

// Interface guards
var (
	_ caddy.Provisioner     = (*Doorbell)(nil)
	_ caddyfile.Unmarshaler = (*Doorbell)(nil)
	_ module.Handler        = (*Doorbell)(nil)
	_ module.ResponseWriter = (*ringing)(nil)
)
