package admin

import (
	"net/http"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// keyBody is a record in a body.
type keyBody struct {
	keys.Record
	Locked bool `json:"locked"`
}

// keyOptions are the parameters of a request that changes keys.
type keyOptions struct {
	layer  keys.Layer
	ttl    time.Duration
	hasTTL bool
	wait   time.Duration
}

// readKeyOptions reads ?layer=, ?ttl= and ?wait=.
func readKeyOptions(r *http.Request) (o keyOptions, err error) {
	query, err := readQuery(r, "layer", "ttl", "wait")
	if err != nil {
		return o, err
	}
	if o.layer, err = parseLayer(query.Get("layer")); err != nil {
		return o, err
	}
	if o.hasTTL = query.Has("ttl"); o.hasTTL {
		if o.ttl, err = parseTTL(query.Get("ttl")); err != nil {
			return o, err
		}
	}
	o.wait, err = parseWait(query.Get("wait"))
	return o, err
}

// keyRequest is a request that changes one key of a user.
type keyRequest struct {
	keyOptions
	aor    string
	key    int
	expect string // the revision that the client has seen; empty: any
}

func (a *api) readKeyRequest(r *http.Request) (k keyRequest, err error) {
	if k.keyOptions, err = readKeyOptions(r); err != nil {
		return k, err
	}
	if k.aor, err = a.ownAOR(r.PathValue("aor")); err != nil {
		return k, err
	}
	if k.key, err = keys.ParseKey(r.PathValue("key")); err != nil {
		return k, badRequest("%w", err)
	}
	k.expect, err = a.ifMatch(r, k.aor)
	return k, err
}

// parseLayer reads a layer that can be written; empty: admin.
func parseLayer(name string) (keys.Layer, error) {
	if name == "" {
		return keys.Admin, nil
	}
	layer, err := keys.ParseLayer(name)
	if err != nil || layer == keys.Profile {
		return 0, badRequest("layer: %q must be admin, user or event", name)
	}
	return layer, nil
}

// maxTTL is the longest ?ttl=.
const maxTTL = 366 * 24 * time.Hour

// parseTTL reads how long a record lasts; 0: for ever.
func parseTTL(text string) (time.Duration, error) {
	d, err := caddy.ParseDuration(text)
	if err != nil || d < 0 || d > maxTTL || d > 0 && d < time.Second {
		return 0, badRequest("ttl: %q is no time such as 30s, 5m or 2d, "+
			"of a second at least and a year at most", text)
	}
	return d, nil
}
