package admin

import (
	"context"
	"net/http"
	"time"
)

// POST /sip/keys/{aor}/push[?wait=]
func pushKeys(a *api, w http.ResponseWriter, r *http.Request) error {
	query, err := readQuery(r, "wait")
	if err != nil {
		return err
	}
	wait, err := parseWait(query.Get("wait"))
	if err != nil {
		return err
	}
	aor, err := a.parseAOR(r.PathValue("aor"))
	if err != nil {
		return err
	}
	if !a.app.Registered([]byte(aor)) {
		return notRegistered(aor)
	}
	a.delivery.Push(aor)
	touched := make(map[int]bool)
	for _, p := range a.delivery.Status(aor) {
		for _, k := range p.Keys {
			touched[k.Key] = true
		}
	}
	a.awaitKeys(w, r, wait, aor, touched)
	return a.writeKeys(w, r, http.StatusOK, aor, 0)
}

// awaitKeys waits until the user's phones have answered for the keys, for at most wait.
func (a *api) awaitKeys(
	w http.ResponseWriter, r *http.Request, wait time.Duration, aor string, touched map[int]bool,
) {
	if wait == 0 {
		return
	}
	allowWait(w)
	ctx, cancel := context.WithTimeout(r.Context(), wait)
	defer cancel()
	for key := range touched {
		a.delivery.Wait(ctx, aor, key)
	}
}
