package module

import (
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

// maxAdminBody is the largest body in bytes, enough for everything but a list of keys.
const maxAdminBody = 64 << 10

// readAdmin reads the body of a request as JSON: one value, with no field that v doesn't have. Without a body v stays as it is.
func readAdmin(w http.ResponseWriter, r *http.Request, v any) error {
	body := json.NewDecoder(http.MaxBytesReader(w, r.Body, maxAdminBody))
	body.DisallowUnknownFields()
	err := body.Decode(v)
	if err == io.EOF {
		return nil
	}
	if err == nil {
		if _, err = body.Token(); err == io.EOF {
			return nil
		}
		if err == nil {
			err = errors.New("something follows the value")
		}
	}
	var tooLarge *http.MaxBytesError
	var other *json.UnmarshalTypeError
	switch {
	case errors.As(err, &tooLarge):
		return adminError(http.StatusRequestEntityTooLarge, "the body is larger than %d bytes", tooLarge.Limit)
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

// readPage reads ?limit= and ?after=, and refuses parameters that are neither these nor named.
func readPage(r *http.Request, others ...string) (page, error) {
	query, err := url.ParseQuery(r.URL.RawQuery)
	if err != nil {
		return page{}, adminError(http.StatusBadRequest, "reading the query: %w", err)
	}
	for name, values := range query {
		if name != "limit" && name != "after" && !slices.Contains(others, name) {
			return page{}, adminError(http.StatusBadRequest, "unknown parameter %q: there are %s", name, strings.Join(append(others, "limit", "after"), ", "))
		}
		if len(values) > 1 {
			return page{}, adminError(http.StatusBadRequest, "the parameter %q is given twice", name)
		}
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
