package admin_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
)

// userKeys is what the API tells of a user's keys.
type userKeys struct {
	AOR    string
	Keys   []map[string]any
	Layers map[string][]map[string]any
	Phones []struct {
		Contact, Source, Model, State string
		Keys                          []map[string]any
	}
}

// text writes JSON in one way.
func text(t *testing.T, v any) string {
	t.Helper()
	b, err := json.Marshal(v)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// doWith is do with header fields, name and value in turn.
func (a *server) doWith(method, path, body string, status int, header ...string) *http.Response {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), method, "http://"+a.api.String()+path, strings.NewReader(body))
	if err != nil {
		a.t.Fatal(err)
	}
	for i := 0; i < len(header); i += 2 {
		req.Header.Add(header[i], header[i+1])
	}
	res, err := http.DefaultClient.Do(req)
	if err != nil {
		a.t.Fatal(err)
	}
	res.Body.Close()
	if res.StatusCode != status {
		a.t.Errorf("%s %s %s %q: %s, want %d", method, path, body, header, res.Status, status)
	}
	return res
}

// shows checks what a user's keys are to show, without when it ends.
func (a *server) shows(user, want string) {
	a.t.Helper()
	var got userKeys
	a.get("/sip/keys/"+user, &got)
	for _, k := range got.Keys {
		delete(k, "expires")
	}
	if s := text(a.t, got.Keys); s != want {
		a.t.Errorf("the keys of %s are\n%s\nwant\n%s", user, s, want)
	}
}

func TestKeys(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	var empty userKeys
	if s.get("/sip/keys/101", &empty); empty.AOR != "101@example.com" || len(empty.Keys)+len(empty.Layers)+len(empty.Phones) != 0 {
		t.Errorf("a user without keys has %+v", empty)
	}
	s.refused("GET", "/sip/keys/101/2", "", 404, "nothing is said about key 2 of 101@example.com")
	s.do("PUT", "/sip/keys/101/2", `{"light": "on", "color": "red", "label": "Front desk", "number": "9", "action": "invite"}`, 201)
	s.do("PUT", "/sip/keys/101@EXAMPLE.com/3?layer=user", `{"key": 3, "label": "Mine"}`, 201)
	s.do("PUT", "/sip/keys/101/3?ttl=5m", `{"label": "Theirs"}`, 201)
	s.shows("101", `[{"action":"invite","color":"red","key":2,"label":"Front desk","layer":"admin","light":"on","number":"9"},`+
		`{"key":3,"label":"Mine","layer":"user"}]`)

	var got userKeys
	s.get("/sip/keys/101/3", &got)
	if text(t, got.Keys) != `[{"key":3,"label":"Mine","layer":"user"}]` || len(got.Layers) != 2 || text(t, got.Layers["user"]) != `[{"key":3,"label":"Mine"}]` {
		t.Errorf("key 3 is %+v", got)
	}
	expires, err := time.Parse(time.RFC3339, fmt.Sprint(got.Layers["admin"][0]["expires"]))
	if left := time.Until(expires); err != nil || left < 4*time.Minute || left > 5*time.Minute {
		t.Errorf("it ends in %v", left)
	}
	// What is locked is above the user.
	s.do("PUT", "/sip/keys/101/3", `{"label": "Theirs", "locked": true}`, 200)
	s.shows("101", `[{"action":"invite","color":"red","key":2,"label":"Front desk","layer":"admin","light":"on","number":"9"},`+
		`{"key":3,"label":"Theirs","layer":"admin","locked":true}]`)
	if _, body := s.do("GET", "/sip/keys/101/3?layer=admin", "", 200); strings.TrimSpace(body) != `{"key":3,"label":"Theirs","locked":true}` {
		t.Errorf("the admin layer says %s", body)
	}

	s.do("DELETE", "/sip/keys/101/3?layer=user", "", 204)
	s.refused("DELETE", "/sip/keys/101/3?layer=user", "", 404, "the user layer says nothing about key 3 of 101@example.com")
	s.refused("DELETE", "/sip/keys/101/3?ttl=5m", "", 400, "ttl: what is deleted has none")
	for _, ttl := range []string{"999ms", "-1s", "366.1d", "8785h", "5", ""} {
		s.refused("PUT", "/sip/keys/101/3?ttl="+ttl, "{}", 400, "is no time such as 30s")
	}
	s.refused("GET", "/sip/keys/101/3?layer=user", "", 404, "the user layer says nothing")

	// PUT of all replaces a layer, and leaves the others.
	s.do("PUT", "/sip/keys/101/1?layer=event", `{"light": "message"}`, 201)
	s.do("PUT", "/sip/keys/101", `[{"key": 5, "label": "Five"}, {"key": 4, "locked": true}]`, 200)
	s.shows("101", `[{"key":1,"layer":"event","light":"message"},{"key":4,"layer":"admin","locked":true},{"key":5,"label":"Five","layer":"admin"}]`)
	s.refused("PUT", "/sip/keys/101", `[{"key": 6}, {"key": 7, "light": "pink"}]`, 400, "element 1: light: must be one of")
	s.refused("PUT", "/sip/keys/101", `[{"key": 6}, {"key": 6}]`, 400, "element 1: key: 6 is there twice")
	s.shows("101", `[{"key":1,"layer":"event","light":"message"},{"key":4,"layer":"admin","locked":true},{"key":5,"label":"Five","layer":"admin"}]`)
	s.do("PUT", "/sip/keys/101", `[]`, 200)
	s.do("PUT", "/sip/keys/101?layer=event", `[]`, 200)
	s.shows("101", `[]`)

	var list []userKeys
	for _, user := range []string{"201", "a%2Fb", "202"} {
		s.do("PUT", "/sip/keys/"+user+"/1", "{}", 201)
	}
	if s.get("/sip/keys?limit=2", &list); text(t, list[0].Keys) != `[{"key":1,"layer":"admin"}]` || len(list) != 2 || list[1].AOR != "202@example.com" {
		t.Errorf("users with keys are %+v", list)
	}
	res := s.get("/sip/keys?limit=2&after=202@example.com", &list)
	if len(list) != 1 || list[0].AOR != "a/b@example.com" || res.Header.Get("Link") != "" {
		t.Errorf("then come %+v, Link: %s", list, res.Header.Get("Link"))
	}
	// They survive a restart.
	s.Restart()
	s.shows("a%2Fb", `[{"key":1,"layer":"admin"}]`)
}

