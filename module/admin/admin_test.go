package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/respond"
	"github.com/caddysip/caddysip/internal/inside"
)

// server is a server whose admin API can be reached.
type server struct {
	*handlertest.Server
	t   *testing.T
	api netip.AddrPort
}

func startAdmin(t *testing.T, directives string) *server {
	t.Helper()
	a := &server{t: t, api: handlertest.FreeAddr(t)}
	addr := handlertest.FreeAddr(t)
	a.Server = handlertest.StartCaddyfile(t, addr, a.caddyfile(addr, directives))
	t.Cleanup(func() { http.DefaultClient.CloseIdleConnections() })
	return a
}

func (a *server) caddyfile(addr netip.AddrPort, directives string) string {
	return fmt.Sprintf("{\n\tadmin %s\n\tsip {\n\t\tdomain example.com\n\t\t%s {\n%s\n\t\t}\n\t}\n}\n", a.api, addr, directives)
}

// exchange sends a request to the API and returns the answer and its body.
func (a *server) exchange(method, path, body string) (*http.Response, string) {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.api.String()+path,
		strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	text, err := io.ReadAll(res.Body)
	if err != nil {
		a.t.Fatal(err)
	}
	return res, string(text)
}

// do sends a request to the API and returns the answer, whose status must be the one given, and its
// body.
func (a *server) do(method, path, body string, status int) (*http.Response, string) {
	a.t.Helper()
	res, text := a.exchange(method, path, body)
	if res.StatusCode != status {
		a.t.Errorf("%s %s %s: %s %s, want %d", method, path, body, res.Status, text, status)
	}
	typ := res.Header.Get("Content-Type")
	if status != http.StatusNoContent && !strings.HasPrefix(typ, "application/json") {
		a.t.Errorf("%s %s: Content-Type %s", method, path, typ)
	}
	conforms(a.t, method, path, body, res, text)
	return res, text
}

// get reads what a path has into v.
func (a *server) get(path string, v any) *http.Response {
	a.t.Helper()
	res, text := a.do("GET", path, "", 200)
	if err := json.Unmarshal([]byte(text), v); err != nil {
		a.t.Fatalf("GET %s: %v in %s", path, err, text)
	}
	return res
}

// refused sends a request that must be answered with a status and an error that has a text in it.
func (a *server) refused(method, path, body string, status int, want string) *http.Response {
	a.t.Helper()
	res, text := a.do(method, path, body, status)
	var answer struct{ Error string }
	if err := json.Unmarshal([]byte(text), &answer); err != nil || !strings.Contains(answer.Error, want) {
		a.t.Errorf("%s %s %s: %q, %v, want the error %q", method, path, body, text, err, want)
	}
	return res
}

type banned struct {
	Source, Reason string
	Since, Until   time.Time
}

func sources(list []banned) (s []string) {
	for _, b := range list {
		s = append(s, b.Source)
	}
	return s
}

func TestAdminBans(t *testing.T) {
	s := startAdmin(t, "respond 404")
	if _, text := s.do("GET", "/sip/bans", "", 200); text != "[]\n" {
		t.Errorf("no bans are %q", text)
	}
	p := s.UDP()
	p.Nothing() // it gets answers
	before := s.Metric("caddy_sip_dropped_total", "reason=banned")

	start := time.Now()
	_, text := s.do("PUT", "/sip/bans/127.0.0.1", `{"for": "5m", "reason": "he is <loud>"}`, 201)
	var b banned
	if err := json.Unmarshal([]byte(text), &b); err != nil {
		t.Fatal(err)
	}
	if b.Source != "127.0.0.1" || b.Reason != "he is <loud>" || b.Since.Before(start.Add(-time.Minute)) || b.Until.Sub(b.Since) != 5*time.Minute {
		t.Errorf("PUT answers %s", text)
	}
	var got banned
	if s.get("/sip/bans/127.0.0.1", &got); got != b {
		t.Errorf("GET tells %+v, PUT %+v", got, b)
	}
	p.SendRaw([]byte("this is no SIP, but long enough"))
	s.Await(before+1, "caddy_sip_dropped_total", "reason=banned")
	// What PUT says replaces what was.
	s.do("PUT", "/sip/bans/127.0.0.1", "", 200)
	got = banned{}
	if s.get("/sip/bans/127.0.0.1", &got); got.Until.Sub(start) < 59*time.Minute || got.Until.Sub(start) > 61*time.Minute || got.Reason != "" || !got.Since.Equal(b.Since) {
		t.Errorf("without a time it is %+v, want an hour", got)
	}
	// The configuration that comes next has the same bans.
	s.Load(s.caddyfile(s.Addr, "respond 200"))
	s.get("/sip/bans/127.0.0.1", &got)
	s.do("DELETE", "/sip/bans/127.0.0.1", "", 204)
	p.Nothing() // and he gets them again
	s.refused("DELETE", "/sip/bans/127.0.0.1", "", 404, "127.0.0.1 is not banned")
	s.refused("GET", "/sip/bans/127.0.0.1", "", 404, "127.0.0.1 is not banned")
}

