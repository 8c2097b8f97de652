package module

import (
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/storage"
)

// keyRequest is a request about one key of a user.
type keyRequest struct {
	keyOptions
	aor    string
	key    int
	expect string // the revision that the client has seen; empty: any
}

func (a *App) readKeyRequest(r *http.Request) (k keyRequest, err error) {
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
		return 0, adminError(http.StatusBadRequest, "key: must be a number from 1 to %d, not %q", keys.MaxKey, text)
	}
	return n, nil
}

// GET /sip/keys/{aor}/{key}[?layer=]
func getKey(app *App, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "layer")
	if err != nil {
		return err
	}
	user, err := app.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	aor := string(user)
	key, err := parseKey(r.PathValue("key"))
	if err != nil {
		return err
	}
	if !query.Has("layer") {
		if len(app.describeKeys(aor, key).Layers) == 0 {
			return adminError(http.StatusNotFound, "nothing is said about key %d of %s", key, aor)
		}
		return app.writeKeys(w, r, http.StatusOK, aor, key)
	}
	layer, err := keys.ParseLayer(query.Get("layer"))
	if err != nil {
		return adminError(http.StatusBadRequest, "%w", err)
	}
	stored, err := app.layerKey(aor, layer, key)
	if err != nil {
		return err
	}
	w.Header().Set("ETag", keysETag(r, app.engine.Keys.Revision(aor)))
	return writeAdmin(w, http.StatusOK, layerKey{stored.Record, stored.Locked, utc(stored.Expires)})
}

// layerKey returns what a layer says about a key.
func (a *App) layerKey(aor string, layer keys.Layer, key int) (keys.Stored, error) {
	for _, k := range a.engine.Keys.Layer(aor, layer) {
		if k.Key == key {
			return k, nil
		}
	}
	return keys.Stored{}, adminError(http.StatusNotFound, "the %s layer says nothing about key %d of %s", layer, key, aor)
}

// PUT /sip/keys/{aor}/{key}[?layer=&ttl=&wait=] {"light": "on", …}
func putKey(app *App, w http.ResponseWriter, r *http.Request) error {
	k, err := app.readKeyRequest(r)
	if err != nil {
		return err
	}
	body := keyBody{Key: k.key}
	if err := readAdmin(w, r, &body); err != nil {
		return err
	}
	if body.Key != k.key {
		return adminError(http.StatusBadRequest, "key: it is %d in the body and %d in the address", body.Key, k.key)
	}
	status := http.StatusOK
	if _, err := app.layerKey(k.aor, k.layer, k.key); err != nil {
		status = http.StatusCreated
	}
	c := keys.Change{AOR: k.aor, Layer: k.layer, Record: body.record(), Locked: body.Locked, TTL: k.ttl, Expect: k.expect}
	if err := app.applyKeys(r, c); err != nil {
		return err
	}
	app.awaitKeys(w, r, k.wait, k.aor, map[int]bool{k.key: true})
	return app.writeKeys(w, r, status, k.aor, k.key)
}

// DELETE /sip/keys/{aor}/{key}[?layer=&wait=]
func deleteKey(app *App, w http.ResponseWriter, r *http.Request) error {
	k, err := app.readKeyRequest(r)
	if err != nil {
		return err
	}
	if k.hasTTL {
		return adminError(http.StatusBadRequest, "ttl: what is deleted has none")
	}
	if _, err := app.layerKey(k.aor, k.layer, k.key); err != nil {
		return err
	}
	if err := app.applyKeys(r, keys.Change{AOR: k.aor, Layer: k.layer, Key: k.key, Expect: k.expect}); err != nil {
		return err
	}
	if k.wait == 0 {
		w.WriteHeader(http.StatusNoContent)
		return nil
	}
	app.awaitKeys(w, r, k.wait, k.aor, map[int]bool{k.key: true})
	return app.writeKeys(w, r, http.StatusOK, k.aor, k.key)
}

// patchTries is how often a change is made anew because somebody else made one at the same time.
const patchTries = 20

// PATCH /sip/keys/{aor}/{key}[?layer=&ttl=&wait=] {"light": "off"}
func patchKey(app *App, w http.ResponseWriter, r *http.Request) error {
	k, err := app.readKeyRequest(r)
	if err != nil {
		return err
	}
	patch, err := readPatch(w, r)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		// What is read may be newer than the revision, but not older.
		expect := app.engine.Keys.Revision(k.aor)
		if k.expect != "" {
			expect = k.expect
		}
		stored, err := app.layerKey(k.aor, k.layer, k.key)
		if err != nil {
			return err
		}
		c := keys.Change{AOR: k.aor, Layer: k.layer, Record: &stored.Record, Locked: stored.Locked, Volatile: stored.Volatile, TTL: k.ttl, Expect: expect}
		if !k.hasTTL && !stored.Expires.IsZero() {
			c.TTL = max(time.Until(stored.Expires), time.Millisecond)
		}
		if err := merge(&c, patch); err != nil {
			return err
		}
		err = app.engine.Keys.Apply(r.Context(), []keys.Change{c})
		switch {
		case err == nil:
			app.awaitKeys(w, r, k.wait, k.aor, map[int]bool{k.key: true})
			return app.writeKeys(w, r, http.StatusOK, k.aor, k.key)
		case k.expect != "" || try == patchTries || !errors.Is(err, keys.ErrConflict):
			return keysError(err)
		}
	}
}

