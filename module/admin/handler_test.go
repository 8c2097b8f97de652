package admin_test

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/admin"
)

// TestHandler asks the plain handler what Caddy's admin endpoint is asked too: both answer the same.
func TestHandler(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	s.phone(s.UDP(), "101")
	app := s.App()
	h := admin.Handler(func() *module.App { return app })
	for _, tc := range []struct {
		method, path, body string
		status             int
	}{
		{"GET", "/sip/registrations/101", "", 200},
		{"HEAD", "/sip/registrations/101", "", 200},
		{"PUT", "/sip/keys/102/2?ttl=0", `{"label": "Grüße & <more>"}`, 200},
		{"GET", "/sip/keys/102/2", "", 200},
		{"GET", "/sip/keys?limit=1", "", 200},
		{"DELETE", "/sip/keys/102/3", "", 404},
		{"GET", "/sip/keys/102/%00", "", 400},
		{"POST", "/sip/keys", `[{"aor": "<102>", "key": 0}]`, 400},
		{"PUT", "/sip/keys/102/2", `{"lamp": "<on>"}`, 400},
		{"PATCH", "/sip/bans", "", 405},
		{"GET", "/sip/<nothing>", "", 404},
		{"GET", "/sip/openapi.json", "", 200},
		{"GET", "/sip/events?x=1", "", 400},
	} {
		// Both after one request, so that neither creates what the other finds.
		s.exchange(tc.method, tc.path, tc.body)
		want, wantBody := s.exchange(tc.method, tc.path, tc.body)
		got := httptest.NewRecorder()
		h.ServeHTTP(got, httptest.NewRequest(tc.method, tc.path, strings.NewReader(tc.body)))
		body := got.Body.String()
		if tc.method == "HEAD" {
			body = "" // as a server sends it
		}
		if got.Code != want.StatusCode || got.Code != tc.status || body != wantBody {
			t.Errorf("%s %s: %d %s, from Caddy's endpoint %d %s, want %d", tc.method, tc.path,
				got.Code, body, want.StatusCode, wantBody, tc.status)
		}
		for _, name := range []string{"Content-Type", "ETag", "Link", "Allow"} {
			if got, want := got.Header().Get(name), want.Header.Get(name); got != want {
				t.Errorf("%s %s: %s: %s, from Caddy's endpoint %s", tc.method, tc.path, name, got, want)
			}
		}
	}

	without := admin.Handler(func() *module.App { return nil })
	got := httptest.NewRecorder()
	without.ServeHTTP(got, httptest.NewRequest("GET", "/sip/bans", nil))
	if want := `{"error":"the configuration in force has no sip app"}` + "\n"; got.Code != 404 ||
		got.Body.String() != want {
		t.Errorf("without an app: %d %s", got.Code, got.Body)
	}
}

// TestMountedElsewhere serves the API below a path, as a site that has a sign-in does.
func TestMountedElsewhere(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	app := s.App()
	mux := http.NewServeMux()
	mux.Handle("/console/", http.StripPrefix("/console",
		admin.Handler(func() *module.App { return app })))
	server := httptest.NewServer(mux)
	defer server.Close()
	ask := func(method, path, body, ifMatch string, status int) *http.Response {
		t.Helper()
		req, err := http.NewRequestWithContext(t.Context(), method, server.URL+"/console"+path,
			strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if ifMatch != "" {
			req.Header.Set("If-Match", ifMatch)
		}
		res, err := server.Client().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode != status {
			t.Errorf("%s %s: %s, want %d", method, path, res.Status, status)
		}
		return res
	}
	tag := ask("PUT", "/sip/keys/a%2Fb/1", "{}", "", 201).Header.Get("ETag")
	ask("PUT", "/sip/keys/a%2Fb/1", `{"label": "x"}`, tag, 200)
	ask("PUT", "/sip/keys/a%2Fb/1", `{"label": "y"}`, tag, 412)
	s.shows("a%2Fb", `[{"key":1,"label":"x","layer":"admin"}]`)
}
