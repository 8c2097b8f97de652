package admin

import (
	"net/http"
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/delivery"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// userKeys is what is known of a user's keys, or of one of them, in the API.
type userKeys struct {
	AOR    string                `json:"aor"`
	Keys   []keys.Effective      `json:"keys"`   // what a phone shows that no profile is for
	Layers map[string][]layerKey `json:"layers"` // what each layer says
	Phones []phoneKeys           `json:"phones"`

	Warnings []string `json:"warnings,omitempty"` // about the user
}

// layerKey is what a layer says about a key.
type layerKey struct {
	keys.Record
	Locked  bool      `json:"locked,omitempty"`
	Expires time.Time `json:"expires,omitzero"`
}

func describeStored(k keys.Stored) layerKey {
	return layerKey{k.Record, k.Locked, utc(k.Expires)}
}

// phoneKeys is what is known of a phone.
type phoneKeys struct {
	delivery.PhoneStatus
	Keys []phoneKey `json:"keys"`
}

// phoneKey is what is known of a phone's key.
type phoneKey struct {
	delivery.KeyStatus
	Record   *keys.Effective `json:"record,omitempty"` // what it shows, where other phones differ
	Warnings []string        `json:"warnings,omitempty"`
}

// describeKeys returns what is known of a user's key, or of all of them when key is 0.
func (a *api) describeKeys(aor string, key int) userKeys {
	u := userKeys{
		AOR:    aor,
		Keys:   []keys.Effective{},
		Layers: make(map[string][]layerKey),
		Phones: []phoneKeys{},
	}
	wanted := func(k int) bool { return key == 0 || key == k }
	for _, k := range a.keys.Effective(aor, keys.Phone{}) {
		if wanted(k.Key) {
			u.Keys = append(u.Keys, k)
		}
	}
	for layer := keys.Profile; layer <= keys.Event; layer++ {
		for _, k := range a.keys.Layer(aor, layer) {
			if wanted(k.Key) {
				u.Layers[layer.String()] = append(u.Layers[layer.String()], describeStored(k))
			}
		}
	}
	if text := a.warnUnknown(aor); text != "" && len(u.Layers) > 0 {
		u.Warnings = append(u.Warnings, text)
	}
	for _, status := range a.delivery.Status(aor) {
		p := phoneKeys{PhoneStatus: status, Keys: []phoneKey{}}
		shown := a.keys.Effective(aor, keys.PhoneOf(status.UserAgent))
		for _, k := range status.Keys {
			if wanted(k.Key) {
				p.Keys = append(p.Keys, u.describePhoneKey(k, shown))
			}
		}
		u.Phones = append(u.Phones, p)
	}
	return u
}

// describePhoneKey describes a key of a phone that is to show the given keys.
func (u *userKeys) describePhoneKey(k delivery.KeyStatus, shown []keys.Effective) phoneKey {
	p := phoneKey{KeyStatus: k}
	p.At = utc(p.At)
	if k.OtherUser != "" {
		p.Warnings = append(p.Warnings, k.OtherUser+" is on the same phone and sets this key too: "+
			"it shows what was set last")
	}
	i := slices.IndexFunc(shown, func(e keys.Effective) bool { return e.Key == k.Key })
	if i < 0 {
		return p
	}
	e := shown[i]
	p.Warnings, e.Warnings = append(p.Warnings, e.Warnings...), nil
	same := func(o keys.Effective) bool { return o.Record == e.Record && o.Layer == e.Layer }
	if !slices.ContainsFunc(u.Keys, same) {
		p.Record = &e
	}
	return p
}

// utc leaves the zero time as it is.
func utc(t time.Time) time.Time {
	if t.IsZero() {
		return t
	}
	return t.UTC()
}

// writeKeys answers with what is known of a user's key, or of all of them when key is 0.
func (a *api) writeKeys(
	w http.ResponseWriter, r *http.Request, status int, aor string, key int,
) error {
	w.Header().Set("ETag", keysETag(r, a.keys.Revision(aor)))
	return writeJSON(w, status, a.describeKeys(aor, key))
}
