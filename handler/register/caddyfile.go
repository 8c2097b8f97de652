package register

import (
	"errors"
	"strconv"
	"strings"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/ipset"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	register [<matcher>] {
//		expires <min> <default> <max>
//		max_contacts <n>
//		path         off|from <ranges...>
//	}
//
// private_ranges stands for all private IPv4 and IPv6 ranges.
// Times are seconds, or durations such as 10m.
func (h *Register) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		switch option := d.Val(); option {
		case "expires":
			args := d.RemainingArgs()
			if len(args) != 3 {
				return d.Err("expires takes three times, the shortest, the default and the longest: expires 60 600 7200")
			}
			for i, t := range [...]*caddy.Duration{&h.MinExpires, &h.DefaultExpires, &h.MaxExpires} {
				n, err := parseSeconds(args[i])
				if err != nil {
					return d.Errf("expires: %q is no time of a second or more: write seconds, as in 600, or a duration, as in 10m", args[i])
				}
				*t = n
			}
		case "max_contacts":
			var text string
			if !d.AllArgs(&text) {
				return d.ArgErr()
			}
			n, err := strconv.Atoi(text)
			if err != nil || n < 1 {
				return d.Errf("max_contacts: %q is no positive number", text)
			}
			h.MaxContacts = n
		case "path":
			if err := h.unmarshalPath(d); err != nil {
				return err
			}
		default:
			return d.Errf("unrecognized option %q of register: it has expires, max_contacts and path", option)
		}
	}
	return nil
}

func (h *Register) unmarshalPath(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	switch {
	case h.PathOff || h.PathFrom != nil:
		return d.Err("path is there already")
	case len(args) == 1 && args[0] == "off":
		h.PathOff = true
	case len(args) > 1 && args[0] == "from":
		h.PathFrom = ipset.Expand(args[1:])
		for _, text := range h.PathFrom {
			if strings.Contains(text, "{") {
				continue // it is replaced later
			}
			if _, err := ipset.Parse([]string{text}); err != nil {
				return d.Errf("path from: %w", err)
			}
		}
	default:
		return d.Err("path is off, or from the addresses or ranges of the edge proxies, as in: path from 10.0.0.0/8")
	}
	return nil
}

func parseSeconds(text string) (caddy.Duration, error) {
	d, err := caddy.ParseDuration(text)
	if n, e := strconv.ParseUint(text, 10, 31); e == nil {
		d, err = time.Duration(n)*time.Second, nil
	}
	if err == nil && d < time.Second {
		err = errors.New("a registration lasts one second at least")
	}
	return caddy.Duration(d), err
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Register)(nil)
