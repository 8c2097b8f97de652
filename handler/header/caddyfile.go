package header

import (
	"slices"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	header [<matcher>] [+|-]<name> [<value>] {
//		[+|-]<name> [<value>]
//		...
//	}
//
// With + a line is added, with - the field is removed, and else it is set.
func (h *Header) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if d.NextArg() {
		if err := h.change(d); err != nil {
			return err
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := h.change(d); err != nil {
			return err
		}
	}
	if h.Delete == nil && h.Set == nil && h.Add == nil {
		return d.Err("header needs the name of a header field, as in header Subject Office")
	}
	return nil
}

func (h *Header) change(d *caddyfile.Dispenser) error {
	name := d.Val()
	op := byte(0)
	if name != "" && (name[0] == '+' || name[0] == '-') {
		op, name = name[0], name[1:]
	}
	name, err := module.CheckField(name)
	if err != nil {
		return d.WrapErr(err)
	}
	values := d.RemainingArgs()
	_, set := h.Set[name]
	switch {
	case op == '-' && len(values) > 0:
		return d.Errf("header -%s removes the field: it takes no value", name)
	case op != '-' && len(values) == 0:
		return d.Errf("header %s needs a value; -%s removes the field", name, name)
	case len(values) > 1:
		return d.Errf("header %s takes one value: put one of several words in quotes", name)
	case op != '+' && (set || slices.Contains(h.Delete, name)):
		return d.Errf("the header field %s is set or removed twice", name)
	case op == '-':
		h.Delete = append(h.Delete, name)
	case op == '+':
		h.Add = with(h.Add, name, values)
	default:
		h.Set = with(h.Set, name, values)
	}
	return nil
}

func with(m map[string][]string, name string, values []string) map[string][]string {
	if m == nil {
		m = make(map[string][]string)
	}
	m[name] = append(m[name], values...)
	return m
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Header)(nil)
