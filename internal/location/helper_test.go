package location

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

const alice = "alice@example.com"

var flow = transport.Flow{
	Network: transport.UDP,
	Remote:  netip.MustParseAddrPort("203.0.113.7:40312"),
	Local:   netip.MustParseAddrPort("192.0.2.1:5060"),
}

func newStore(t testing.TB, o Options) *Store {
	s := New(o)
	t.Cleanup(func() { s.Close() })
	return s
}

// pass lets virtual time pass, and the sweeper do what is due.
func pass(d time.Duration) {
	time.Sleep(d)
	synctest.Wait()
}

// contact is one Contact for an hour.
func contact(t testing.TB, uri string) ContactUpdate {
	t.Helper()
	u, err := wire.ParseURI([]byte(uri))
	if err != nil {
		t.Fatalf("%q: %v", uri, err)
	}
	return ContactUpdate{URI: u, Expires: 3600, Q: 1000}
}

func update(callID string, cseq uint32, contacts ...ContactUpdate) *Update {
	return &Update{
		AOR:       []byte(alice),
		CallID:    []byte(callID),
		CSeq:      cseq,
		Contacts:  contacts,
		UserAgent: []byte("snom370/8.7.5.48"),
		Flow:      flow,
	}
}

// mustUpdate applies u and returns what changed, as "+new", "=refreshed", "-removed".
func mustUpdate(t testing.TB, s *Store, u *Update) string {
	t.Helper()
	var r Result
	if err := s.Update(u, &r); err != nil {
		t.Fatalf("update: %v", err)
	}
	if got, want := contacts(r.Bindings), contacts(s.Lookup(u.AOR, nil)); got != want {
		t.Fatalf("the result has %q, the store %q", got, want)
	}
	var out []string
	for _, c := range r.Changes {
		switch {
		case c.Old == nil:
			out = append(out, "+"+c.New.Contact())
		case c.New == nil:
			out = append(out, "-"+c.Old.Contact())
		default:
			out = append(out, "="+c.New.Contact())
		}
	}
	return strings.Join(out, " ")
}

func contacts(bindings []*Binding) string {
	var out []string
	for _, b := range bindings {
		out = append(out, b.Contact())
	}
	return strings.Join(out, " ")
}

func wantContacts(t testing.TB, s *Store, want string) []*Binding {
	t.Helper()
	all := s.Lookup([]byte(alice), nil)
	if got := contacts(all); got != want {
		t.Fatalf("bindings are %q, want %q", got, want)
	}
	if got := s.Registered([]byte(alice)); got != (want != "") {
		t.Fatalf("Registered is %v with bindings %q", got, want)
	}
	return all
}

func wantLen(t testing.TB, s *Store, aors, bindings int) {
	t.Helper()
	if a, b := s.Len(); a != aors || b != bindings {
		t.Fatalf("Len is %d AORs and %d bindings, want %d and %d", a, b, aors, bindings)
	}
}

// fill registers n phones as they come in practice, each with one Contact.
func fill(t testing.TB, s *Store, n int) {
	var r Result
	for i := range n {
		u := phone(t, i)
		if err := s.Update(u, &r); err != nil {
			t.Fatal(err)
		}
	}
}

func phone(t testing.TB, i int) *Update {
	u := update(fmt.Sprintf("%032x", i), 1, contact(t, fmt.Sprintf("sip:user%07d@192.168.100.200:5060;line=ab12cd34", i)))
	u.AOR = fmt.Appendf(nil, "user%07d@example.com", i)
	return u
}
