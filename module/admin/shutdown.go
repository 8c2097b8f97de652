package admin

import (
	"context"
	"net/http"
	"sync"
)

// shutdowns are what to call when an HTTP server ends, for requests that last: Caddy makes a new
// server with each configuration, and the old one waits until its requests have ended.
var shutdowns = struct {
	sync.Mutex
	servers map[*http.Server]map[*context.CancelFunc]struct{}
}{servers: make(map[*http.Server]map[*context.CancelFunc]struct{})}

// onShutdown has f called when the server of a request ends, unless forget is called before.
func onShutdown(r *http.Request, f context.CancelFunc) (forget func()) {
	server, ok := r.Context().Value(http.ServerContextKey).(*http.Server)
	if !ok {
		return func() {}
	}
	shutdowns.Lock()
	defer shutdowns.Unlock()
	requests := shutdowns.servers[server]
	if requests == nil {
		requests = make(map[*context.CancelFunc]struct{})
		shutdowns.servers[server] = requests
		server.RegisterOnShutdown(func() { shutDown(server) })
	}
	requests[&f] = struct{}{}
	return func() {
		shutdowns.Lock()
		defer shutdowns.Unlock()
		delete(requests, &f)
	}
}

func shutDown(server *http.Server) {
	shutdowns.Lock()
	defer shutdowns.Unlock()
	for f := range shutdowns.servers[server] {
		(*f)()
	}
	delete(shutdowns.servers, server)
}
