package register

import (
	"errors"
	"fmt"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	register [<matcher>] {
//		expires      <min> <default> <max> [lift]
//		max_contacts <n> [refuse]
//		path         off|from <ranges...>
//	}
//
// private_ranges stands for all private IPv4 and IPv6 ranges.
// Times are seconds, or durations such as 10m.
func (h *Register) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if err := directive.NoArgs(d); err != nil {
		return err
	}
	return directive.Block(d, "register", directive.Options{
		"expires":      h.unmarshalExpires,
		"max_contacts": h.unmarshalMaxContacts,
		"path":         h.unmarshalPath,
	})
}

func (h *Register) unmarshalExpires(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if h.Lift = len(args) == 4 && args[3] == "lift"; h.Lift {
		args = args[:3]
	}
	if len(args) != 3 {
		return errors.New("takes three times, the shortest, the default and the longest, and maybe " +
			"lift: expires 60 600 7200")
	}
	for i, t := range [...]*caddy.Duration{&h.MinExpires, &h.DefaultExpires, &h.MaxExpires} {
		var err error
		if *t, err = parseSeconds(args[i]); err != nil {
			return fmt.Errorf("takes times of a second or more, not '%s': "+
				"write seconds, as in 600, or a duration, as in 10m", args[i])
		}
	}
	return nil
}

func (h *Register) unmarshalMaxContacts(d *caddyfile.Dispenser) error {
	args := d.RemainingArgs()
	if h.Refuse = len(args) == 2 && args[1] == "refuse"; h.Refuse {
		args = args[:1]
	}
	if len(args) != 1 {
		return errors.New("takes a number above zero, and maybe refuse: max_contacts 10")
	}
	return directive.ParseNumber(&h.MaxContacts)(args[0])
}

func (h *Register) unmarshalPath(d *caddyfile.Dispenser) (err error) {
	args := d.RemainingArgs()
	switch {
	case len(args) == 1 && args[0] == "off":
		h.PathOff = true
	case len(args) > 1 && args[0] == "from":
		if h.PathFrom, err = directive.Prefixes(args[1:]); err != nil {
			return d.Errf("path from: %w", err)
		}
	default:
		return errors.New("is off, or from the addresses or ranges of the edge proxies, as in: " +
			"path from 10.0.0.0/8")
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