// readPatch reads a JSON object.
func readPatch(w http.ResponseWriter, r *http.Request) (gjson.Result, error) {
	body, err := readBody(w, r, maxAdminBody)
	if err != nil {
		return gjson.Result{}, err
	}
	patch := gjson.ParseBytes(body)
	if !gjson.ValidBytes(body) || !patch.IsObject() {
		return patch, adminError(http.StatusBadRequest, "reading the body: it must be a JSON object")
	}
	return patch, nil
}

// merge changes a record as RFC 7396 says: what the patch has replaces what is there, and null deletes it.
func merge(c *keys.Change, patch gjson.Result) (err error) {
	texts := map[string]*string{
		"light": &c.Record.Light, "color": &c.Record.Color, "label": &c.Record.Label, "number": &c.Record.Number, "action": &c.Record.Action,
	}
	patch.ForEach(func(name, value gjson.Result) bool {
		field := name.String()
		text, isText := texts[field]
		null := value.Type == gjson.Null
		switch {
		case isText && (null || value.Type == gjson.String):
			*text = value.String()
		case isText:
			err = adminError(http.StatusBadRequest, "%s: must be a text, or null", field)
		case field == "locked" && (null || value.IsBool()):
			c.Locked = value.Bool()
		case field == "locked":
			err = adminError(http.StatusBadRequest, "locked: must be true, false or null")
		case field == "key" && (value.Type != gjson.Number || value.Num != float64(c.Record.Key)):
			err = adminError(http.StatusBadRequest, "key: it is %s in the body and %d in the address", value.Raw, c.Record.Key)
		case field != "key":
			err = adminError(http.StatusBadRequest, "unknown field %q: there are %s, locked", field, strings.Join(slices.Sorted(maps.Keys(texts)), ", "))
		}
		return err == nil
	})
	return err
}

// POST /sip/keys/{aor}/push[?wait=]
func pushKeys(app *App, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "wait")
	if err != nil {
		return err
	}
	wait, err := parseWait(query.Get("wait"))
	if err != nil {
		return err
	}
	aor, err := app.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	if !app.engine.Location.Registered(aor) {
		return notRegistered(aor)
	}
	app.engine.Delivery.Push(string(aor))
	touched := make(map[int]bool)
	for _, p := range app.engine.Delivery.Status(string(aor)) {
		for _, k := range p.Keys {
			touched[k.Key] = true
		}
	}
	app.awaitKeys(w, r, wait, string(aor), touched)
	return app.writeKeys(w, r, http.StatusOK, string(aor), 0)
}

// awaitKeys waits until the user's phones have answered for the keys, and no longer than asked for.
func (a *App) awaitKeys(w http.ResponseWriter, r *http.Request, wait time.Duration, aor string, touched map[int]bool) {
	if wait == 0 {
		return
	}
	patient(w)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	for key := range touched {
		a.engine.Delivery.Wait(ctx, aor, key)
	}
}

// patient has the server wait for a handler that takes longer than the client had to ask.
func patient(w http.ResponseWriter) {
	_ = http.NewResponseController(w).SetReadDeadline(time.Time{}) // what doesn't know deadlines has none
}

// keysError says what is wrong with a change.
func keysError(err error) error {
	var field *keys.FieldError
	switch {
	case errors.Is(err, keys.ErrFull):
		return adminError(http.StatusServiceUnavailable, "%w", err)
	case errors.Is(err, keys.ErrConflict):
		return adminError(http.StatusPreconditionFailed, "the keys were changed since the request's If-Match: read them again")
	case errors.As(err, &field):
		return adminError(http.StatusBadRequest, "%w", field)
	case errors.Is(err, storage.ErrInvalid):
		return adminError(http.StatusRequestEntityTooLarge, "the user has too many keys to be stored")
	}
	return err
}

// keysETag is written as Caddy's config API writes its own: the path and what identifies the content.
func keysETag(r *http.Request, revision string) string {
	return `"` + r.URL.EscapedPath() + " " + revision + `"`
}

// ifMatch returns the revision that the keys of a user must have for the request to be served, empty: any.
func (a *App) ifMatch(r *http.Request, aor string) (string, error) {
	header := r.Header.Values("If-Match")
	if len(header) == 0 {
		return "", nil
	}
	malformed := adminError(http.StatusBadRequest, `If-Match: %q is not as the ETag of the keys: "<path> <hash>", in quotes`, strings.Join(header, ", "))
	tag, quoted := strings.CutPrefix(header[0], `"`)
	tag, closed := strings.CutSuffix(tag, `"`)
	path, revision, found := strings.Cut(tag, " ")
	if len(header) > 1 || !quoted || !closed || !found || revision == "" || strings.ContainsAny(revision, `" `) {
		return "", malformed
	}
	rest, found := strings.CutPrefix(path, "/sip/keys/")
	user, _, _ := strings.Cut(rest, "/")
	user, err := url.PathUnescape(user)
	if !found || err != nil {
		return "", malformed
	}
	if other, err := a.parseAOR(user); err != nil || string(other) != aor {
		return "", adminError(http.StatusPreconditionFailed, "If-Match: it is the ETag of another user's keys")
	}
	return revision, nil
}