func TestAdminBanSources(t *testing.T) {
	s := startAdmin(t, "respond 404")
	for path, source := range map[string]string{
		"192.0.2.1":              "192.0.2.1",
		"::ffff:192.0.2.2":       "192.0.2.2",
		"198.51.100.77/24":       "198.51.100.0/24",
		"198.51.101.0%2F25":      "198.51.101.0/25",
		"2001:db8::1":            "2001:db8::/64",
		"2001:db8:1::1/128":      "2001:db8:1::1/128",
		"203.0.113.5/32":         "203.0.113.5",
		"%5B2001%3Adb8%3A%3A%5D": "",
	} {
		if source == "" {
			s.refused("PUT", "/sip/bans/"+path, "", 400, "is no IP address and no prefix such as 192.0.2.0/24")
			continue
		}
		var got banned
		s.do("PUT", "/sip/bans/"+path, "", 201)
		if s.get("/sip/bans/"+path, &got); got.Source != source {
			t.Errorf("%s: %s is banned, want %s", path, got.Source, source)
		}
		s.do("HEAD", "/sip/bans/"+source, "", 200)
	}
	var list []banned
	s.get("/sip/bans", &list)
	want := "192.0.2.1 192.0.2.2 198.51.100.0/24 198.51.101.0/25 203.0.113.5 2001:db8::/64 2001:db8:1::1/128"
	if got := strings.Join(sources(list), " "); got != want {
		t.Errorf("banned are %s, want %s", got, want)
	}
	// A page at a time they are the same.
	var pages []string
	for path := "/sip/bans?limit=3"; path != ""; {
		list = nil
		res := s.get(path, &list)
		pages = append(pages, strings.Join(sources(list), " "))
		if path, _, _ = strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), `>; rel="next"`); len(pages) > 3 {
			break
		}
	}
	if got := strings.Join(pages, " "); got != want || len(pages) != 3 {
		t.Errorf("the pages are %q", pages)
	}
	s.do("PUT", "/sip/bans/203.0.113.5", `{"for":"1d","reason":"again"}`, 200)
}

