package match

import (
	"testing"

	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
	"github.com/caddysip/caddysip/wire"
)

func register(t testing.TB, app *module.App, aor string) {
	t.Helper()
	contact, err := wire.ParseURI([]byte("sip:alice@192.0.2.7"))
	if err != nil {
		t.Fatal(err)
	}
	u := &location.Update{
		AOR: []byte(aor), CallID: []byte("c"), CSeq: 1,
		Contacts: []location.ContactUpdate{{URI: contact, Expires: 3600, Q: 1000}},
	}
	if err := inside.AppOf(app).Location().Update(u, new(location.Result)); err != nil {
		t.Fatal(err)
	}
}

func TestRegistered(t *testing.T) {
	for _, tc := range []struct {
		matchers string
		edits    []string
		want     bool
	}{
		{"@x registered", nil, false},
		{"@x registered", []string{"INVITE sip:431", "INVITE sip:alice"}, true},
		{"@x registered", []string{"INVITE sip:431@example.com", "INVITE sip:al%69ce@EXAMPLE.com:5070;user=phone"}, true},
		{"@x registered", []string{"INVITE sip:431@example.com", "INVITE sip:alice@192.0.2.10"}, true},
		{"@x registered", []string{"INVITE sip:431@example.com", "INVITE sip:alice@example.org"}, false},
		{"@x registered", []string{"INVITE sip:431@example.com", "INVITE sip:example.com"}, false},
		{"@x registered from", nil, true},
		{"@x registered from", []string{"<sip:alice", "<sip:bob"}, false},
		{"@x registered from", []string{"<sip:alice@Example.com>", "<sip:alice@example.org>"}, false},
	} {
		s := server(t, tc.matchers)
		register(t, s.App(), "alice@example.com")
		var w moduletest.Recorder
		s.Serve(&w, moduletest.Request(t, edited(t, tc.edits...), moduletest.To(s)))
		if got := w.Status() == foundStatus; got != tc.want {
			t.Errorf("%s with %q: %v", tc.matchers, tc.edits, got)
		}
	}
}
