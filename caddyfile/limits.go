package caddyfile

import (
	"fmt"
	"maps"
	"math"
	"slices"
	"strconv"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	"github.com/dustin/go-humanize"

	"github.com/caddysip/caddysip/internal/suggest"
	"github.com/caddysip/caddysip/module"
)

// limits reads what others can make a server do and hold.
//
//	limits {
//		datagram               <size>
//		message                <size>
//		headers                <number>
//		message_timeout        <duration>
//		idle_timeout           <duration>|none
//		connections            <number>
//		connections_per_source <number>
//		transactions           <number>
//		registrations          <number>
//		registration_bytes     <size>
//		memory                 <size>
//	}
func (s *serverScope) limits(d *caddyfile.Dispenser) error {
	if s.Limits != nil {
		return d.Err("limits is there already: a server has one such block")
	}
	if d.NextArg() {
		return d.Errf("limits has no arguments, only a block: found '%s'", d.Val())
	}
	s.Limits = new(module.Limits)
	seen := make(map[string]bool)
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		name := d.Val()
		set, ok := limits[name]
		switch {
		case !ok:
			return d.Errf("unrecognized limit '%s': %s", name, suggest.DidYouMean(name, slices.Sorted(maps.Keys(limits))))
		case seen[name]:
			return d.Errf("the limit %s is there already", name)
		case !d.NextArg():
			return d.Errf("the limit %s needs a value", name)
		}
		seen[name] = true
		if err := set(s.Limits, d.Val()); err != nil {
			return d.Errf("the limit %s: %w", name, err)
		}
		if d.NextArg() {
			return d.Errf("the limit %s takes one value: found '%s' behind it", name, d.Val())
		}
		if err := noBlock(d, "the limit "+name); err != nil {
			return err
		}
		if err := s.Limits.Validate(); err != nil {
			return d.WrapErr(err)
		}
	}
	if len(seen) == 0 {
		return d.Err("limits needs a block with one limit a line")
	}
	return nil
}

var limits = map[string]func(l *module.Limits, value string) error{
	"datagram":               func(l *module.Limits, value string) error { return parseSize(&l.Datagram, value) },
	"message":                func(l *module.Limits, value string) error { return parseSize(&l.Message, value) },
	"headers":                func(l *module.Limits, value string) error { return parseNumber(&l.Headers, value) },
	"message_timeout":        func(l *module.Limits, value string) error { return parseDuration(&l.MessageTimeout, value) },
	"idle_timeout":           func(l *module.Limits, value string) error { return parseIdle(&l.IdleTimeout, value) },
	"connections":            func(l *module.Limits, value string) error { return parseNumber(&l.Connections, value) },
	"connections_per_source": func(l *module.Limits, value string) error { return parseNumber(&l.ConnectionsPerSource, value) },
	"transactions":           func(l *module.Limits, value string) error { return parseNumber(&l.Transactions, value) },
	"registrations":          func(l *module.Limits, value string) error { return parseNumber(&l.Registrations, value) },
	"registration_bytes":     func(l *module.Limits, value string) error { return parseSize(&l.RegistrationBytes, value) },
	"memory":                 func(l *module.Limits, value string) error { return parseSize(&l.Memory, value) },
}

func parseSize[T int | int64](size *T, value string) error {
	n, err := humanize.ParseBytes(value)
	if err != nil || n == 0 || n > math.MaxInt64>>1 {
		return fmt.Errorf("'%s' is no size, write it as in 64KiB", value)
	}
	*size = T(n)
	return nil
}

func parseNumber(number *int, value string) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < 1 {
		return fmt.Errorf("'%s' is no number above zero", value)
	}
	*number = n
	return nil
}

func parseDuration(duration *caddy.Duration, value string) error {
	t, err := caddy.ParseDuration(value)
	if err != nil || t <= 0 {
		return fmt.Errorf("'%s' is no duration above zero, write it as in 30s", value)
	}
	*duration = caddy.Duration(t)
	return nil
}

func parseIdle(duration *caddy.Duration, value string) error {
	if value == "none" {
		return nil
	}
	return parseDuration(duration, value)
}