func TestAdminRefuses(t *testing.T) {
	s := startAdmin(t, "respond 404")
	for _, tc := range []struct {
		method, path, body string
		status             int
		want               string
	}{
		{"PUT", "/sip/bans/localhost", "", 400, `"localhost" is no IP address`},
		{"PUT", "/sip/bans/", "", 400, `"" is no IP address`},
		{"PUT", "/sip/bans/0.0.0.0/0", "", 400, "0.0.0.0/0 is too much at a time: a prefix has /8 or more"},
		{"PUT", "/sip/bans/2000::/3", "", 400, "a prefix has /16 or more"},
		{"PUT", "/sip/bans/192.0.2.1", `{"for": "5"}`, 400, `for: "5" is no time such as`},
		{"PUT", "/sip/bans/192.0.2.1", `{"for": "-5m"}`, 400, `for: "-5m" is no time`},
		{"PUT", "/sip/bans/192.0.2.1", `{"for": "400d"}`, 400, "of a year at most"},
		{"PUT", "/sip/bans/192.0.2.1", `{"for": 5}`, 400, "reading the body: for must be something else than a JSON number"},
		{"PUT", "/sip/bans/192.0.2.1", `{"till": "5m"}`, 400, `unknown field "till"`},
		{"PUT", "/sip/bans/192.0.2.1", `{"for": "5m"} {}`, 400, "something follows the value"},
		{"PUT", "/sip/bans/192.0.2.1", `{"for": "5m"`, 400, "reading the body"},
		{"PUT", "/sip/bans/192.0.2.1", `[]`, 400, "reading the body: it must be something else than a JSON array"},
		{"PUT", "/sip/bans/192.0.2.1", `{"reason": "` + strings.Repeat("x", 201) + `"}`, 400, "reason: it must be"},
		{"PUT", "/sip/bans/192.0.2.1", `{"reason": "` + strings.Repeat("x", 1<<20) + `"}`, 413, "the body is larger than 1048576 bytes"},
		{"GET", "/sip/bans?limit=0", "", 400, "limit must be a number from 1 to 10000"},
		{"GET", "/sip/bans?limit=", "", 400, "limit must be a number"},
		{"GET", "/sip/bans?limit=1&limit=2", "", 400, `"limit" is given twice`},
		{"GET", "/sip/bans?after=x", "", 400, `"x" is no IP address`},
		{"GET", "/sip/bans?page=2", "", 400, `unknown parameter "page": there are limit, after`},
		{"GET", "/sip/bans?limit=%zz", "", 400, "reading the query"},
		{"GET", "/sip/registrations?user=a", "", 400, `unknown parameter "user": there are aor, limit, after`},
		{"GET", "/sip/registrations/@example.com", "", 400, "is no address-of-record: it is user or user@domain"},
		{"GET", "/sip/registrations/a@b@", "", 400, "is no address-of-record"},
		{"GET", "/sip/", "", 404, "there is no /sip/ in this API"},
		{"GET", "/sip/lamps", "", 404, "there is no /sip/lamps in this API"},
		{"PUT", "/sip/lamps/1/2", "", 404, "there is no /sip/lamps/1/2 in this API"},
		{"GET", "/sip/registrations/101/x", "", 404, "there is no"},
	} {
		s.refused(tc.method, tc.path, tc.body, tc.status, tc.want)
	}
	for path, allow := range map[string]string{
		"/sip/bans": "GET", "/sip/bans/192.0.2.1": "DELETE, GET, PUT", "/sip/registrations": "GET", "/sip/registrations/101": "DELETE, GET",
	} {
		for _, method := range []string{"POST", "PATCH", "OPTIONS", "TRACE"} {
			if res := s.refused(method, path, "", 405, "is not possible here"); res.Header.Get("Allow") != allow {
				t.Errorf("%s %s: Allow: %s, want %s", method, path, res.Header.Get("Allow"), allow)
			}
		}
	}
	if n := inside.AppOf(s.App()).Engine.Bans.Len(); n != 0 {
		t.Errorf("%d are banned by what was refused", n)
	}
	// Without the app there is nothing to ask; with it again there is.
	s.Load(fmt.Sprintf("{\n\tadmin %s\n}\n", s.api))
	s.refused("GET", "/sip/bans", "", 404, "the configuration in force has no sip app")
	s.Load(s.caddyfile(s.Addr, "respond 404"))
	s.do("GET", "/sip/bans", "", 200)
	// A configuration that fails leaves the app of the one in force.
	s.do("PUT", "/sip/bans/192.0.2.1", "", 201)
	if err := s.TryLoad(s.caddyfile(netip.MustParseAddrPort("192.0.2.254:5060"), "respond 404")); err == nil {
		t.Fatal("listening on an address that is not ours works")
	}
	s.do("GET", "/sip/bans/192.0.2.1", "", 200)
}

type registration struct {
	AOR                  string
	Bindings, Superseded []map[string]any
}

// TestSuperseded checks that superseded contacts are listed apart, and that a user who has nothing
// else is not listed.
func TestSuperseded(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	register := func(user, line string, expires int) {
		t.Helper()
		p := s.UDP()
		p.Send(fmt.Sprintf("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\n"+
			"Max-Forwards: 70\n"+
			"From: <sip:%[1]s@example.com>;tag=f\nTo: <sip:%[1]s@example.com>\nCall-ID: %[2]s\nCSeq: %[4]d REGISTER\n"+
			"Contact: <sip:%[1]s@192.0.2.7;line=%[2]s>;expires=%[3]d;+sip.instance=\"<urn:uuid:%[1]s>\"\n\n", user,
			line, expires, 1000-expires))
		p.Expect("SIP/2.0 200")
	}
	register("101", "x", 600)
	register("101", "y", 600)
	register("102", "x", 600)
	register("102", "y", 600)
	register("102", "y", 0)
	register("103", "x", 600)
	var list []registration
	s.get("/sip/registrations", &list)
	got := ""
	for _, r := range list {
		got += fmt.Sprintf("%s %d %d, ", r.AOR, len(r.Bindings), len(r.Superseded))
	}
	if got != "101@example.com 1 1, 103@example.com 1 0, " {
		t.Errorf("listed are %s", got)
	}
	var one registration
	s.get("/sip/registrations/101", &one)
	if len(one.Bindings) != 1 || len(one.Superseded) != 1 || one.Bindings[0]["contact"] != "sip:101@192.0.2.7;line=y" ||
		one.Superseded[0]["contact"] != "sip:101@192.0.2.7;line=x" {
		t.Errorf("got %+v", one)
	}
	s.refused("GET", "/sip/registrations/102", "", 404, "102@example.com is not registered")
	s.get("/sip/registrations?aor=102", &list)
	if len(list) != 0 {
		t.Errorf("listed are %+v", list)
	}
	res := s.get("/sip/registrations?limit=2", &list)
	if len(list) != 1 || res.Header.Get("Link") != `</sip/registrations?after=102%40example.com&limit=2>; rel="next"` {
		t.Errorf("listed are %+v, Link: %s", list, res.Header.Get("Link"))
	}
	s.do("DELETE", "/sip/registrations/102", "", 204) // and what is superseded
	s.do("DELETE", "/sip/registrations/102", "", 404)
}

