package redirect

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/module/moduletest"
)

func TestRedirect(t *testing.T) {
	for _, tc := range []struct {
		to   []string
		want string
	}{
		{[]string{"sip:bob@example.com"}, "Contact: <sip:bob@example.com>\r\n"},
		{[]string{"sip:{sip.uri.user}@192.0.2.1;transport=tcp"}, "Contact: <sip:431@192.0.2.1;transport=tcp>\r\n"},
		{
			[]string{"sip:a@example.com", "sips:b@example.com", "tel:+1"},
			"Contact: <sip:a@example.com>;q=1.000\r\nContact: <sips:b@example.com>;q=0.667\r\nContact: <tel:+1>;q=0.333\r\n",
		},
		{[]string{"sip:{sip.vars.bad}@example.com"}, "Contact: <sip:x%3E%0D%0AVia%3A%20y@example.com>\r\n"},
	} {
		h := &Redirect{To: tc.to}
		if err := h.Validate(); err != nil {
			t.Fatal(err)
		}
		r := moduletest.Request(t, moduletest.Invite)
		r.SetVar("bad", "x>\r\nVia: y")
		var w moduletest.Recorder
		var next moduletest.Next
		if err := h.ServeSIP(&w, r, next.Serve); err != nil || next.Calls != 0 || len(w.Responses) != 1 {
			t.Errorf("%q: %v, %d calls of next, %d responses", tc.to, err, next.Calls, len(w.Responses))
			continue
		}
		if res := w.Responses[0]; res.Status != 302 || string(res.Header) != tc.want {
			t.Errorf("%q: %d\n%s", tc.to, res.Status, res.Header)
		}
		// A second one finds it answered.
		if err := h.ServeSIP(&w, r, next.Serve); err != nil || next.Calls != 1 || len(w.Responses) != 1 {
			t.Errorf("%q again: %v, %d calls of next, %d responses", tc.to, err, next.Calls, len(w.Responses))
		}
	}
}

func TestOrder(t *testing.T) {
	h := new(Redirect)
	for range 1000 {
		h.To = append(h.To, "sip:bob@example.com")
	}
	var w moduletest.Recorder
	if err := h.ServeSIP(&w, moduletest.Request(t, moduletest.Invite), nil); err != nil {
		t.Fatal(err)
	}
	last := "q=2"
	for line := range strings.SplitSeq(strings.TrimSuffix(string(w.Responses[0].Header), "\r\n"), "\r\n") {
		_, q, _ := strings.Cut(line, ";")
		if q >= last {
			t.Fatalf("%s follows %s", q, last)
		}
		last = q
	}
}

func TestLeftAlone(t *testing.T) {
	for _, method := range []string{"ACK", "CANCEL"} {
		var w moduletest.Recorder
		var next moduletest.Next
		r := moduletest.Request(t, strings.ReplaceAll(moduletest.Invite, "INVITE", method))
		if err := (&Redirect{To: []string{"sip:b@example.com"}}).ServeSIP(&w, r, next.Serve); err != nil || next.Calls != 1 || len(w.Responses) != 0 {
			t.Errorf("%s: %v, %d calls of next, %d responses", method, err, next.Calls, len(w.Responses))
		}
	}
}

func TestBadURI(t *testing.T) {
	r := moduletest.Request(t, moduletest.Invite)
	r.SetVar("bad", "sip:a@b>\r\nVia: x")
	for _, to := range []string{"{sip.vars.bad}", "{sip.vars.nothing}", "sip:{sip.vars.nothing}@example.com"} {
		var w moduletest.Recorder
		if err := (&Redirect{To: []string{to}}).ServeSIP(&w, r, nil); err == nil || len(w.Responses) != 0 {
			t.Errorf("%s: %v, %d responses", to, err, len(w.Responses))
		}
	}
}

func TestCaddyfile(t *testing.T) {
	for text, want := range map[string]string{
		"redirect":                              "at least one URI",
		"redirect bob@example.com":              `"bob@example.com" is not a SIP URI`,
		"redirect sip:a@b mailto:x@example.com": "the scheme is not sip, sips or tel",
		"redirect sip:@example.com":             "empty user part",
	} {
		if err := new(Redirect).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text)); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %v, want %q", text, err, want)
		}
	}
	if err := new(Redirect).Validate(); err == nil {
		t.Error("no error without URIs")
	}
}
