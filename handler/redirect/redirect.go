package redirect

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

func init() {
	caddy.RegisterModule(&Redirect{})
}

// Redirect answers a request with 302 Moved Temporarily and the URIs to try instead (RFC 3261
// §8.3), unless it has been answered. ACK and CANCEL go on to the next handler: nothing answers the
// one, and the other follows its request.
type Redirect struct {
	// The URIs, the preferred one first. They may have placeholders; what these bring into a user
	// part is escaped.
	To []string `json:"to,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Redirect) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.redirect", New: func() caddy.Module { return new(Redirect) }}
}

// Validate refuses what is no URI.
func (h *Redirect) Validate() error {
	if len(h.To) == 0 {
		return errors.New("redirect needs at least one URI")
	}
	for _, to := range h.To {
		if err := check(to); err != nil {
			return err
		}
	}
	return nil
}

func check(uri string) error {
	if strings.Contains(uri, "{") {
		return nil
	}
	_, err := module.ParseURI(uri)
	return err
}

// ServeSIP implements module.Handler.
func (h *Redirect) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if w.Status() != 0 || r.Is("ACK") || r.Is("CANCEL") {
		return next(w, r)
	}
	res := &module.Response{Status: 302}
	for i, to := range h.To {
		u, err := r.ReplaceURI(to)
		if err != nil {
			return module.Error(500, fmt.Errorf("redirecting to %s: %w", to, err))
		}
		res.AddHeader("Contact", contact(u, i, len(h.To)))
	}
	return w.WriteResponse(res)
}

// contact returns the i-th of n contacts. Those of a list have falling q values, so that clients
// keep the order (RFC 3261 §20.10).
func contact(u wire.URI, i, n int) string {
	if n == 1 {
		return fmt.Sprintf("<%s>", u.Raw)
	}
	return fmt.Sprintf("<%s>;q=%.3f", u.Raw, float64(n-i)/float64(n))
}

// Interface guards
var (
	_ module.Handler  = (*Redirect)(nil)
	_ caddy.Validator = (*Redirect)(nil)
)
