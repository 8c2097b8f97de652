package admin

import (
	"net/http"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// GET /sip/keys/{aor}/{key}[?layer=]
func getKey(a *api, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "layer")
	if err != nil {
		return err
	}
	aor, err := a.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	key, err := keys.ParseKey(r.PathValue("key"))
	if err != nil {
		return badRequest("%w", err)
	}
	if !query.Has("layer") {
		if len(a.describeKeys(aor, key).Layers) == 0 {
			return errorf(http.StatusNotFound, "nothing is said about key %d of %s", key, aor)
		}
		return a.writeKeys(w, r, http.StatusOK, aor, key)
	}
	layer, err := keys.ParseLayer(query.Get("layer"))
	if err != nil {
		return badRequest("%w", err)
	}
	stored, err := a.layerKey(aor, layer, key)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", keysETag(r, a.keys.Revision(aor)))
	return writeJSON(w, http.StatusOK, describeStored(stored))
}

// layerKey returns what a layer says about a key.
func (a *api) layerKey(aor string, layer keys.Layer, key int) (keys.Stored, error) {
	for _, k := range a.keys.Layer(aor, layer) {
		if k.Key == key {
			return k, nil
		}
	}
	return keys.Stored{}, errorf(http.StatusNotFound,
		"the %s layer says nothing about key %d of %s", layer, key, aor)
}

// PUT /sip/keys/{aor}/{key}[?layer=&ttl=&wait=] {"light": "on", …}
func putKey(a *api, w http.ResponseWriter, r *http.Request) error {
	k, err := a.readKeyRequest(r)
	if err != nil {
		return err
	}
	body := keyBody{Record: keys.Record{Key: k.key}}
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body.Key != k.key {
		return badRequest("key: it is %d in the body and %d in the address", body.Key, k.key)
	}
	status := http.StatusOK
	if _, err := a.layerKey(k.aor, k.layer, k.key); err != nil {
		status = http.StatusCreated
	}
	err = a.applyKeys(r, keys.Change{
		AOR:    k.aor,
		Layer:  k.layer,
		Record: &body.Record,
		Locked: body.Locked,
		TTL:    k.ttl,
		Expect: k.expect,
	})
	if err != nil {
		return err
	}
	a.awaitKeys(w, r, k.wait, k.aor, map[int]bool{k.key: true})
	return a.writeKeys(w, r, status, k.aor, k.key)
}

// DELETE /sip/keys/{aor}/{key}[?layer=&wait=]
func deleteKey(a *api, w http.ResponseWriter, r *http.Request) error {
	k, err := a.readKeyRequest(r)
	if err != nil {
		return err
	}
	if k.hasTTL {
		return badRequest("ttl: what is deleted has none")
	}
	if _, err := a.layerKey(k.aor, k.layer, k.key); err != nil {
		return err
	}
	c := keys.Change{AOR: k.aor, Layer: k.layer, Key: k.key, Expect: k.expect}
	if err := a.applyKeys(r, c); err != nil {
		return err
	}
	if k.wait == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	a.awaitKeys(w, r, k.wait, k.aor, map[int]bool{k.key: true})
	return a.writeKeys(w, r, http.StatusOK, k.aor, k.key)
}
