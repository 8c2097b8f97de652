package module

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// userKeys is what is known of a user's keys, or of one of them, in the API.
type userKeys struct {
	AOR    string                `json:"aor"`
	Keys   []keys.Effective      `json:"keys"`   // what they should show, on a phone for which no profile of its own is made
	Layers map[string][]layerKey `json:"layers"` // what each layer says
	Phones []phoneKeys           `json:"phones"`
}

// layerKey is what a layer says about a key.
type layerKey struct {
	keys.Record
	Locked  bool      `json:"locked,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

// phoneKeys is what is known of a phone.
type phoneKeys struct {
	delivery.PhoneStatus
	Keys []phoneKey `json:"keys"`
}

// phoneKey is what is known of a phone's key.
type phoneKey struct {
	delivery.KeyStatus
	Record   *keys.Effective `json:"record,omitempty"` // what it should show, where that is something else than on other phones
	Warnings []string        `json:"warnings,omitempty"`
}

// describeKeys tells of a key, or of all when it is 0.
func (a *App) describeKeys(aor string, key int) userKeys {
	store := a.engine.Keys
	u := userKeys{AOR: aor, Keys: []keys.Effective{}, Layers: make(map[string][]layerKey), Phones: []phoneKeys{}}
	wanted := func(k int) bool { return key == 0 || key == k }
	for _, k := range store.Effective(aor, keys.Phone{}) {
		if wanted(k.Key) {
			u.Keys = append(u.Keys, k)
		}
	}
	for layer := keys.Profile; layer <= keys.Event; layer++ {
		for _, k := range store.Layer(aor, layer) {
			if wanted(k.Key) {
				u.Layers[layer.String()] = append(u.Layers[layer.String()], layerKey{k.Record, k.Locked, utc(k.Expires)})
			}
		}
	}
	for _, status := range a.engine.Delivery.Status(aor) {
		p := phoneKeys{PhoneStatus: status, Keys: []phoneKey{}}
		shown := store.Effective(aor, keys.PhoneOf(status.UserAgent))
		for _, k := range status.Keys {
			if !wanted(k.Key) {
				continue
			}
			pk := phoneKey{KeyStatus: k}
			pk.At = utc(pk.At)
			if i := slices.IndexFunc(shown, func(e keys.Effective) bool { return e.Key == k.Key }); i >= 0 {
				pk.Warnings = shown[i].Warnings
				if !slices.ContainsFunc(u.Keys, func(e keys.Effective) bool { return e.Record == shown[i].Record && e.Layer == shown[i].Layer }) {
					pk.Record = &shown[i]
					pk.Record.Warnings = nil
				}
			}
			p.Keys = append(p.Keys, pk)
		}
		u.Phones = append(u.Phones, p)
	}
	return u
}

// utc leaves the zero time as it is.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// writeKeys answers with what is known of a user's keys.
func (a *App) writeKeys(w http.ResponseWriter, r *http.Request, status int, aor string, key int) error {
	w.Header().Set("ETag", keysETag(r, a.engine.Keys.Revision(aor)))
	return writeAdmin(w, status, a.describeKeys(aor, key))
}

// GET /sip/keys[?limit=&after=]
func listKeys(app *App, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r)
	if err != nil {
		return err
	}
	type user struct {
		AOR  string           `json:"aor"`
		Keys []keys.Effective `json:"keys"`
	}
	list := []user{}
	aors := app.engine.Keys.AORs(p.after, p.limit+1)
	if len(aors) > p.limit {
		aors = aors[:p.limit]
		p.next(w, r, aors[p.limit-1])
	}
	for _, aor := range aors {
		u := user{aor, app.engine.Keys.Effective(aor, keys.Phone{})}
		if u.Keys == nil {
			u.Keys = []keys.Effective{} // what there was has ended meanwhile
		}
		list = append(list, u)
	}
	return writeAdmin(w, http.StatusOK, list)
}

// GET /sip/keys/{aor}
func getKeys(app *App, w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	aor, err := app.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	return app.writeKeys(w, r, http.StatusOK, string(aor), 0)
}

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
	return &keys.Record{Key: b.Key, Light: b.Light, Color: b.Color, Label: b.Label, Number: b.Number, Action: b.Action}
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

// parseLayer reads a layer that can be written; empty: admin.
func parseLayer(name string) (keys.Layer, error) {
	if name == "" {
		return keys.Admin, nil
	}
	layer, err := keys.ParseLayer(name)
	if err != nil || layer == keys.Profile {
		return 0, adminError(http.StatusBadRequest, "layer: %q must be admin, user or event", name)
	}
	return layer, nil
}

const (
	maxTTL  = 366 * 24 * time.Hour
	maxWait = time.Minute
)

// parseTTL reads how long a record lasts; 0: for ever.
func parseTTL(text string) (time.Duration, error) {
	d, err := caddy.ParseDuration(text)
	if err != nil || d < 0 || d > maxTTL || d > 0 && d < time.Second {
		return 0, adminError(http.StatusBadRequest, "ttl: %q is no time such as 30s, 5m or 2d, of a second at least and a year at most", text)
	}
	return d, nil
}

func parseWait(text string) (time.Duration, error) {
	if text == "" {
		return 0, nil
	}
	d, err := caddy.ParseDuration(text)
	if err != nil || d <= 0 || d > maxWait {
		return 0, adminError(http.StatusBadRequest, "wait: %q is no time such as 500ms or 2s, of a minute at most", text)
	}
	return d, nil
}

// applyKeys makes changes, and says what is wrong with them if they are not possible.
func (a *App) applyKeys(r *http.Request, changes ...keys.Change) error {
	if err := a.engine.Keys.Apply(r.Context(), changes); err != nil {
		return keysError(err)
	}
	return nil
}

// PUT /sip/keys/{aor}[?layer=&ttl=&wait=] [{"key": 1, …}, …]
func putKeys(app *App, w http.ResponseWriter, r *http.Request) error {
	o, err := readKeyOptions(r)
	if err != nil {
		return err
	}
	aor, err := app.ownAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	expect, err := app.ifMatch(r, aor)
	if err != nil {
		return err
	}
	var body []json.RawMessage
	if err := readAdmin(w, r, &body); err != nil {
		return err
	}
	if body == nil {
		return adminError(http.StatusBadRequest, "reading the body: it must be an array of keys, and without any it is []")
	}
	touched := make(map[int]bool)
	for _, k := range app.engine.Keys.Layer(aor, o.layer) {
		touched[k.Key] = true
	}
	changes := []keys.Change{{AOR: aor, Layer: o.layer, Replace: true, Expect: expect}}
	given := make(map[int]bool)
	for i, element := range body {
		var b keyBody
		if err := decodeAdmin(element, &b); err != nil {
			return inElement(i, err)
		}
		c := keys.Change{AOR: aor, Layer: o.layer, Record: b.record(), Locked: b.Locked, TTL: o.ttl}
		if err := c.Record.Validate(); err != nil {
			return inElement(i, err)
		}
		if given[b.Key] {
			return inElement(i, fmt.Errorf("key: %d is there twice", b.Key))
		}
		given[b.Key], touched[b.Key] = true, true
		changes = append(changes, c)
	}
	if err := app.applyKeys(r, changes...); err != nil {
		return err
	}
	app.awaitKeys(w, r, o.wait, aor, touched)
	return app.writeKeys(w, r, http.StatusOK, aor, 0)
}

// inElement says which element of a list an error is about.
func inElement(i int, err error) error {
	var api caddy.APIError
	if errors.As(err, &api) {
		return adminError(api.HTTPStatus, "element %d: %w", i, api.Err)
	}
	return adminError(http.StatusBadRequest, "element %d: %w", i, err)
}
