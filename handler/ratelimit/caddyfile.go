package ratelimit

import (
	"fmt"
	"strconv"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/internal/directive"
)

// UnmarshalCaddyfile sets up the handler from Caddyfile tokens. Syntax:
//
//	rate_limit [<matcher>] {
//		zone    <name>
//		key     <key>
//		events  <number>
//		window  <duration>
//		ban     <duration>
//		respond <status>
//	}
func (h *RateLimit) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next() // the directive
	if err := directive.NoArgs(d); err != nil {
		return err
	}
	return directive.Block(d, "rate_limit", directive.Options{
		"zone":   directive.Text(&h.Zone),
		"key":    directive.Text(&h.Key),
		"events": directive.Number(&h.Events),
		"window": directive.Duration(&h.Window),
		"ban":    directive.Duration(&h.Ban),
		"respond": directive.One(func(text string) (err error) {
			if h.Respond, err = strconv.Atoi(text); err != nil || h.Respond == 0 {
				return fmt.Errorf("takes a status from 400 to 699, not '%s'", text)
			}
			return checkRespond(h.Respond)
		}),
	})
}

// Interface guard
var _ caddyfile.Unmarshaler = (*RateLimit)(nil)
