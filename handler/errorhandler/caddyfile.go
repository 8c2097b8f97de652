package errorhandler

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	error [<matcher>] [<status> [<message>]]
func (h *Error) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		h.Status = module.Status(d.Val())
		if err := h.Status.Validate(400); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		h.Message = d.Val()
	}
	if d.NextArg() {
		return d.Errf("error takes a status and a message; '%s' is too much: put a message of several words in quotes", d.Val())
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Error)(nil)
