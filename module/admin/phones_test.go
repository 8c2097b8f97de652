package admin_test

import (
	"fmt"
	"strings"
	"testing"

	_ "github.com/caddysip/caddysip/handler/digestauth"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

// device is what the API tells of a phone.
type device struct {
	AOR, Contact, Source, Transport, Model, Firmware, State string
	Since, Expires                                          string
	Wanted, Shown, Refused                                  int
	LastError                                               string `json:"last_error"`
}

// registerAs registers a phone.
func (a *server) registerAs(p *handlertest.Peer, user, contact, userAgent string) {
	a.t.Helper()
	p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\n" +
		"Max-Forwards: 70\nFrom: <sip:" + user + "@example.com>;tag=1\n" +
		"To: <sip:" + user + "@example.com>\nCall-ID: " + user + contact + "\nCSeq: 1 REGISTER\nContact: <sip:" +
		contact + "@{me}>\nUser-Agent: " + userAgent + "\n\n")
	p.Expect("SIP/2.0 200")
}

// TestPhones lists phones of all kinds.
func TestPhones(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	s.do("GET", "/sip/phones", "", 200)
	refused := s.Metric("caddy_sip_key_pushes_total", "outcome=refused")
	failed := s.Metric("caddy_sip_key_pushes_total", "outcome=failed")
	desk, soft := s.UDP(), s.UDP()
	for _, user := range []string{"101", "103"} {
		s.do("PUT", "/sip/keys/"+user, `[{"key": 1, "label": "One"}, {"key": 2, "label": "Two"}]`, 200)
	}
	s.registerAs(desk, "101", "a", "snomD785/10.1.159.12")
	first := desk.Expect("MESSAGE")
	desk.Answer(first, "200 OK", "t")
	second := desk.Expect("MESSAGE")
	desk.Answer(second, "403 Forbidden", "t")
	s.registerAs(soft, "101", "b", "linphone/5.1")
	s.registerAs(soft, "102", "c", "snom370/8.7.5.48")
	s.registerAs(soft, "103", "d", "snom320/8.7.5.48")
	busy := soft.Expect("MESSAGE")
	soft.Answer(busy, "486 Busy Here", "t")
	s.Await(refused+1, "caddy_sip_key_pushes_total", "outcome=refused")
	s.Await(failed+1, "caddy_sip_key_pushes_total", "outcome=failed")

	list := func(query string) (all []device) {
		t.Helper()
		s.get("/sip/phones"+query, &all)
		return all
	}
	states := func(query string) string {
		t.Helper()
		var texts []string
		for _, d := range list(query) {
			texts = append(texts, fmt.Sprint(d.AOR[:3], d.Contact[4:5], " ", d.State))
		}
		return strings.Join(texts, ", ")
	}
	for query, want := range map[string]string{
		"":                                       "101a refused, 101b other, 102c current, 103d retrying",
		"?state=registered":                      "101a refused, 101b other, 102c current, 103d retrying",
		"?state=refused":                         "101a refused",
		"?state=retrying":                        "103d retrying",
		"?state=unreachable":                     "",
		"?state=unsupported":                     "",
		"?aor=101":                               "101a refused, 101b other",
		"?aor=101@example.com&state=refused":     "101a refused",
		"?aor=nobody":                            "",
		"?after=101@example.com":                 "102c current, 103d retrying",
		"?aor=101&after=101@example.com%20sip:a": "101a refused, 101b other",
	} {
		if got := states(query); got != want {
			t.Errorf("%s: %s, not %s", query, got, want)
		}
	}
	d := list("")[0]
	want := device{
		AOR: "101@example.com", Contact: "sip:a@" + desk.Addr.String(), Source: desk.Addr.String(), Transport: "udp",
		Model: "D785", Firmware: "10.1.159.12",
		State: "refused", Since: d.Since, Expires: d.Expires, Wanted: 2, Shown: 1, Refused: 1,
		LastError: "the phone answered 403",
	}
	if d != want || d.Since == "" || d.Expires <= d.Since {
		t.Errorf("%+v", d)
	}
	if d := list("?aor=103")[0]; d.Wanted != 2 || d.Shown != 0 || d.Refused != 0 ||
		d.LastError != "the phone answered 486" {
		t.Errorf("%+v", d)
	}
	s.refused("GET", "/sip/phones?state=broken", "", 400, "state: \"broken\" must be one of current, refused")
	s.refused("GET", "/sip/phones?aor=", "", 400, "aor: ")

	// Each is on one page.
	for limit := 1; limit <= 4; limit++ {
		var all []string
		for next := fmt.Sprintf("/sip/phones?limit=%d", limit); next != "" && len(all) < 10; {
			var page []device
			res := s.get(next, &page)
			if len(page) > limit {
				t.Errorf("a page of %d has %d", limit, len(page))
			}
			for _, d := range page {
				all = append(all, d.AOR[:3]+d.Contact[4:5])
			}
			next, _, _ = strings.Cut(strings.TrimPrefix(res.Header.Get("Link"), "<"), ">")
		}
		if got := strings.Join(all, " "); got != "101a 101b 102c 103d" {
			t.Errorf("in pages of %d there are %s", limit, got)
		}
	}
}

