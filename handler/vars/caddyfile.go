package vars

import "github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	vars [<matcher>] [<name> <value>] {
//		<name> <value>
//		...
//	}
func (v *Vars) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	*v = make(Vars)
	if d.NextArg() {
		if err := v.set(d); err != nil {
			return err
		}
	}
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		if err := v.set(d); err != nil {
			return err
		}
	}
	if len(*v) == 0 {
		return d.Err("vars needs the name of a variable and its value, as in vars office berlin")
	}
	return nil
}

func (v *Vars) set(d *caddyfile.Dispenser) error {
	name := d.Val()
	if err := check(name); err != nil {
		return d.WrapErr(err)
	}
	if _, ok := (*v)[name]; ok {
		return d.Errf("the variable %s is set twice", name)
	}
	if !d.NextArg() {
		return d.Errf("the variable %s needs a value", name)
	}
	(*v)[name] = d.ScalarVal()
	if d.NextArg() {
		return d.Errf("the variable %s takes one value: put one of several words in quotes", name)
	}
	return nil
}

// Interface guard
var _ caddyfile.Unmarshaler = (*Vars)(nil)
