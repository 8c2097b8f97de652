package admin

import (
	"net/http"
	"strconv"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// keyBody is a record in a body, flat: errors name its fields.
type keyBody struct {
	Key    int    `json:"key"`
	Light  string `json:"light"`
	Color  string `json:"color"`
	Label  string `json:"label"`
	Number string `json:"number"`
	Action string `json:"action"`
	Locked bool   `json:"locked"`
}

func (b *keyBody) record() *keys.Record {
	return &keys.Record{
		Key:    b.Key,
		Light:  b.Light,
		Color:  b.Color,
		Label:  b.Label,
		Number: b.Number,
		Action: b.Action,
	}
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
	if k.key, err = parseKey(r.PathValue("key")); err != nil {
		return k, err
	}
	k.expect, err = a.ifMatch(r, k.aor)
	return k, err
}

func parseKey(text string) (int, error) {
	n, err := strconv.Atoi(text)
	if err != nil || n < 1 || n > keys.MaxKey {
		return 0, badRequest("key: must be a number from 1 to %d, not %q", keys.MaxKey, text)
	}
	return n, nil
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
