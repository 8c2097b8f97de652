package respond

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module/moduletest"
)

func handler(t *testing.T, text string) *Respond {
	t.Helper()
	h := new(Respond)
	if err := h.UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err != nil {
		t.Fatal(err)
	}
	if err := h.Provision(caddy.Context{}); err != nil {
		t.Fatal(err)
	}
	if err := h.Validate(); err != nil {
		t.Fatal(err)
	}
	return h
}

func TestRespond(t *testing.T) {
	for _, tc := range []struct {
		text           string
		status         int
		reason, header string
	}{
		{"respond", 200, "", ""},
		{"respond 403", 403, "", ""},
		{`respond 404 "Not {sip.uri.user}"`, 404, "Not 431", ""},
		{"respond {sip.vars.status}", 486, "", ""},
		{"respond 503 {\n header Retry-After 30\n header s {sip.vars.bad}\n header Retry-After 40\n}", 503, "", "Retry-After: 30\r\nRetry-After: 40\r\nSubject: a  Via: b\r\n"},
	} {
		r := moduletest.Request(t, moduletest.Invite)
		r.SetVar("status", 486)
		r.SetVar("bad", "a\r\nVia: b")
		var w moduletest.Recorder
		var next moduletest.Next
		if err := handler(t, tc.text).ServeSIP(&w, r, next.Serve); err != nil || next.Calls != 0 || len(w.Responses) != 1 {
			t.Errorf("%s: %v, %d calls of next, %d responses", tc.text, err, next.Calls, len(w.Responses))
			continue
		}
		if res := w.Responses[0]; res.Status != tc.status || res.Reason != tc.reason || string(res.Header) != tc.header {
			t.Errorf("%s: %d %q %q", tc.text, res.Status, res.Reason, res.Header)
		}
	}
}

// A request that has been answered, and one that nothing answers, go on.
func TestLeftAlone(t *testing.T) {
	h := handler(t, "respond 404")
	for name, prepare := range map[string]func(w *moduletest.Recorder) string{
		"answered": func(w *moduletest.Recorder) string {
			if err := h.ServeSIP(w, moduletest.Request(t, moduletest.Invite), nil); err != nil {
				t.Fatal(err)
			}
			return moduletest.Invite
		},
		"ACK": func(*moduletest.Recorder) string { return strings.ReplaceAll(moduletest.Invite, "INVITE", "ACK") },
	} {
		var w moduletest.Recorder
		raw := prepare(&w)
		before := len(w.Responses)
		var next moduletest.Next
		if err := h.ServeSIP(&w, moduletest.Request(t, raw), next.Serve); err != nil || next.Calls != 1 || len(w.Responses) != before {
			t.Errorf("%s: %v, %d calls of next, %d responses", name, err, next.Calls, len(w.Responses)-before)
		}
	}
}

func TestBadPlaceholder(t *testing.T) {
	var w moduletest.Recorder
	err := handler(t, "respond {sip.vars.nothing}").ServeSIP(&w, moduletest.Request(t, moduletest.Invite), nil)
	if err == nil || len(w.Responses) != 0 {
		t.Errorf("%v, %d responses", err, len(w.Responses))
	}
}

const invite = `INVITE sip:431@example.com SIP/2.0
Via: SIP/2.0/{transport} {me};branch={branch};rport
Max-Forwards: 70
From: <sip:alice@example.com>;tag=f
To: <sip:431@example.com>
Call-ID: c1
CSeq: 1 INVITE
Contact: <sip:alice@{me}>

`

// A provisional response makes a transaction: the same responses come again when the client repeats its request.
func TestProvisional(t *testing.T) {
	s := handlertest.Start(t, "respond 180\nrespond 486 \"Not Now\"")
	p := s.UDP()
	text := strings.ReplaceAll(invite, "{branch}", "z9hG4bKsame")
	p.Send(text)
	ringing := p.Expect("SIP/2.0 180 Ringing\r\n")
	busy := p.Expect("SIP/2.0 486 Not Now\r\n")
	if ringing.Header("To") != busy.Header("To") || !strings.Contains(busy.Header("To"), ";tag=") {
		t.Errorf("To is %q and then %q", ringing.Header("To"), busy.Header("To"))
	}
	p.Send(text)
	p.Expect("SIP/2.0 486 Not Now\r\n")
	ack := strings.Replace(strings.Replace(text, "INVITE ", "ACK ", 1), "1 INVITE", "1 ACK", 1)
	p.Send(strings.Replace(ack, "To: <sip:431@example.com>", "To: "+busy.Header("To"), 1))
	p.Nothing()
}

// RFC 4320 §4.1: no provisional response to another request than INVITE.
func TestProvisionalToOthers(t *testing.T) {
	s := handlertest.Start(t, "respond 180\nrespond 200")
	p := s.UDP()
	p.Send(strings.ReplaceAll(invite, "INVITE", "MESSAGE"))
	p.Expect("SIP/2.0 200 OK\r\n")
	p.Nothing()
}

func TestOnTheWire(t *testing.T) {
	s := handlertest.Start(t, "respond 480 {\n header Retry-After 5\n}\nrespond 500")
	p := s.TCP()
	p.Send(invite)
	res := p.Expect("SIP/2.0 480 Temporarily Unavailable\r\n")
	if res.Header("Retry-After") != "5" || res.Header("Call-ID") != "c1" {
		t.Errorf("response:\n%s", res.Text)
	}
	p.Nothing()
}
