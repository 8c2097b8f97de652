package snomlrc

import (
	"errors"
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
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
	if err := directive.NoArgs(d); err != nil {
		return err
	}
	return directive.Block(d, "snom_lrc", directive.Options{
		"user_agent": directive.List(&h.UserAgents),
		"key":        line(&h.Key),
		"press":      line(&h.Press),
		"action":     directive.Choice(&h.Action, buttons.Actions()...),
		"label":      line(&h.Label),
		"respond":    h.unmarshalRespond,
		"from":       line(&h.From),
		"light":      h.unmarshalLight,
	}, "user_agent", "light")
}

func line(value *string) directive.Option {
	return directive.One(func(text string) error {
		if strings.ContainsAny(text, "\r\n\t") {
			return errors.New("must be one line without tabs: the phone's format has no way to write them")
		}
		*value = text
		return nil
	})
}

func (h *SnomLRC) unmarshalRespond(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 1 || len(args) > 2 {
		return errors.New("takes a status and perhaps a reason, in quotes if there are spaces in it")
	}
	status, err := strconv.Atoi(args[0])
	if err != nil || status < 300 || status > 699 {
		return fmt.Errorf("is '%s', but the caller must get a status of 300 to 699", args[0])
	}
	h.Status, h.Reason = status, strings.Join(args[1:], "")
	return nil
}

func (h *SnomLRC) unmarshalLight(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if len(args) < 2 || len(args) > 3 {
		return errors.New("takes a number, a light, and perhaps a colour: light 433 hold green")
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
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*SnomLRC)(nil)
