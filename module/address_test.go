package module_test

import (
	"testing"

	"github.com/caddysip/caddysip/module/moduletest"
	"github.com/caddysip/caddysip/wire"
)

// TestAddressRead asks for From and To again and again, between changes of the request.
func TestAddressRead(t *testing.T) {
	r := moduletest.Request(t, moduletest.Invite)
	is := func(from, to string) {
		t.Helper()
		for range 2 {
			_, f := r.From()
			_, u := r.To()
			if string(f.Raw) != from || string(u.Raw) != to {
				t.Errorf("From %q, To %q, want %q and %q", f.Raw, u.Raw, from, to)
			}
			if a, u := r.Address(wire.From); string(u.Host) != string(f.Host) || string(a.URI) != from {
				t.Errorf("From is %q at %q", a.URI, u.Host)
			}
		}
	}
	is("sip:alice@Example.com", "sip:431@example.com")
	set := func(value string) error {
		return r.Edit(func(e *wire.Edits, m *wire.Message) {
			e.DeleteHeader(m, "To")
			e.AddHeader(m, "To", value)
		})
	}
	if err := set("<sip:x@y;z>"); err != nil {
		t.Fatal(err)
	}
	is("sip:alice@Example.com", "sip:x@y;z")
	if set("a b c <") == nil {
		t.Error("a request without To")
	}
	is("sip:alice@Example.com", "sip:x@y;z")
	if err := set("<no URI>"); err != nil {
		t.Fatal(err)
	}
	is("sip:alice@Example.com", "")
	if err := set("sip:431@example.com"); err != nil {
		t.Fatal(err)
	}
	is("sip:alice@Example.com", "sip:431@example.com")
	r = moduletest.Request(t, moduletest.Invite)
	is("sip:alice@Example.com", "sip:431@example.com")
	batch := r.Message().Raw
	r.Keep()
	clear(batch) // the next datagram comes
	is("sip:alice@Example.com", "sip:431@example.com")
}

// BenchmarkFrom is a matcher that looks at From, as many may in a row.
func BenchmarkFrom(b *testing.B) {
	r := moduletest.Request(b, moduletest.Invite)
	b.ReportAllocs()
	for b.Loop() {
		if _, u := r.From(); u.Scheme != wire.SIP {
			b.Fatal(u)
		}
	}
}
