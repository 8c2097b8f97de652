package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"slices"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/keys"
	"github.com/caddysip/caddysip/storage"
)

// GET /sip/keys[?limit=&after=]
func listKeys(a *api, w http.ResponseWriter, r *http.Request) error {
	p, err := readPage(r)
	if err != nil {
		return err
	}
	type user struct {
		AOR  string           `json:"aor"`
		Keys []keys.Effective `json:"keys"`
	}
	list := []user{}
	aors := a.usersWithKeys(p.after, p.limit+1)
	if len(aors) > p.limit {
		aors = aors[:p.limit]
		p.next(w, r, aors[p.limit-1])
	}
	for _, aor := range aors {
		u := user{aor, a.keys.Effective(aor, keys.Phone{})}
		if u.Keys == nil {
			u.Keys = []keys.Effective{} // they have ended meanwhile, or are for other phones
		}
		list = append(list, u)
	}
	return writeJSON(w, http.StatusOK, list)
}

// usersWithKeys returns, sorted, up to limit users after the given one. They are those for whom a
// layer has a record, and those who are registered and have a key by a profile.
func (a *api) usersWithKeys(after string, limit int) []string {
	list := a.keys.AORs(after, limit)
	n := 0
	a.location.Range(after, 0, func(aor string, bindings []*location.Binding) bool {
		if slices.ContainsFunc(bindings, func(b *location.Binding) bool {
			return len(a.keys.Effective(aor, keys.PhoneOf(b.UserAgent()))) > 0
		}) {
			list = append(list, aor)
			n++
		}
		return n < limit
	})
	slices.Sort(list)
	list = slices.Compact(list)
	return list[:min(len(list), limit)]
}

// GET /sip/keys/{aor}
func getKeys(a *api, w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	aor, err := a.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	return a.writeKeys(w, r, http.StatusOK, aor, 0)
}

// PUT /sip/keys/{aor}[?layer=&ttl=&wait=] [{"key": 1, …}, …]
func putKeys(a *api, w http.ResponseWriter, r *http.Request) error {
	o, err := readKeyOptions(r)
	if err != nil {
		return err
	}
	aor, err := a.ownAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	expect, err := a.ifMatch(r, aor)
	if err != nil {
		return err
	}
	var body []json.RawMessage
	if err := readJSON(w, r, &body); err != nil {
		return err
	}
	if body == nil {
		return badRequest("reading the body: it must be an array of keys, and without any it is []")
	}
	changes := []keys.Change{{AOR: aor, Layer: o.layer, Replace: true, Expect: expect}}
	given := make(map[int]bool)
	for i, element := range body {
		c := keys.Change{AOR: aor, Layer: o.layer, TTL: o.ttl}
		err := readKey(element, &c)
		if err == nil && given[c.Record.Key] {
			err = fmt.Errorf("key: %d is there twice", c.Record.Key)
		}
		if err != nil {
			return badRequest("element %d: %w", i, err)
		}
		given[c.Record.Key] = true
		changes = append(changes, c)
	}
	touched := given // and those that the layer had
	for _, k := range a.keys.Layer(aor, o.layer) {
		touched[k.Key] = true
	}
	if err := a.applyKeys(r, changes...); err != nil {
		return err
	}
	a.awaitKeys(w, r, o.wait, aor, touched)
	return a.writeKeys(w, r, http.StatusOK, aor, 0)
}

// readKey reads a record into a change.
func readKey(element json.RawMessage, c *keys.Change) error {
	var b keyBody
	if err := decode(element, &b); err != nil {
		return err
	}
	c.Record, c.Locked = &b.Record, b.Locked
	return c.Record.Validate()
}

// applyKeys makes changes, and says what is wrong with them if they are not possible.
func (a *api) applyKeys(r *http.Request, changes ...keys.Change) error {
	if err := a.keys.Apply(r.Context(), changes); err != nil {
		return keysError(err)
	}
	return nil
}

// keysError gives an error of keys.Store.Apply its status.
func keysError(err error) error {
	var field *keys.FieldError
	switch {
	case errors.Is(err, keys.ErrFull):
		return errorf(http.StatusServiceUnavailable, "%w", err)
	case errors.Is(err, keys.ErrConflict):
		return errorf(http.StatusPreconditionFailed,
			"the keys were changed since the request's If-Match: read them again")
	case errors.As(err, &field):
		return badRequest("%w", field)
	case errors.Is(err, storage.ErrInvalid):
		return errorf(http.StatusRequestEntityTooLarge, "the user has too many keys to be stored")
	}
	return err
}
