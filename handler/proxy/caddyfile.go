package proxy

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
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
	return directive.Block(d, "proxy", directive.Options{
		"to":          p.targets,
		"timeout":     directive.Duration(&p.Timeout),
		"no_response": directive.Duration(&p.NoResponse),
		"retries": directive.One(func(text string) error {
			n, err := strconv.Atoi(text)
			if err != nil || n < 0 {
				return fmt.Errorf("takes a number, 0 or more, not '%s'", text)
			}
			p.Retries = &n
			return nil
		}),
		"fork":            directive.Choice(&p.Fork, Parallel, Sequential),
		"record_route":    directive.Switch(&p.RecordRoute),
		"allow_control":   directive.Flag(&p.AllowControl),
		"allow_buttons":   directive.Flag(&p.AllowControl), // its old name
		"allow_private":   directive.Flag(&p.AllowPrivate),
		"assert_identity": directive.Flag(&p.AssertIdentity),
	}, "to")
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
