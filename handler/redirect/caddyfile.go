package redirect

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	redirect [<matcher>] <uris...>
func (h *Redirect) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	for d.NextArg() {
		if err := check(d.Val()); err != nil {
			return d.WrapErr(err)
		}
		h.To = append(h.To, d.Val())
	}
	if len(h.To) == 0 {
		return d.Err("redirect needs at least one URI, as in sip:bob@example.com")
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Redirect)(nil)
