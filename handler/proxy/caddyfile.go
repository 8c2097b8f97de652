package proxy

import (
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/suggest"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	proxy [<matcher>] [<uris...>] {
//		to           <uris...>
//		timeout      <duration>
//		retries      <n>
//		fork         parallel|sequential
//		record_route on|off
//		allow_control
//		allow_private
//		assert_identity
//	}
func (p *Proxy) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if err := p.targets(d); err != nil {
		return err
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		option := d.Val()
		if option == "to" {
			if err := p.targets(d); err != nil {
				return err
			}
			continue
		}
		if flag := p.flag(option); flag != nil {
			if d.NextArg() {
				return d.ArgErr()
			}
			*flag = true
			continue
		}
		if !slices.Contains(options, option) {
			return d.Errf("unrecognized option '%s' of proxy: %s", option, suggest.DidYouMean(option, options))
		}
		var value string
		if !d.AllArgs(&value) {
			return d.ArgErr()
		}
		switch option {
		case "timeout":
			t, err := caddy.ParseDuration(value)
			if err != nil || t <= 0 {
				return d.Errf("timeout %q is no duration; write it as 30s or 3m", value)
			}
			p.Timeout = caddy.Duration(t)
		case "retries":
			n, err := strconv.Atoi(value)
			if err != nil || n < 0 {
				return d.Errf("retries %q is no number", value)
			}
			p.Retries = &n
		case "fork":
			if value != Parallel && value != Sequential {
				return d.Errf("fork %q: it is %s or %s", value, Parallel, Sequential)
			}
			p.Fork = value
		case "record_route":
			if value != "on" && value != "off" {
				return d.Errf("record_route %q: it is on or off", value)
			}
			on := value == "on"
			p.RecordRoute = &on
		}
	}
	return nil
}

// options are all that proxy has.
var options = []string{"to", "timeout", "retries", "fork", "record_route", "allow_control", "allow_private", "assert_identity"}

// flag returns what an option without argument sets, nil if it is none.
func (p *Proxy) flag(option string) *bool {
	switch option {
	case "allow_control", "allow_buttons": // the second is the old name
		return &p.AllowControl
	case "allow_private":
		return &p.AllowPrivate
	case "assert_identity":
		return &p.AssertIdentity
	}
	return nil
}

func (p *Proxy) targets(d *caddyfile.Dispenser) error {
	for _, uri := range d.RemainingArgs() {
		if !strings.Contains(uri, "{") {
			if _, err := checkTarget(uri); err != nil {
				return d.WrapErr(err)
			}
		}
		p.To = append(p.To, uri)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Proxy)(nil)
