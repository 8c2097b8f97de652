package snomlrc

import (
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	snom_lrc [<matcher>] {
//		user_agent <globs...>
//		key        <key>
//		press      <number>
//		action     invite|message
//		label      <text>
//		respond    <status> [<reason>]
//		from       <uri>
//		light      <number> <light> [<color>]
//	}
//
// The light lines, if there are any, replace the whole default table.
func (h *SnomLRC) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		return d.ArgErr()
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := h.option(d); err != nil {
			return err
		}
	}
	return nil
}

func (h *SnomLRC) option(d *caddyfile.Dispenser) error {
	text := map[string]*string{"key": &h.Key, "press": &h.Press, "action": &h.Action, "label": &h.Label, "from": &h.From}
	option := d.Val()
	if value, ok := text[option]; ok {
		if !d.AllArgs(value) {
			return d.ArgErr()
		}
		if option == "action" && !buttons.ValidAction(h.Action) {
			return d.Errf("action %q is unknown; it is one of %s", h.Action, strings.Join(buttons.Actions(), " "))
		}
		if strings.ContainsAny(*value, "\r\n\t") {
			return d.Errf("%s must be one line without tabs: the phone's format has no way to write them", option)
		}
		return nil
	}
	args := d.RemainingArgs()
	switch option {
	case "user_agent":
		if len(args) == 0 {
			return d.ArgErr()
		}
		h.UserAgents = append(h.UserAgents, args...)
	case "respond":
		if len(args) < 1 || len(args) > 2 {
			return d.ArgErr()
		}
		status, err := strconv.Atoi(args[0])
		if err != nil || status < 300 || status > 699 {
			return d.Errf("respond %q: the caller must get a status of 300 to 699", args[0])
		}
		h.Status, h.Reason = status, strings.Join(args[1:], "")
	case "light":
		if len(args) < 2 || len(args) > 3 {
			return d.Errf("light takes a number, a light, and perhaps a colour: light 433 hold green")
		}
		l := Light{Number: args[0], Light: args[1]}
		if !buttons.ValidLight(l.Light) {
			return d.Errf("light %q is unknown; it is one of %s", l.Light, strings.Join(buttons.Lights(), " "))
		}
		if len(args) == 3 {
			if l.Color = args[2]; !buttons.ValidColor(l.Color) {
				return d.Errf("colour %q is unknown; it is one of %s", l.Color, strings.Join(buttons.Colors(), " "))
			}
		}
		for _, other := range h.Lights {
			if other.Number == l.Number {
				return d.Errf("light %s is given twice", l.Number)
			}
		}
		h.Lights = append(h.Lights, l)
	default:
		return d.Errf("unrecognized option %q of snom_lrc: it has user_agent, key, press, action, label, respond, from and light", option)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*SnomLRC)(nil)
