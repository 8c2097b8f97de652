package rewrite

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	rewrite [<matcher>] <uri>
func (h *Rewrite) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if !d.AllArgs(&h.URI) {
		return d.Err("rewrite takes one URI, as in sip:{sip.uri.user}@example.com")
	}
	if err := check(h.URI); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Rewrite)(nil)
