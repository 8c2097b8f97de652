package caddyfile

import (
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
	"github.com/caddysip/caddysip/module"
)

// keepAlive reads which keep-alives a server sends.
//
//	keepalive <interval> [crlf|options]
func (s *serverScope) keepAlive(d *caddyfile.Dispenser) error {
	if s.KeepAlive != nil {
		return d.Err("keepalive is there already: a server has one")
	}
	k := new(module.KeepAlive)
	if !d.NextArg() {
		return d.Err("keepalive needs how often, as in 25s")
	}
	if err := directive.ParseDuration(&k.Interval)(d.Val()); err != nil {
		return d.Errf("keepalive %w", err)
	}
	if d.NextArg() {
		k.Method = d.Val()
	}
	if d.NextArg() {
		return d.Errf("keepalive takes an interval and a method: found '%s' behind them", d.Val())
	}
	if err := k.Validate(); err != nil {
		return d.WrapErr(err)
	}
	s.KeepAlive = k
	return directive.NoBlock(d, "keepalive")
}
