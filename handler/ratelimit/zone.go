package ratelimit

import (
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/ratelimit"
)

// zoneID is what makes two zones one.
type zoneID struct {
	name   string
	key    string
	events int
	window time.Duration
}

// zone is what is known of the sources. It outlives a configuration, if the next one has it too.
type zone struct {
	*ratelimit.Table
	reason string // of the bans
}

// Destruct implements caddy.Destructor.
func (*zone) Destruct() error { return nil }

var zones = caddy.NewUsagePool()

func openZone(id zoneID) *zone {
	z, _, _ := zones.LoadOrNew(id, func() (caddy.Destructor, error) {
		return &zone{
			Table:  ratelimit.New(ratelimit.Limit{Events: id.events, Window: id.window}),
			reason: "rate limit " + id.name,
		}, nil
	})
	return z.(*zone)
}

func closeZone(id zoneID) error {
	_, err := zones.Delete(id)
	return err
}
