package caddyfile

import (
	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
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
	if err := directive.NoArgs(d); err != nil {
		return err
	}
	l := new(module.Limits)
	s.Limits = l
	err := directive.Block(d, "limits", directive.Options{
		"datagram":               directive.Size(&l.Datagram),
		"message":                directive.Size(&l.Message),
		"headers":                directive.Number(&l.Headers),
		"message_timeout":        directive.Duration(&l.MessageTimeout),
		"idle_timeout":           durationOrNone(&l.IdleTimeout),
		"connections":            directive.Number(&l.Connections),
		"connections_per_source": directive.Number(&l.ConnectionsPerSource),
		"transactions":           directive.Number(&l.Transactions),
		"registrations":          directive.Number(&l.Registrations),
		"registration_bytes":     directive.Size(&l.RegistrationBytes),
		"memory":                 directive.Size(&l.Memory),
	}.Checked(l.Validate))
	if err == nil && *l == (module.Limits{}) && d.Val() != "}" {
		return d.Err("limits needs a block with one limit a line")
	}
	return err
}

// durationOrNone reads a duration; none is how the default is written out.
func durationOrNone(value *caddy.Duration) directive.Option {
	return directive.One(func(text string) error {
		if text == "none" {
			return nil
		}
		return directive.ParseDuration(value)(text)
	})
}