// TestUnknownUser sets keys for users who are not known.
func TestUnknownUser(t *testing.T) {
	s := startAdmin(t, "")
	s.Load(strings.Replace(s.caddyfile(s.Addr,
		"@phones header User-Agent nobody\ndigest_auth @phones {\nuser 110 secret110\n"+
			"user 111@example.com secret111\n}\nregister\nrespond 404"), "domain example.com",
		"domain example.com example.org\nkeys {\nprofile some {\nusers 12? 130\nmembers from testdata/members.txt\n"+
			"key 9 {\nlabel Nine\n}\n}\n}", 1))
	s.registerAs(s.UDP(), "101", "a", "linphone/5.1")
	s.registerAs(s.UDP(), "102", "b", "linphone/5.1")
	s.do("DELETE", "/sip/registrations/102", "", 204)
	const text = "nobody is known as "
	for user, known := range map[string]bool{
		"101": true, "101@example.org": false, "102": true, "103": false, "1O1": false, "110": true, "111": true,
		"111@example.org": false, "120": false, "130": true, "140": true,
	} {
		// it does not become known by that
		for _, path := range []string{"/sip/keys/" + user + "/1", "/sip/keys/" + user + "/1"} {
			_, body := s.exchange("PUT", path, `{"label": "x"}`)
			if strings.Contains(body, text) == known {
				t.Errorf("%s: %s", user, body)
			}
		}
	}
	var u struct{ Warnings []string }
	s.get("/sip/keys/103", &u)
	if len(u.Warnings) != 1 || !strings.HasPrefix(u.Warnings[0], text+"103@example.com: no phone has registered so") {
		t.Errorf("%q", u.Warnings)
	}
	_, body := s.do("POST", "/sip/keys", `[{"aor": "101", "key": 1}, {"aor": "103", "key": 2}, `+
		`{"aor": "110", "key": 2}, {"aor": "103", "key": 3}, {"aor": "1O1", "key": 3}]`, 200)
	for _, part := range []string{`"changed":5,`, `{"index":1,"aor":"103@example.com","warning":"` + text,
		`{"index":3,"aor":"103@`, `{"index":4,"aor":"1O1@`} {
		if !strings.Contains(body, part) {
			t.Errorf("%s is not in %s", part, body)
		}
	}
	if n := strings.Count(body, "index"); n != 3 {
		t.Errorf("%d warnings: %s", n, body)
	}
	// Who has a phone is known, and listed with what profiles give him.
	s.do("PUT", "/sip/keys/101", "[]", 200)
	s.registerAs(s.UDP(), "129", "c", "snom370/8.7.5.48")
	var list []userKeys
	s.get("/sip/keys?after=120@example.com&limit=1", &list)
	if len(list) != 1 || list[0].AOR != "129@example.com" || len(list[0].Keys) != 1 {
		t.Errorf("%+v", list)
	}
	s.get("/sip/keys?limit=1", &list)
	if len(list) != 1 || list[0].AOR == "101@example.com" {
		t.Errorf("%+v", list)
	}
}