func TestPatchKey(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	s.refused("PATCH", "/sip/keys/101/2", `{"light": "off"}`, 404, "the admin layer says nothing about key 2")
	s.do("PUT", "/sip/keys/101/2?ttl=1h", `{"light": "on", "color": "red", "label": "Front desk", "number": "9", "locked": true}`, 201)
	s.do("PATCH", "/sip/keys/101/2", `{"light": "off", "color": null, "key": 2, "label": "\u00fc"}`, 200)
	var k map[string]any
	s.get("/sip/keys/101/2?layer=admin", &k)
	expires, err := time.Parse(time.RFC3339, fmt.Sprint(k["expires"]))
	if left := time.Until(expires); err != nil || left < 50*time.Minute || left > time.Hour {
		t.Errorf("it ends in %v, %v", left, err)
	}
	delete(k, "expires")
	if got := text(t, k); got != `{"key":2,"label":"ü","light":"off","locked":true,"number":"9"}` {
		t.Errorf("it is %s", got)
	}
	s.do("PATCH", "/sip/keys/101/2?ttl=0", `{"locked": null}`, 200)
	if _, got := s.do("GET", "/sip/keys/101/2?layer=admin", "", 200); strings.TrimSpace(got) != `{"key":2,"light":"off","label":"ü","number":"9"}` {
		t.Errorf("it is %s", got)
	}
	for body, want := range map[string]string{
		`{"light": "pink"}`:    "light: must be one of",
		`{"light": 1}`:         "light: must be a text, or null",
		`{"label": {"a": 1}}`:  "label: must be a text, or null",
		`{"locked": "yes"}`:    "locked: must be true, false or null",
		`{"key": 3}`:           "key: it is 3 in the body and 2 in the address",
		`{"key": null}`:        "key: it is null in the body",
		`{"lamp": "on"}`:       `unknown field "lamp": there are action, color, label, light, number, locked`,
		`{"label": "a\nb"}`:    "label",
		`[]`:                   "it must be a JSON object",
		`null`:                 "it must be a JSON object",
		``:                     "it must be a JSON object",
		`{"light": "on"} true`: "it must be a JSON object",
	} {
		s.refused("PATCH", "/sip/keys/101/2", body, 400, want)
	}
	if _, got := s.do("GET", "/sip/keys/101/2?layer=admin", "", 200); strings.TrimSpace(got) != `{"key":2,"light":"off","label":"ü","number":"9"}` {
		t.Errorf("what was refused has left %s", got)
	}
	// Many at the same time all count.
	done := make(chan string)
	for _, body := range []string{`{"light":"on"}`, `{"color":"red"}`, `{"label":"x"}`, `{"number":"1"}`, `{"action":"invite"}`} {
		go func() {
			s.do("PATCH", "/sip/keys/101/2", body, 200)
			done <- body
		}()
	}
	for range 5 {
		<-done
	}
	if _, got := s.do("GET", "/sip/keys/101/2?layer=admin", "", 200); strings.TrimSpace(got) !=
		`{"key":2,"light":"on","color":"red","label":"x","number":"1","action":"invite"}` {
		t.Errorf("together they made %s", got)
	}
	// What goes with the process still does.
	err = s.App().SetKeys(t.Context(), module.KeyChange{
		AOR: "101@example.com", Set: &module.Key{Key: 9, Label: "call"}, Volatile: true,
	})
	if err != nil {
		t.Fatal(err)
	}
	s.do("PATCH", "/sip/keys/101/9?layer=event", `{"light": "on"}`, 200)
	s.Restart()
	s.refused("GET", "/sip/keys/101/9", "", 404, "nothing is said about key 9")
	s.do("GET", "/sip/keys/101/2", "", 200)
}

