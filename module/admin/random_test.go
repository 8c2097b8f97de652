package admin_test

import (
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"net/http"
	"strings"
	"testing"
)

// randomBody makes a body that may be right, may be wrong in one place, and may be no JSON at all.
func randomBody(r *rand.Rand) string {
	pick := func(list ...string) string { return list[r.IntN(len(list))] }
	value := func() any {
		switch r.IntN(9) {
		case 0:
			return nil
		case 1:
			return r.IntN(2000) - 500
		case 2:
			return r.Float64() * 1e300
		case 3:
			return r.IntN(2) == 0
		case 4:
			return []any{"x"}
		case 5:
			return map[string]any{"key": 1}
		case 6:
			return strings.Repeat(pick("x", "ü", "\x00", "\xff", "\u2028", "\U0001F4DE"), r.IntN(400))
		default:
			return pick("on", "off", "red", "green", "invite", "message", "101", "", "a b", "MESSAGE", "NOTIFY", "30s", "admin", "user", "profile")
		}
	}
	record := func() any {
		if r.IntN(10) == 0 {
			return value()
		}
		m := map[string]any{"key": 1 + r.IntN(20)}
		for range r.IntN(4) {
			switch pick("light", "light", "color", "color", "label", "label", "action", "aor", "aor", "locked", "any") {
			case "light":
				m["light"] = pick("on", "off", "hold", "")
			case "color":
				m["color"] = pick("red", "green", "")
			case "label":
				m[pick("label", "number")] = pick("x", "Front desk", "ü", "")
			case "action":
				m["action"] = pick("invite", "message")
			case "aor":
				m["aor"] = pick("101", "102@example.com", "a/b", "@", "x@y@z", "101@example.net")
			case "locked":
				m["locked"] = r.IntN(2) == 0
			default:
				m[pick("key", "light", "color", "label", "number", "action", "locked", "layer", "ttl", "lamp", "body", "event", "method", "content_type", "for")] = value()
			}
		}
		return m
	}
	var body any = record()
	if r.IntN(2) == 0 {
		list := make([]any, r.IntN(4))
		for i := range list {
			list[i] = record()
		}
		body = list
	}
	text, err := json.Marshal(body)
	if err != nil {
		panic(err)
	}
	if n := len(text); r.IntN(8) == 0 && n > 0 {
		i := r.IntN(n)
		switch r.IntN(3) {
		case 0:
			text = text[:i]
		case 1:
			text[i] = byte(r.Uint32())
		case 2:
			text = append(text, text[i:]...)
		}
	}
	return string(text)
}

// TestRandomRequests sends what may be anything: the server knows always whose fault it is, and serves what is right.
func TestRandomRequests(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	p := s.UDP()
	s.phone(p, "109")
	r := rand.New(rand.NewPCG(1, 2))
	statuses := make(map[int]int)
	resources := []string{
		"PUT /sip/keys/%s", "PUT /sip/keys/%s/%s", "PUT /sip/keys/%s/%s", "PATCH /sip/keys/%s/%s", "DELETE /sip/keys/%s/%s", "POST /sip/keys", "GET /sip/keys/%s",
		"GET /sip/keys/%s/%s", "POST /sip/messages", "PUT /sip/bans/%s", "POST /sip/keys/%s/push", "GET /sip/registrations/%s",
	}
	for i := range 2000 {
		method, path, _ := strings.Cut(resources[r.IntN(len(resources))], " ")
		for _, usual := range []string{"101", "1"} {
			if r.IntN(4) == 0 {
				usual = []string{"2", "3", "102@example.com", "0", "1000", "x", "%00", "%FF", "a%2Fb", "@", "%20", "192.0.2.1"}[r.IntN(12)]
			}
			path = strings.Replace(path, "%s", usual, 1)
		}
		if r.IntN(3) == 0 {
			path += []string{"?layer=user", "?layer=event", "?layer=", "?ttl=5m", "?ttl=x", "?wait=1ms", "?x=1", "?layer=%FF", "?limit=5"}[r.IntN(9)]
		}
		body := randomBody(r)
		req, err := http.NewRequestWithContext(t.Context(), method, "http://"+s.api.String()+path, strings.NewReader(body))
		if err != nil {
			t.Fatal(err)
		}
		if r.IntN(10) == 0 {
			req.Header.Set("If-Match", []string{"*", `"x"`, `"/sip/keys/101 abcdef"`, `"/sip/keys/%zz a"`, `" "`, `"`}[r.IntN(6)])
		}
		res, err := http.DefaultClient.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := io.ReadAll(res.Body)
		res.Body.Close()
		if err != nil {
			t.Fatal(err)
		}
		statuses[res.StatusCode]++
		if res.StatusCode >= 500 {
			t.Errorf("request %d: %s %s %q is answered %s %s", i, method, path, body, res.Status, answer)
		}
		if res.StatusCode >= 400 {
			var e struct{ Error string }
			if err := json.Unmarshal(answer, &e); err != nil || e.Error == "" {
				t.Errorf("request %d: %s %s %q is answered %s %q", i, method, path, body, res.Status, answer)
			}
		} else if method != "GET" && method != "DELETE" && body != "" && res.StatusCode < 300 && described(method, path) != nil && json.Valid([]byte(body)) {
			conforms(t, method, path, body, res, string(answer))
		}
	}
	for _, status := range []int{200, 201, 204, 400, 404} {
		if statuses[status] == 0 {
			t.Errorf("nothing was answered %d: %s", status, fmt.Sprint(statuses))
		}
	}
}
