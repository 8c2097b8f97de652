package logappend

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	log_append [<matcher>] <key> <value>
func (h *LogAppend) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if !d.AllArgs(&h.Key, &h.Value) {
		return d.Err("log_append takes the name of a field and its value, " +
			"as in log_append office berlin")
	}
	if err := h.Validate(); err != nil {
		return d.WrapErr(err)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*LogAppend)(nil)
