package rewrite

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&Rewrite{})
}

// Rewrite replaces the Request-URI, and lets the request go on. When what comes out is no SIP URI,
// the answer is 400.
type Rewrite struct {
	// The new Request-URI. It may have placeholders; what these bring into the user part is
	// escaped.
	URI string `json:"uri"`
}

// CaddyModule returns the Caddy module information.
func (*Rewrite) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.rewrite", New: func() caddy.Module { return new(Rewrite) }}
}

// Validate refuses what is no URI.
func (h *Rewrite) Validate() error { return check(h.URI) }

func check(uri string) error {
	if strings.Contains(uri, "{") {
		return nil
	}
	u, err := module.ParseURI(uri)
	if err == nil && len(u.Headers) > 0 {
		err = fmt.Errorf("%q: %w", uri, errHeaders)
	}
	return err
}

var errHeaders = errors.New("a Request-URI has no headers") // RFC 3261 §19.1.1

// ServeSIP implements module.Handler.
func (h *Rewrite) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	u, err := r.ReplaceURI(h.URI)
	if err == nil && len(u.Headers) > 0 {
		err = errHeaders
	}
	if err != nil {
		return module.Error(400, fmt.Errorf("rewriting to %s: %w", h.URI, err))
	}
	if err := r.Edit(func(e *wire.Edits, m *wire.Message) { e.SetRequestURI(m, u.Raw) }); err != nil {
		return err
	}
	return next(w, r)
}

// Interface guards
var (
	_ module.Handler  = (*Rewrite)(nil)
	_ caddy.Validator = (*Rewrite)(nil)
)
