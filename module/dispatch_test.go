package module_test

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// TestUnanswered asks a server without handlers.
func TestUnanswered(t *testing.T) {
	s := start(t, "")
	in := []string{"To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag=t1"}
	for _, p := range peers(s) {
		for _, tc := range []struct {
			method, uri string
			edits       []string
			status      string
			allow       string
		}{
			{"OPTIONS", "sip:example.com", nil, "200 OK", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, NOTIFY, SUBSCRIBE, INFO, REFER, UPDATE, PRACK, PUBLISH"},
			{"OPTIONS", "sip:" + s.Addr.String(), nil, "200 OK", "INVITE, ACK, CANCEL, BYE, OPTIONS, REGISTER, MESSAGE, NOTIFY, SUBSCRIBE, INFO, REFER, UPDATE, PRACK, PUBLISH"},
			{"OPTIONS", "sip:bob@example.com", nil, "404 Not Found", ""},
			{"OPTIONS", "sip:elsewhere.example", nil, "404 Not Found", ""},
			{"OPTIONS", "sip:example.com", in, "481 Call/Transaction Does Not Exist", ""},
			{"INVITE", "sip:bob@example.com", nil, "404 Not Found", ""},
			{"INVITE", "sips:bob@example.com", nil, "404 Not Found", ""},
			{"INVITE", "tel:+49301234", nil, "404 Not Found", ""},
			{"INVITE", "sip:example.com", nil, "405 Method Not Allowed", "OPTIONS"},
			{"INVITE", "sip:bob@example.com", in, "481 Call/Transaction Does Not Exist", ""},
			{"REGISTER", "sip:example.com", nil, "405 Method Not Allowed", "OPTIONS"},
			{"REGISTER", "sip:elsewhere.example", nil, "405 Method Not Allowed", "OPTIONS"},
			{"BYE", "sip:bob@example.com", in, "481 Call/Transaction Does Not Exist", ""},
			{"CANCEL", "sip:bob@example.com", nil, "481 Call/Transaction Does Not Exist", ""},
			{"FROBNICATE", "sip:bob@example.com", nil, "404 Not Found", ""},
			{"FROBNICATE", "sip:example.com", nil, "501 Not Implemented", "OPTIONS"},
			{"INVITE", "http://example.com/", nil, "416 Unsupported URI Scheme", ""},
			{"INVITE", "urn:service:sos", nil, "416 Unsupported URI Scheme", ""},
			{"INVITE", "sip:bob@example.com?Subject=x", nil, "400 Malformed Request-URI", ""},
			{"INVITE", "sip:bob@", nil, "400 Malformed Request-URI", ""},
			{"INVITE", "bob", nil, "400 Malformed Request-URI", ""},
		} {
			p.Send(request(tc.method, tc.uri, tc.edits...))
			m := p.Expect("SIP/2.0 " + tc.status + "\r\n")
			if m.Header("Allow") != tc.allow || m.Header("CSeq") != "1 "+tc.method || m.Tag("To") == "" {
				t.Errorf("%s %s: got\n%s", tc.method, tc.uri, m.Text)
			}
			if tc.status == "200 OK" && (m.Header("Accept") != "application/sdp" || m.Header("Supported") != "path") {
				t.Errorf("got\n%s", m.Text)
			}
		}
		// Nothing answers an ACK, be it part of a call or not.
		p.Send(request("ACK", "sip:bob@example.com"))
		p.Send(request("ACK", "sip:bob@example.com", in...))
		p.Send(request("ACK", "http://x"))
		p.Nothing()
	}
}

func TestErrorsAndPanics(t *testing.T) {
	for _, tc := range []struct{ directives, status string }{
		{"act fail Closed", "403 Closed"},
		{"act fail \"\"", "403 Forbidden"},
		{"act break", "500 Server Internal Error"},
		{"act panic", "500 Server Internal Error"},
		{"act fail x\nhandle_errors {\n act tell \"{sip.error.status} {sip.error.reason}\"\n}", "200 403 x"},
		{"act panic\nhandle_errors {\n act panic\n}", "500 Server Internal Error"},
		{"act fail one\nhandle_errors {\n act fail two\n}", "403 two"},
		// What was answered stays answered.
		{"act answer done\nact fail late", "202 done"},
		{"act answer done\nact panic", "202 done"},
		{"act answer done\nact again", "202 done"},
		{"act answer done", "202 done"},
		{"act ring\nact answer done", "202 done"}, // RFC 4320 §4.1
		// Another goroutine makes no difference.
		{"act later", "404 Not Found"},
		{"act later\nact fail Closed", "403 Closed"},
		{"act later\nact panic", "500 Server Internal Error"},
		{"act later\nact later\nact answer done", "202 done"},
		{"act answer done\nact later\nact fail late", "202 done"},
		{"act fail one\nhandle_errors {\n act later\n}", "403 one"},
		{"act later\nact fail one\nhandle_errors {\n act later\n act fail two\n}", "403 two"},
		{"act later\nact fail one\nhandle_errors {\n act later\n act tell \"{sip.error.reason}\"\n}", "200 one"},
		{"act later\nact fail one\nhandle_errors {\n act note x\n}", "403 one"},
	} {
		t.Run(strings.NewReplacer("\n", ";", "{", "(", "}", ")").Replace(tc.directives), func(t *testing.T) {
			s, log := withLog(t, "ERROR", tc.directives)
			panics := s.Metric("caddy_sip_panics_total")
			for _, p := range peers(s) {
				p.Send(request("MESSAGE", "sip:bob@example.com"))
				m := p.Expect("SIP/2.0 " + tc.status + "\r\n")
				if strings.Contains(m.Text, "secret") {
					t.Errorf("the answer tells\n%s", m.Text)
				}
				p.Nothing()
			}
			want := float64(2 * strings.Count(tc.directives, "panic"))
			if got := s.Metric("caddy_sip_panics_total") - panics; got != want {
				t.Errorf("%v panics counted, want %v", got, want)
			}
			if text := strings.Join(log(), "\n"); want > 0 && !strings.Contains(text, `"panic":"secret of the house"`) {
				t.Errorf("logged\n%s", text)
			}
		})
	}
	notes.take()
}

// TestErrorRoutesOnce has error routes fail on another goroutine: they don't get their own error.
func TestErrorRoutesOnce(t *testing.T) {
	s := start(t, "act fail one")
	var config map[string]any
	if err := json.Unmarshal(handlertest.Adapt(t, handlertest.Caddyfile(s.Addr, "act fail one")), &config); err != nil {
		t.Fatal(err)
	}
	errors := `{"routes": [{"handle": [{"handler": "act", "what": ["later"]}, {"handler": "act", "what": ["note", "x"]}, {"handler": "act", "what": ["fail", "two"]}]}]}`
	config["apps"].(map[string]any)["sip"].(map[string]any)["servers"].(map[string]any)["srv0"].(map[string]any)["errors"] = json.RawMessage(errors)
	text, err := json.Marshal(config)
	if err != nil {
		t.Fatal(err)
	}
	if err := caddy.Load(text, true); err != nil {
		t.Fatal(err)
	}
	p := s.UDP()
	p.Send(request("MESSAGE", "sip:bob@example.com"))
	p.Expect("SIP/2.0 403 two\r\n")
	if got := notes.take(); got != "x" {
		t.Errorf("ran %s", got)
	}
}

// TestGroupsLater has the second handler of a group come when the first has gone on, on another
// goroutine.
func TestGroupsLater(t *testing.T) {
	s := start(t, `
		handle {
			act later
			handle {
				act later
				act note a
			}
			handle {
				act note b
			}
		}
		handle {
			act note c
		}
		act tell done`)
	for _, p := range peers(s) {
		for range 20 {
			p.Send(request("MESSAGE", "sip:bob@example.com"))
			p.Expect("SIP/2.0 200 done\r\n")
			if got := notes.take(); got != "a" {
				t.Fatalf("ran %s", got)
			}
		}
	}
}

// TestKeep answers a request when the memory that it came in has been used for others.
func TestKeep(t *testing.T) {
	s := start(t, "handle {\n @kept header X-Keep yes\n act @kept hold\n}")
	for _, p := range peers(s) {
		p.Send(request("MESSAGE", "sip:bob@example.com", "User-Agent:", "X-Keep: yes\nUser-Agent:"))
		h := <-holds
		for range 100 {
			p.Send(request("MESSAGE", "sip:carol@example.org", "alice", "mallory", "Call-ID: call-1", "Call-ID: another"))
			p.Expect("SIP/2.0 404")
		}
		_, from := h.r.From()
		_, contact := h.r.Address(wire.Contact)
		if string(h.r.URI().Raw) != "sip:bob@example.com" || string(from.Raw) != "sip:alice@example.com" || string(contact.Raw) != "sip:alice@192.0.2.77:5071;line=ab12" ||
			string(h.r.Header("Call-ID")) != "call-1" || h.r.Source() != p.Addr || h.r.Local() != s.Addr || !strings.EqualFold(h.r.Transport(), p.Transport()) ||
			h.r.Replace("{sip.snom.model}") != "D785" || time.Since(h.r.Received()) < 0 {
			t.Errorf("kept\n%s", h.r.Message().Raw)
		}
		if err := module.Respond(h.w, 200, "at last"); err != nil {
			t.Fatal(err)
		}
		m := p.Expect("SIP/2.0 200 at last\r\n")
		if m.Header("Call-ID") != "call-1" || m.Header("From") != `"Alice" <sip:alice@example.com>;tag=f1` {
			t.Errorf("got\n%s", m.Text)
		}
		if err := module.Respond(h.w, 200, "twice"); err == nil || h.w.Status() != 200 {
			t.Errorf("a second answer: %v", err)
		}
		p.Nothing()
	}
}
