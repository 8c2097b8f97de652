package admin

import (
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"strings"

	"github.com/caddysip/caddysip/module"
)

// Handler returns the API as an HTTP handler, with paths that begin with /sip/. It calls app for
// each request: nil means that no SIP app is in force, and is answered 404.
func Handler(app func() *module.App) http.Handler {
	mux := http.NewServeMux()
	for pattern, methods := range resources() {
		serve := methods.serve(app)
		mux.HandleFunc(pattern, func(w http.ResponseWriter, r *http.Request) {
			if err := serve(w, r); err != nil {
				writeError(w, err)
			}
		})
	}
	return mux
}

// methods are what can be done with a resource. GET serves HEAD too.
type methods map[string]func(a *api, w http.ResponseWriter, r *http.Request) error

// resources returns the resources by their patterns, as http.ServeMux has them.
func resources() map[string]methods {
	return map[string]methods{
		"/sip/bans":                {"GET": listBans},
		"/sip/bans/{source...}":    {"GET": getBan, "PUT": putBan, "DELETE": deleteBan},
		"/sip/registrations":       {"GET": listRegistrations},
		"/sip/registrations/{aor}": {"GET": getRegistration, "DELETE": deleteRegistration},
		"/sip/phones":              {"GET": listPhones},
		"/sip/keys":                {"GET": listKeys, "POST": postKeys},
		"/sip/keys/{aor}":          {"GET": getKeys, "PUT": putKeys},
		"/sip/keys/{aor}/push":     {"POST": pushKeys},
		"/sip/keys/{aor}/{key}": {
			"GET": getKey, "PUT": putKey, "PATCH": patchKey, "DELETE": deleteKey,
		},
		"/sip/messages":                {"POST": postMessage},
		"/sip/events":                  {"GET": streamEvents},
		"/sip/backup":                  {"GET": getBackup},
		"/sip/openapi.json":            {"GET": getOpenAPI},
		"/sip/{$}":                     nil,
		"/sip/{resource}":              nil,
		"/sip/{resource}/{element...}": nil,
	}
}

// serve returns what answers requests for the resource. It returns an error instead of writing it:
// a *statusError, or any other, which is to be answered 500.
func (m methods) serve(app func() *module.App) func(http.ResponseWriter, *http.Request) error {
	allowed := strings.Join(slices.Sorted(maps.Keys(m)), ", ")
	return func(w http.ResponseWriter, r *http.Request) error {
		if len(m) == 0 {
			return errorf(http.StatusNotFound, "there is no %s in this API", r.URL.Path)
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		serve, ok := m[method]
		if !ok {
			w.Header().Set("Allow", allowed)
			return errorf(http.StatusMethodNotAllowed, "%s is not possible here, but %s",
				r.Method, allowed)
		}
		inForce := app()
		if inForce == nil {
			return errorf(http.StatusNotFound, "the configuration in force has no sip app")
		}
		return serve(newAPI(inForce), w, r)
	}
}

// statusError is an error that the client is told with a status.
type statusError struct {
	status int
	err    error
}

// errorf makes a *statusError. The text is the client's.
func errorf(status int, format string, args ...any) error {
	return &statusError{status, fmt.Errorf(format, args...)}
}

// badRequest makes a *statusError with the status 400.
func badRequest(format string, args ...any) error {
	return errorf(http.StatusBadRequest, format, args...)
}

func (e *statusError) Error() string { return e.err.Error() }

// statusOf returns the status that an error is answered with.
func statusOf(err error) int {
	var e *statusError
	if errors.As(err, &e) {
		return e.status
	}
	return http.StatusInternalServerError
}

// writeError answers with an error as Caddy's admin API does.
func writeError(w http.ResponseWriter, err error) {
	// The client may be gone: nobody is left to tell.
	_ = writeJSON(w, statusOf(err), struct {
		Error string `json:"error"`
	}{err.Error()})
}

// writeJSON answers with v as JSON.
func writeJSON(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}
