package errorhandler

import (
	"errors"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(&Error{})
}

// Error ends the chain with an error, unless the request has been answered: the handle_errors
// routes deal with it, and if they don't, the status is the answer. So one place decides how
// refusals look.
type Error struct {
	// The status, 400 to 699. It may have placeholders. Default: 500.
	Status module.Status `json:"status,omitempty"`

	// What happened, for the log and for {sip.error.message}; no client sees it. It may have
	// placeholders. Default: nothing.
	Message string `json:"message,omitempty"`
}

// CaddyModule returns the Caddy module information.
func (*Error) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.error", New: func() caddy.Module { return new(Error) }}
}

// Provision fills in the default.
func (h *Error) Provision(caddy.Context) error {
	if h.Status == "" {
		h.Status = "500"
	}
	return nil
}

// Validate refuses what is no status of an error.
func (h *Error) Validate() error { return h.Status.Validate(400) }

// ServeSIP implements module.Handler.
func (h *Error) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if w.Status() != 0 {
		return next(w, r)
	}
	status, err := h.Status.Of(r, 400)
	if err != nil {
		return err
	}
	var cause error
	if h.Message != "" {
		cause = errors.New(r.Replace(h.Message))
	}
	return module.Error(status, cause)
}

// Interface guards
var (
	_ module.Handler    = (*Error)(nil)
	_ caddy.Provisioner = (*Error)(nil)
	_ caddy.Validator   = (*Error)(nil)
)