func TestKeyETags(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	etag := func(path string) string {
		t.Helper()
		return s.doWith("GET", path, "", 200).Header.Get("ETag")
	}
	first := etag("/sip/keys/101")
	if !strings.HasPrefix(first, `"/sip/keys/101 `) || strings.Count(first, `"`) != 2 {
		t.Errorf("ETag: %s", first)
	}
	second := s.doWith("PUT", "/sip/keys/101/2", "{}", 201, "If-Match", first).Header.Get("ETag")
	if again := etag("/sip/keys/101/2"); second != again || second == first {
		t.Errorf("PUT tells the ETag %s, GET %s", second, again)
	}
	for _, tc := range [][2]string{{"PUT", `{"light":"on"}`}, {"PATCH", `{"light":"on"}`}, {"DELETE", ""}} {
		s.doWith(tc[0], "/sip/keys/101/2", tc[1], 412, "If-Match", first)
	}
	s.doWith("PUT", "/sip/keys/101", "[]", 412, "If-Match", first)
	s.shows("101", `[{"key":2,"layer":"admin"}]`)
	// The other user has the same keys, but the ETag is not his.
	s.do("PUT", "/sip/keys/102/2", "{}", 201)
	s.doWith("DELETE", "/sip/keys/102/2", "", 412, "If-Match", second)
	for _, malformed := range []string{"*", "x", `"x"`, `"/sip/keys/101"`, `"/sip/keys/101 "`, `W/"/sip/keys/101 a"`, `"/config/ a"`, `"/sip/keys/101 a", "/sip/keys/101 b"`} {
		s.doWith("DELETE", "/sip/keys/101/2", "", 400, "If-Match", malformed)
	}
	s.doWith("DELETE", "/sip/keys/101/2", "", 400, "If-Match", second, "If-Match", second)
	// That of one resource is good for the other: it is one document.
	third := s.doWith("PATCH", "/sip/keys/101@example.com/2", `{"light":"on"}`, 200, "If-Match", second).Header.Get("ETag")
	s.doWith("DELETE", "/sip/keys/101/2", "", 204, "If-Match", third)
	s.doWith("POST", "/sip/keys", "[]", 400, "If-Match", third)
}