// TestTwoOnOnePhone has two users on one phone who set the same key.
func TestTwoOnOnePhone(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	p := s.UDP()
	for _, user := range []string{"101", "102"} {
		s.do("PUT", "/sip/keys/"+user+"/1", `{"label": "of `+user+`"}`, 201)
		s.registerAs(p, user, user, "snom370/8.7.5.48")
		p.Answer(p.Expect("MESSAGE"), "200 OK", "t")
		inside.AppOf(s.App()).Engine.Delivery.Wait(t.Context(), user+"@example.com", 1)
	}
	for user, want := range map[string]string{
		"101": `[{"acknowledged":false,"error":"102@example.com is on the same phone and has set this key","key":1,` +
			`"wanted":true,` +
			`"warnings":["102@example.com is on the same phone and sets this key too: it shows what was set last"]}]`,
		"102": `[{"acknowledged":true,"key":1,"status":200,"wanted":true,` +
			`"warnings":["101@example.com is on the same phone and sets this key too: it shows what was set last"]}]`,
	} {
		var got userKeys
		s.get("/sip/keys/"+user, &got)
		for _, k := range got.Phones[0].Keys {
			delete(k, "at")
		}
		if got := text(t, got.Phones[0].Keys); got != want {
			t.Errorf("%s has\n%s\nwant\n%s", user, got, want)
		}
	}
	var list []device
	if s.get("/sip/phones?state=overwritten", &list); len(list) != 1 || list[0].AOR != "101@example.com" ||
		list[0].Shown != 0 || list[0].Refused != 0 {
		t.Errorf("%+v", list)
	}
}

// TestRawKeys sends a phone a document about keys that layers have records of: these are sent
// again.
func TestRawKeys(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	p := s.UDP()
	s.do("PUT", "/sip/keys/101/1", `{"label": "One"}`, 201)
	s.registerAs(p, "101", "a", "snom370/8.7.5.48")
	p.Answer(p.Expect("MESSAGE"), "200 OK", "t")
	send := func(body string) {
		done := make(chan struct{})
		go func() {
			defer close(done)
			m := p.Expect("MESSAGE")
			p.Ignore(m)
			p.Answer(m, "200 OK", "t")
		}()
		s.do("POST", "/sip/messages", `{"aor": "101", "content_type": "Application/X-Buttons", "body": "`+body+`"}`,
			200)
		<-done
	}
	send(`k=9\r\nl=Nine`)
	p.Nothing()
	send(`k=1\r\nl=Other`)
	again := p.Expect("MESSAGE")
	p.Ignore(again)
	if again.Body() != "k=1\r\nl=One" {
		t.Errorf("it gets %q", again.Body())
	}
	p.Answer(again, "200 OK", "t")
	p.Nothing()
}

// TestAnsweredByMessage lets a phone that seemed to have no keys answer a message.
func TestAnsweredByMessage(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	p := s.UDP()
	s.do("PUT", "/sip/keys/101/1", `{"label": "One"}`, 201)
	s.registerAs(p, "101", "a", "snom370/8.7.5.48")
	refused := s.Metric("caddy_sip_key_pushes_total", "outcome=refused")
	m := p.Expect("MESSAGE")
	p.Ignore(m)
	p.Answer(m, "405 Not Yet", "t")
	s.Await(refused+1, "caddy_sip_key_pushes_total", "outcome=refused")
	done := make(chan struct{})
	go func() {
		defer close(done)
		m := p.Expect("MESSAGE")
		p.Ignore(m)
		p.Answer(m, "200 OK", "t")
	}()
	s.do("POST", "/sip/messages", `{"aor": "101", "body": "Hello"}`, 200)
	<-done
	if m := p.Expect("MESSAGE"); m.Body() != "k=1\r\nl=One" {
		t.Errorf("it gets %q", m.Body())
	} else {
		p.Answer(m, "200 OK", "t")
	}
}
