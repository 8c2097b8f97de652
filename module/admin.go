package module

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"

	"github.com/caddyserver/caddy/v2"
)

func init() {
	caddy.RegisterModule(adminAPI{})
}

// adminAPI is the part of Caddy's admin API that begins with /sip/.
type adminAPI struct{}

// CaddyModule returns the Caddy module information.
func (adminAPI) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.sip", New: func() caddy.Module { return adminAPI{} }}
}

// adminHandler serves one method of a resource with the app in force. An error that is no caddy.APIError is answered 500.
type adminHandler func(app *App, w http.ResponseWriter, r *http.Request) error

// adminResources are the resources by their patterns, as http.ServeMux has them, and what they do by method. GET serves HEAD too.
func adminResources() map[string]map[string]adminHandler {
	return map[string]map[string]adminHandler{
		"/sip/bans":                    {"GET": listBans},
		"/sip/bans/{source...}":        {"GET": getBan, "PUT": putBan, "DELETE": deleteBan},
		"/sip/registrations":           {"GET": listRegistrations},
		"/sip/registrations/{aor}":     {"GET": getRegistration, "DELETE": deleteRegistration},
		"/sip/keys":                    {"GET": listKeys, "POST": postKeys},
		"/sip/keys/{aor}":              {"GET": getKeys, "PUT": putKeys},
		"/sip/keys/{aor}/push":         {"POST": pushKeys},
		"/sip/keys/{aor}/{key}":        {"GET": getKey, "PUT": putKey, "PATCH": patchKey, "DELETE": deleteKey},
		"/sip/messages":                {"POST": postMessage},
		"/sip/events":                  {"GET": streamEvents},
		"/sip/backup":                  {"GET": getBackup},
		"/sip/openapi.json":            {"GET": getOpenAPI},
		"/sip/{$}":                     nil,
		"/sip/{resource}":              nil,
		"/sip/{resource}/{element...}": nil,
	}
}

// Routes implements caddy.AdminRouter.
func (adminAPI) Routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	for pattern, methods := range adminResources() {
		routes = append(routes, caddy.AdminRoute{Pattern: pattern, Handler: adminRoute(methods)})
	}
	return routes
}

func adminRoute(methods map[string]adminHandler) caddy.AdminHandler {
	allowed := slices.Sorted(maps.Keys(methods))
	return caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
		if len(methods) == 0 {
			return adminError(http.StatusNotFound, "there is no %s in this API", r.URL.Path)
		}
		method := r.Method
		if method == http.MethodHead {
			method = http.MethodGet
		}
		serve, ok := methods[method]
		if !ok {
			w.Header().Set("Allow", strings.Join(allowed, ", "))
			return adminError(http.StatusMethodNotAllowed, "%s is not possible here, but %s", r.Method, strings.Join(allowed, ", "))
		}
		// The router is made before the configuration that it comes with is in force, and stays when that fails: the app in force is looked up each time.
		app, err := caddy.ActiveContext().AppIfConfigured("sip")
		if err != nil {
			return adminError(http.StatusNotFound, "the configuration in force has no sip app")
		}
		return serve(app.(*App), w, r)
	})
}

// adminError is an error that the client is told with a status.
func adminError(status int, format string, args ...any) error {
	err := fmt.Errorf(format, args...)
	return caddy.APIError{HTTPStatus: status, Err: err}
}

// writeAdmin answers with JSON.
func writeAdmin(w http.ResponseWriter, status int, v any) error {
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	return json.NewEncoder(w).Encode(v)
}

// The largest bodies in bytes: of a list of keys for many users, and of everything else.
const (
	maxAdminList = 16 << 20
	maxAdminBody = 1 << 20
)

// readAdmin reads the body of a request as JSON: one value, with no field that v doesn't have. Without a body v stays as it is.
func readAdmin(w http.ResponseWriter, r *http.Request, v any) error {
	return readAdminWithin(w, r, maxAdminBody, v)
}

func readAdminWithin(w http.ResponseWriter, r *http.Request, limit int64, v any) error {
	body, err := readBody(w, r, limit)
	if err != nil || len(bytes.TrimSpace(body)) == 0 {
		return err
	}
	return decodeAdmin(body, v)
}

// readBody reads a body that has at most limit bytes.
func readBody(w http.ResponseWriter, r *http.Request, limit int64) ([]byte, error) {
	body, err := io.ReadAll(http.MaxBytesReader(w, r.Body, limit))
	var tooLarge *http.MaxBytesError
	switch {
	case errors.As(err, &tooLarge):
		return nil, adminError(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
	case err != nil:
		return nil, adminError(http.StatusBadRequest, "reading the body: %w", err)
	}
	return body, nil
}

// decodeAdmin reads one value, with no field that v doesn't have.
func decodeAdmin(body []byte, v any) error {
	dec := json.NewDecoder(bytes.NewReader(body))
	dec.DisallowUnknownFields()
	err := dec.Decode(v)
	if err == nil {
		if _, err = dec.Token(); err == io.EOF {
			return nil
		}
		err = errors.New("something follows the value")
	}
	var other *json.UnmarshalTypeError
	switch {
	case errors.As(err, &other) && other.Field == "":
		return adminError(http.StatusBadRequest, "reading the body: it must be something else than a JSON %s", other.Value)
	case errors.As(err, &other):
		return adminError(http.StatusBadRequest, "reading the body: %s must be something else than a JSON %s", other.Field, other.Value)
	}
	return adminError(http.StatusBadRequest, "reading the body: %w", err)
}

// Elements that a list has unless the request says how many, and at most.
const (
	defaultPage = 1000
	maxPage     = 10_000
)

// page is which part of a list a request asks for.
type page struct {
	limit int
	after string // the last element of the page before; empty: from the start
	query url.Values
}

// readQuery reads the parameters, and refuses those that are not named and those given twice.
func readQuery(r *http.Request, names ...string) (url.Values, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return nil, adminError(http.StatusBadRequest, "reading the query: %w", err)
	}
	for _, name := range slices.Sorted(maps.Keys(query)) {
		switch {
		case len(names) == 0:
			return nil, adminError(http.StatusBadRequest, "unknown parameter %q: there are none", name)
		case !slices.Contains(names, name):
			return nil, adminError(http.StatusBadRequest, "unknown parameter %q: there are %s", name, strings.Join(names, ", "))
		case len(query[name]) > 1:
			return nil, adminError(http.StatusBadRequest, "the parameter %q is given twice", name)
		}
	}
	return query, nil
}

// readPage reads ?limit= and ?after=, and refuses parameters that are neither these nor named.
func readPage(r *http.Request, others ...string) (page, error) {
	query, err := readQuery(r, append(others, "limit", "after")...)
	if err != nil {
		return page{}, err
	}
	p := page{limit: defaultPage, after: query.Get("after"), query: query}
	if text := query.Get("limit"); query.Has("limit") {
		if p.limit, err = strconv.Atoi(text); err != nil || p.limit < 1 || p.limit > maxPage {
			return page{}, adminError(http.StatusBadRequest, "limit must be a number from 1 to %d, not %q", maxPage, text)
		}
	}
	return p, nil
}

// next tells the client how to get what follows the last element of this page (RFC 8288).
func (p *page) next(w http.ResponseWriter, r *http.Request, last string) {
	p.query.Set("after", last)
	w.Header().Set("Link", "<"+r.URL.Path+"?"+p.query.Encode()+`>; rel="next"`)
}

// Interface guard
var _ caddy.AdminRouter = adminAPI{}
