package admin

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/caddysip/caddysip/internal/snomkeys/keys"
)

// manyKey is an element of a list of keys for many users.
type manyKey struct {
	AOR string `json:"aor"`
	keyBody
	Layer string `json:"layer"`
	TTL   string `json:"ttl"`
}

// elementError says what is wrong with an element of a list.
type elementError struct {
	Index int    `json:"index"` // from 0
	AOR   string `json:"aor,omitempty"`
	Error string `json:"error"`
}

// maxElementErrors is how many wrong elements an answer lists.
const maxElementErrors = 1000

// POST /sip/keys [{"aor": "101", "key": 1, …}, …]
func postKeys(a *api, w http.ResponseWriter, r *http.Request) error {
	if _, err := readQuery(r); err != nil {
		return err
	}
	if r.Header.Get("If-Match") != "" {
		return badRequest("If-Match: the keys of many users have no ETag")
	}
	var body []json.RawMessage
	if err := readJSONWithin(w, r, maxList, &body); err != nil {
		return err
	}
	if body == nil {
		return badRequest("reading the body: it must be an array of keys")
	}
	changes := make([]keys.Change, 0, len(body))
	var wrong []elementError
	type place struct {
		aor   string
		layer keys.Layer
		key   int
	}
	seen := make(map[place]int) // the index of the element that sets it
	for i, element := range body {
		c, aor, err := a.readManyKey(element)
		if err == nil {
			k := place{c.AOR, c.Layer, c.Record.Key}
			if first, twice := seen[k]; twice {
				err = fmt.Errorf("key: %d of %s is there twice: element %d has it too",
					k.key, k.aor, first)
			} else {
				seen[k] = i
			}
		}
		if err == nil {
			changes = append(changes, c)
			continue
		}
		if len(wrong) == maxElementErrors {
			break
		}
		wrong = append(wrong, elementError{i, aor, err.Error()})
	}
	if len(wrong) > 0 {
		return writeJSON(w, http.StatusBadRequest, struct {
			Error  string         `json:"error"`
			Errors []elementError `json:"errors"`
		}{fmt.Sprintf("nothing is changed: element %d: %s", wrong[0].Index, wrong[0].Error), wrong})
	}
	warnings := a.warnElements(changes)
	// Storages write what is in order much faster.
	slices.SortStableFunc(changes, func(a, b keys.Change) int { return strings.Compare(a.AOR, b.AOR) })
	if err := a.applyKeys(r, changes...); err != nil {
		return err
	}
	return writeJSON(w, http.StatusOK, struct {
		Changed  int              `json:"changed"`
		Warnings []elementWarning `json:"warnings,omitempty"`
	}{len(changes), warnings})
}

// elementWarning says what may be wrong with an element that was taken.
type elementWarning struct {
	Index   int    `json:"index"` // from 0
	AOR     string `json:"aor"`
	Warning string `json:"warning"`
}

// warnElements returns warnings for elements whose user is not known, at most maxElementErrors. It
// is called before the changes are applied: a user who has keys is known.
func (a *api) warnElements(changes []keys.Change) (list []elementWarning) {
	texts := make(map[string]string) // by address-of-record: a user has many keys
	for i := range changes {
		aor := changes[i].AOR
		text, found := texts[aor]
		if !found {
			text = a.warnUnknown(aor)
			texts[aor] = text
		}
		if text != "" && len(list) < maxElementErrors {
			list = append(list, elementWarning{i, aor, text})
		}
	}
	return list
}

// readManyKey reads an element of a list. aor is as it is written there.
func (a *api) readManyKey(element json.RawMessage) (c keys.Change, aor string, err error) {
	var body manyKey
	if err := decode(element, &body); err != nil {
		return c, "", err
	}
	c = keys.Change{Record: &body.Record, Locked: body.Locked}
	if c.AOR, err = a.ownAOR(body.AOR); err != nil {
		return c, body.AOR, err
	}
	if c.Layer, err = parseLayer(body.Layer); err != nil {
		return c, body.AOR, err
	}
	if body.TTL != "" {
		if c.TTL, err = parseTTL(body.TTL); err != nil {
			return c, body.AOR, err
		}
	}
	return c, body.AOR, c.Check()
}
