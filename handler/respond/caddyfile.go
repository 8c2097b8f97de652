package respond

import (
	"errors"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/module"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	respond [<matcher>] [<status> [<reason>]] {
//		header <name> <value>
//	}
func (h *Respond) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		h.Status = module.Status(d.Val())
		if err := h.Status.Validate(100); err != nil {
			return d.WrapErr(err)
		}
	}
	if d.NextArg() {
		h.Reason = d.Val()
	}
	if d.NextArg() {
		return d.Errf("respond takes a status and a reason; '%s' is too much: put a reason of several words in quotes", d.Val())
	}
	return directive.Block(d, "respond", directive.Options{"header": h.header}, "header")
}

func (h *Respond) header(d *caddyfile.Dispenser) error {
	var name, value string
	if !d.AllArgs(&name, &value) {
		return errors.New("takes the name of a header field and its value")
	}
	name, err := module.CheckField(name)
	if err != nil {
		return d.WrapErr(err)
	}
	if h.Headers == nil {
		h.Headers = make(map[string][]string)
	}
	h.Headers[name] = append(h.Headers[name], value)
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Respond)(nil)
