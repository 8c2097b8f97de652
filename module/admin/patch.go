package admin

import (
	"errors"
	"maps"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/tidwall/gjson"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// patchTries is how often a change is made anew because somebody else made one at the same time.
const patchTries = 20

// PATCH /sip/keys/{aor}/{key}[?layer=&ttl=&wait=] {"light": "off"}
func patchKey(a *api, w http.ResponseWriter, r *http.Request) error {
	k, err := a.readKeyRequest(r)
	if err != nil {
		return err
	}
	patch, err := readPatch(w, r)
	if err != nil {
		return err
	}
	for try := 1; ; try++ {
		// What is read may be newer than the revision, but not older.
		expect := a.keys.Revision(k.aor)
		if k.expect != "" {
			expect = k.expect
		}
		stored, err := a.layerKey(k.aor, k.layer, k.key)
		if err != nil {
			return err
		}
		c := keys.Change{
			AOR:      k.aor,
			Layer:    k.layer,
			Record:   &stored.Record,
			Locked:   stored.Locked,
			Volatile: stored.Volatile,
			TTL:      k.ttl,
			Expect:   expect,
		}
		if !k.hasTTL && !stored.Expires.IsZero() {
			c.TTL = max(time.Until(stored.Expires), time.Millisecond)
		}
		if err := merge(&c, patch); err != nil {
			return err
		}
		err = a.keys.Apply(r.Context(), []keys.Change{c})
		switch {
		case err == nil:
			a.awaitKeys(w, r, k.wait, k.aor, map[int]bool{k.key: true})
			return a.writeKeys(w, r, http.StatusOK, k.aor, k.key)
		case k.expect != "" || try == patchTries || !errors.Is(err, keys.ErrConflict):
			return keysError(err)
		}
	}
}

// readPatch reads a JSON object.
func readPatch(w http.ResponseWriter, r *http.Request) (gjson.Result, error) {
	body, err := readBody(w, r, maxBody)
	if err != nil {
		return gjson.Result{}, err
	}
	patch := gjson.ParseBytes(body)
	if !gjson.ValidBytes(body) || !patch.IsObject() {
		return patch, badRequest("reading the body: it must be a JSON object")
	}
	return patch, nil
}

// merge changes a record as RFC 7396 has it: what the patch has replaces what is there, and null
// deletes it.
func merge(c *keys.Change, patch gjson.Result) (err error) {
	texts := map[string]*string{
		"light":  &c.Record.Light,
		"color":  &c.Record.Color,
		"label":  &c.Record.Label,
		"number": &c.Record.Number,
		"action": &c.Record.Action,
	}
	patch.ForEach(func(name, value gjson.Result) bool {
		field := name.String()
		text, isText := texts[field]
		null := value.Type == gjson.Null
		switch {
		case isText && (null || value.Type == gjson.String):
			*text = value.String()
		case isText:
			err = badRequest("%s: must be a text, or null", field)
		case field == "locked" && (null || value.IsBool()):
			c.Locked = value.Bool()
		case field == "locked":
			err = badRequest("locked: must be true, false or null")
		case field == "key" &&
			(value.Type != gjson.Number || value.Num != float64(c.Record.Key)):
			err = badRequest("key: it is %s in the body and %d in the address",
				value.Raw, c.Record.Key)
		case field != "key":
			err = badRequest("unknown field %q: there are %s, locked",
				field, strings.Join(slices.Sorted(maps.Keys(texts)), ", "))
		}
		return err == nil
	})
	return err
}