func TestManyKeys(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	s.do("POST", "/sip/keys", `[
		{"aor": "101", "key": 1, "light": "on"}, {"aor": "101@example.com", "key": 2, "layer": "user", "label": "x"},
		{"aor": "102", "key": 1, "locked": true, "ttl": "1d"}, {"aor": "101", "key": 3, "light": "off"}]`, 200)
	s.shows("101", `[{"key":1,"layer":"admin","light":"on"},{"key":2,"label":"x","layer":"user"},`+
		`{"key":3,"layer":"admin","light":"off"}]`)
	s.shows("102", `[{"key":1,"layer":"admin","locked":true}]`)
	_, body := s.do("POST", "/sip/keys", `[{"aor": "101", "key": 9}, {"aor": "102", "key": 0}, {"key": 1}, {"aor": "103", "key": 1, "lamp": "on"},
		{"aor": "103@example.net", "key": 1}, {"aor": "103", "key": 1, "layer": "profile"}, {"aor": "103", "key": 1, "ttl": "1"}, 7,
		{"aor": "103", "key": 1, "layer": "user", "locked": true}, {"aor": "103", "key": "1"}, {"aor": "`+strings.Repeat("x", 1100)+`", "key": 1}]`, 400)
	var answer struct {
		Error  string
		Errors []struct {
			Index      int
			AOR, Error string
		}
	}
	if err := json.Unmarshal([]byte(body), &answer); err != nil {
		t.Fatal(err)
	}
	want := []string{"key: must be 1 to 999", "aor: \"\" is no address-of-record", `unknown field "lamp"`, "aor: \"103@example.net\" is not of a domain",
		`layer: "profile" must be`, `ttl: "1" is no time`, "it must be something else than a JSON number", "locked: is possible in the admin layer alone",
		"reading the body: key must be something else than a JSON string", "aor: has 1112 bytes"}
	if len(answer.Errors) != len(want) || !strings.HasPrefix(answer.Error, "nothing is changed: element 1: key: must be") {
		t.Fatalf("%s", body)
	}
	for i, e := range answer.Errors {
		if e.Index != i+1 || !strings.Contains(e.Error, want[i]) {
			t.Errorf("error %d is %+v, want %s", i+1, e, want[i])
		}
	}
	if answer.Errors[0].AOR != "102" {
		t.Errorf("%+v", answer.Errors[0])
	}
	s.shows("101", `[{"key":1,"layer":"admin","light":"on"},{"key":2,"label":"x","layer":"user"},`+
		`{"key":3,"layer":"admin","light":"off"}]`)
	_, body = s.do("POST", "/sip/keys", "["+strings.Repeat("7, ", 1200)+"7]", 400)
	if n := strings.Count(body, `"index":`); n != 1000 {
		t.Errorf("of 1201 elements that are wrong %d are listed, want 1000", n)
	}
	s.refused("POST", "/sip/keys", "", 400, "it must be an array")
	s.refused("POST", "/sip/keys", "{}", 400, "it must be something else than a JSON object")
	var list strings.Builder
	for i := range 3000 {
		fmt.Fprintf(&list, `,{"aor":"%d","key":1,"label":"%60d"}`, 1000+i, i)
	}
	s.do("POST", "/sip/keys", "["+list.String()[1:]+"]", 200)
	s.shows("3999", fmt.Sprintf(`[{"key":1,"label":"%60d","layer":"admin"}]`, 2999))
	// A key can be there once, however its user is written.
	s.refused("POST", "/sip/keys", `[{"aor": "500", "key": 1}, {"aor": "500", "key": 1, "layer": "user"}, `+
		`{"aor": "SIP:500@example.com", "key": 1}]`, 400,
		"nothing is changed: element 2: key: 1 of 500@example.com is there twice: element 0 has it too")
	s.refused("PUT", "/sip/keys/500", `[{"key": 1}, {"key": 2}, {"key": 1}]`, 400, "element 2: key: 1 is there twice")
	s.shows("500", "[]")
	s.refused("PUT", "/sip/keys/500/1", "{\n\t\"label\": \"T\xfcr\"}", 400,
		"reading the body: line 2, column 13 is not UTF-8")
	s.refused("POST", "/sip/keys", "[{\"aor\": \"500\", \"key\": 1, \"label\": \"T\xfcr\"}]", 400,
		"line 1, column 38 is not UTF-8")
	s.refused("POST", "/sip/messages", "{\"aor\": \"500\", \"body\": \"T\xfcr\"}", 400, "is not UTF-8")
	s.refused("POST", "/sip/keys", `["`+strings.Repeat("x", 16<<20)+`"]`, 413, "the body is larger than 16777216 bytes")
}

