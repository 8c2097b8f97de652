package ratelimit

import (
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	rate_limit [<matcher>] {
//		zone    <name>
//		key     <key>
//		events  <number>
//		window  <duration>
//		ban     <duration>
//		respond <status>
//	}
func (h *RateLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		return d.Errf("rate_limit takes no '%s' here: its options stand in a block", d.Val())
	}
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if seen[option] {
			return d.Errf("%s of rate_limit is given twice", option)
		}
		seen[option] = true
		var value string
		switch option {
		case "zone", "key", "events", "window", "ban", "respond":
			if !d.AllArgs(&value) || value == "" {
				return d.Errf("%s of rate_limit takes one value", option)
			}
		default:
			return d.Errf("unrecognized option '%s' of rate_limit: it has zone, key, events, window, ban and respond", option)
		}
		if err := h.set(d, option, value); err != nil {
			return err
		}
	}
	return nil
}

func (h *RateLimit) set(d *caddyfile.Dispenser, option, value string) (err error) {
	switch option {
	case "zone":
		h.Zone = value
	case "key":
		h.Key = value
	case "events":
		if h.Events, err = strconv.Atoi(value); err != nil || h.Events < 1 {
			return d.Errf("events of rate_limit takes a number of requests, not '%s'", value)
		}
	case "window":
		h.Window, err = duration(d, option, value)
	case "ban":
		h.Ban, err = duration(d, option, value)
	case "respond":
		if h.Respond, err = strconv.Atoi(value); err != nil || h.Respond == 0 {
			return d.Errf("respond of rate_limit takes a status, not '%s'", value)
		}
		if err := checkRespond(h.Respond); err != nil {
			return d.WrapErr(err)
		}
	}
	return err
}

func duration(d *caddyfile.Dispenser, option, value string) (caddy.Duration, error) {
	t, err := caddy.ParseDuration(value)
	if err != nil || t <= 0 {
		return 0, d.Errf("%s of rate_limit takes a time such as 10s or 5m, not '%s'", option, value)
	}
	return caddy.Duration(t), nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*RateLimit)(nil)
