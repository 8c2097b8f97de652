package admin

import (
	"net/http"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(router{})
}

// router mounts the API on Caddy's admin endpoint.
type router struct{}

// CaddyModule returns the Caddy module information.
func (router) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "admin.api.sip", New: func() caddy.Module { return router{} }}
}

// Routes implements caddy.AdminRouter.
func (router) Routes() []caddy.AdminRoute {
	var routes []caddy.AdminRoute
	for pattern, methods := range resources() {
		serve := methods.serve(active)
		routes = append(routes, caddy.AdminRoute{
			Pattern: pattern,
			Handler: caddy.AdminHandlerFunc(func(w http.ResponseWriter, r *http.Request) error {
				err := serve(w, r)
				if err == nil {
					return nil
				}
				return caddy.APIError{HTTPStatus: statusOf(err), Err: err} // Caddy logs and counts it
			}),
		})
	}
	return routes
}

// active returns the app in force, nil if there is none. The router is made before the
// configuration that it comes with is in force, and stays when that fails, so it keeps no app.
func active() *module.App {
	app, err := caddy.ActiveContext().AppIfConfigured("sip")
	if err != nil {
		return nil
	}
	return app.(*module.App)
}

// Interface guard
var _ caddy.AdminRouter = router{}