// phone registers a Snom phone.
func (a *server) phone(p *handlertest.Peer, user string) {
	a.t.Helper()
	p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:" + user +
		"@example.com>;tag=f\nTo: <sip:" + user + "@example.com>\nCall-ID: " + user + "\nCSeq: 1 REGISTER\nContact: <sip:" + user + ":secret@" +
		p.Addr.String() + ";line=x>;expires=600\nUser-Agent: snomD785/10.1.159.12\n\n")
	p.Expect("SIP/2.0 200")
}

func TestKeyDelivery(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	p := s.UDP()
	s.phone(p, "101")
	answer := func(status, body string) {
		m := p.Expect("MESSAGE sip:101")
		p.Answer(m, status, "t")
		p.Ignore(m)
		if m.Body() != body {
			t.Errorf("the phone gets %q, want %q", m.Body(), body)
		}
	}
	result := make(chan userKeys)
	ask := func(method, path, body string, status int) {
		go func() {
			var got userKeys
			_, text := s.do(method, path, body, status)
			if err := json.Unmarshal([]byte(text), &got); err != nil {
				t.Error(err)
			}
			result <- got
		}()
	}
	ask("PUT", "/sip/keys/101/2?wait=30s", `{"light": "on", "label": "x"}`, 201)
	answer("200 OK", "k=2\r\nc=on\r\nl=x")
	got := <-result
	if len(got.Phones) != 1 || got.Phones[0].State != "current" || got.Phones[0].Model != "D785" || got.Phones[0].Contact != "sip:101@"+p.Addr.String()+";line=x" ||
		len(got.Phones[0].Keys) != 1 || got.Phones[0].Keys[0]["acknowledged"] != true || got.Phones[0].Keys[0]["at"] == nil {
		t.Errorf("the outcome is %+v", got)
	}
	ask("PATCH", "/sip/keys/101/2?wait=30s", `{"label": "y"}`, 200)
	answer("403 Forbidden", "k=2\r\nc=on\r\nl=y")
	if got = <-result; got.Phones[0].Keys[0]["acknowledged"] != false || got.Phones[0].Keys[0]["status"] != 403.0 || got.Phones[0].Keys[0]["error"] == nil {
		t.Errorf("the outcome is %+v", got)
	}
	ask("POST", "/sip/keys/101/push?wait=30s", "", 200)
	answer("200 OK", "k=2\r\nc=on\r\nl=y")
	if got = <-result; got.Phones[0].Keys[0]["acknowledged"] != true {
		t.Errorf("the outcome is %+v", got)
	}
	ask("DELETE", "/sip/keys/101/2?wait=30s", "", 200)
	answer("200 OK", "k=2\r\nc=off")
	if got = <-result; len(got.Keys) != 0 || got.Phones[0].State != "current" {
		t.Errorf("the outcome is %+v", got)
	}
	// A list is waited for with the keys that it no longer has.
	ask("PUT", "/sip/keys/101?wait=30s", `[{"key": 2, "label": "z"}]`, 200)
	answer("200 OK", "k=2\r\nl=z")
	<-result
	ask("PUT", "/sip/keys/101?wait=30s", `[]`, 200)
	answer("200 OK", "k=2\r\nc=off")
	if got = <-result; len(got.Keys) != 0 || got.Phones[0].State != "current" {
		t.Errorf("the outcome is %+v", got)
	}
	// Who waits for a phone that doesn't answer is told so far.
	ask("PUT", "/sip/keys/101/2?wait=100ms", `{"light": "on"}`, 201)
	if got = <-result; got.Phones[0].Keys[0]["acknowledged"] != false || got.Phones[0].Keys[0]["error"] != nil {
		t.Errorf("so far the outcome is %+v", got)
	}
	answer("200 OK", "k=2\r\nc=on")
	s.refused("POST", "/sip/keys/102/push", "", 404, "102@example.com is not registered")
	for _, wait := range []string{"0", "2", "-1s", "61s", ""} {
		if wait != "" {
			s.refused("PUT", "/sip/keys/101/2?wait="+wait, `{}`, 400, "wait: ")
		}
	}
}
