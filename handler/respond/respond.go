package respond

import (
	"fmt"
	"maps"
	"slices"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&Respond{})
}

// Respond answers a request, unless it has been answered. ACK, which nothing answers, goes on to
// the next handler.
//
// A provisional response is sent for INVITE only (RFC 4320 §4.1), and the request goes on to the
// next handler.
type Respond struct {
	// The status, 100 to 699. It may have placeholders. Default: 200.
	Status module.Status `json:"status,omitempty"`

	// The reason phrase. It may have placeholders. Default: the status's usual one.
	Reason string `json:"reason,omitempty"`

	// Further header fields, by name. Values may have placeholders.
	Headers map[string][]string `json:"headers,omitempty"`

	names []string
}

// CaddyModule returns the Caddy module information.
func (*Respond) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.respond", New: func() caddy.Module { return new(Respond) }}
}

// Provision fills in the default.
func (h *Respond) Provision(caddy.Context) error {
	if h.Status == "" {
		h.Status = "200"
	}
	h.names = slices.Sorted(maps.Keys(h.Headers))
	return nil
}

// Validate refuses what is no status, and header fields that the server writes.
func (h *Respond) Validate() error {
	if err := h.Status.Validate(100); err != nil {
		return err
	}
	for _, name := range h.names {
		if _, err := module.CheckField(name); err != nil {
			return fmt.Errorf("headers: %w", err)
		}
	}
	return nil
}

// ServeSIP implements module.Handler.
func (h *Respond) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if w.Status() != 0 || r.Is("ACK") {
		return next(w, r)
	}
	status, err := h.Status.Of(r, 100)
	if err != nil {
		return err
	}
	res := &module.Response{Status: status, Reason: r.Replace(h.Reason)}
	for _, name := range h.names {
		for _, value := range h.Headers[name] {
			res.AddHeader(name, r.Replace(value))
		}
	}
	if status >= 200 {
		return w.WriteResponse(res)
	}
	if !r.Is("INVITE") {
		return next(w, r)
	}
	// Without a transaction there are no provisional responses (RFC 3261 §8.2.7).
	if err := r.Transaction(nil); err != nil {
		return err
	}
	if err := w.WriteResponse(res); err != nil {
		return err
	}
	return next(w, r)
}

// Interface guards
var (
	_ module.Handler    = (*Respond)(nil)
	_ caddy.Provisioner = (*Respond)(nil)
	_ caddy.Validator   = (*Respond)(nil)
)