func TestAdminRegistrations(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	register := func(p *handlertest.Peer, user, contact string) {
		t.Helper()
		p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:" + user +
			"@example.com>;tag=f\nTo: <sip:" + user + "@example.com>\nCall-ID: " + user + "\nCSeq: 1 REGISTER\nContact: <" + contact +
			">;expires=600\nUser-Agent: snomD785/10.1.159.12\n\n")
		p.Expect("SIP/2.0 200")
	}
	udp, tcp := s.UDP(), s.TCP()
	register(udp, "101", "sip:101:secret@192.0.2.7:5060;line=x")
	register(tcp, "102", "sip:102@192.0.2.8")
	register(udp, "a%2Fb%20c", "sip:x@192.0.2.9")

	var got registration
	for _, path := range []string{
		"101", "101@example.com", "101@EXAMPLE.com", "101@" + s.Addr.Addr().String(),
		"sip:101", "sip:101@example.com", "sip%3A101@example.com",
	} {
		got = registration{}
		if s.get("/sip/registrations/"+path, &got); got.AOR != "101@example.com" || len(got.Bindings) != 1 {
			t.Fatalf("%s: %+v", path, got)
		}
	}
	b := got.Bindings[0]
	expires, err := time.Parse(time.RFC3339, fmt.Sprint(b["expires"]))
	if left := time.Until(expires); err != nil || left > 11*time.Minute || left < 5*time.Minute {
		t.Errorf("it expires at %v", b["expires"])
	}
	since, err := time.Parse(time.RFC3339, fmt.Sprint(b["since"]))
	if age := time.Since(since); err != nil || age > 5*time.Minute || age < -time.Minute {
		t.Errorf("it is there since %v", b["since"])
	}
	delete(b, "expires")
	delete(b, "since")
	want := map[string]any{
		"contact": "sip:101@192.0.2.7:5060;line=x", "source": udp.Addr.String(), "transport": "udp",
		"user_agent": "snomD785/10.1.159.12", "model": "D785",
	}
	if !maps.Equal(b, want) {
		t.Errorf("the binding is\n%v\nwant\n%v", b, want)
	}
	aors := func(path string) (s2 string, link string) {
		t.Helper()
		var list []registration
		res := s.get(path, &list)
		for _, r := range list {
			s2 += r.AOR + " "
		}
		return s2, res.Header.Get("Link")
	}
	for path, want := range map[string][2]string{
		"/sip/registrations":                             {"101@example.com 102@example.com a/b c@example.com ", ""},
		"/sip/registrations?limit=3":                     {"101@example.com 102@example.com a/b c@example.com ", ""},
		"/sip/registrations?limit=2":                     {"101@example.com 102@example.com ", `</sip/registrations?after=102%40example.com&limit=2>; rel="next"`},
		"/sip/registrations?after=102@example.com":       {"a/b c@example.com ", ""},
		"/sip/registrations?after=a%2Fb%20c@example.com": {"", ""},
		"/sip/registrations?aor=102":                     {"102@example.com ", ""},
		"/sip/registrations?aor=103":                     {"", ""},
	} {
		if got, link := aors(path); got != want[0] || link != want[1] {
			t.Errorf("%s: %s, Link: %s, want %s", path, got, link, want)
		}
	}
	s.do("DELETE", "/sip/registrations/a%2Fb%20c", "", 204)
	s.do("DELETE", "/sip/registrations/102@example.com", "", 204)
	s.refused("DELETE", "/sip/registrations/102@example.com", "", 404, "102@example.com is not registered")
	s.refused("GET", "/sip/registrations/102", "", 404, "102@example.com is not registered")
	s.refused("GET", "/sip/registrations/101@example.net", "", 404, "101@example.net is not registered")
	if got, _ := aors("/sip/registrations"); got != "101@example.com " {
		t.Errorf("left are %s", got)
	}
	tcp.Nothing() // whose registration was removed keeps the connection
}
