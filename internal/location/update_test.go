package location

import (
	"bytes"
	"errors"
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

func TestRefreshReplacesAndLeavesTheOldBindingAlone(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		const uri = "sip:alice@192.0.2.20:5060;line=ab12cd34"
		start := time.Now()
		if got := mustUpdate(t, s, update("one", 1, contact(t, uri))); got != "+"+uri {
			t.Fatalf("changes: %q", got)
		}
		old := wantContacts(t, s, uri)[0]
		before := old.Record()

		pass(time.Minute)
		u := update("one", 2, contact(t, uri))
		u.Flow.Remote = flow.Local
		u.UserAgent = []byte("snomD785/10.1")
		if got := mustUpdate(t, s, u); got != "="+uri {
			t.Fatalf("changes: %q", got)
		}
		b := wantContacts(t, s, uri)[0]
		if b == old || old.Record() != before {
			t.Fatal("a refresh changed the binding that was handed out")
		}
		if b.CSeq() != 2 || b.Source() != flow.Local || b.UserAgent() != "snomD785/10.1" {
			t.Fatalf("the refresh was not taken over: %+v", b.Record())
		}
		if !b.Registered().Equal(start) || !b.Updated().Equal(start.Add(time.Minute)) || !b.Expires().Equal(start.Add(time.Hour+time.Minute)) {
			t.Fatalf("times: %+v", b.Record())
		}
		wantLen(t, s, 1, 1)
	})
}

func TestNothingOfAnUpdateIsKept(t *testing.T) {
	s := newStore(t, Options{})
	u := update("one", 1, contact(t, "sip:alice@192.0.2.20"))
	u.Path, u.Contacts[0].Instance = []byte("<sip:edge>"), []byte("<urn:x>")
	mustUpdate(t, s, u)
	want := wantContacts(t, s, "sip:alice@192.0.2.20")[0].Record()
	for _, b := range [][]byte{u.CallID, u.Path, u.UserAgent, u.Contacts[0].Instance, u.Contacts[0].URI.Raw} {
		for i := range b {
			b[i] = '#'
		}
	}
	if got := s.Lookup([]byte(alice), nil)[0].Record(); got != want {
		t.Fatalf("got %+v, want %+v", got, want)
	}
}

func TestContactsAreComparedAsURIs(t *testing.T) {
	s := newStore(t, Options{})
	mustUpdate(t, s, update("one", 1, contact(t, "sip:alice@Phone.example.com")))
	for i, test := range []struct{ uri, change string }{
		{"sip:%61lice@phone.example.com", "=sip:%61lice@phone.example.com"}, // RFC 3261 §19.1.4: escapes and the host's case do not count
		{"sip:alice@phone.example.com:5060", "+sip:alice@phone.example.com:5060"},
		{"sip:Alice@phone.example.com", "+sip:Alice@phone.example.com"},
		{"sip:alice@phone.example.com;transport=tcp", "+sip:alice@phone.example.com;transport=tcp"},
		{"sip:alice@phone.example.com;TRANSPORT=TCP", "=sip:alice@phone.example.com;TRANSPORT=TCP"},
		{"mailto:alice@example.com", "+mailto:alice@example.com"},
	} {
		u := update("two", uint32(i), contact(t, test.uri))
		u.UserAgent = fmt.Append(nil, i) // each is another phone
		if got := mustUpdate(t, s, u); got != test.change {
			t.Errorf("%s: changes %q, want %q", test.uri, got, test.change)
		}
	}
	wantLen(t, s, 1, 5)
}

func TestOrder(t *testing.T) {
	s := newStore(t, Options{})
	for i, q := range []uint16{500, 1000, 500, 0, 1000} {
		c := contact(t, "sip:"+string(rune('a'+i))+"@192.0.2.20")
		c.Q = q
		mustUpdate(t, s, update("one", uint32(i), c))
	}
	// The highest q first, the latest first among equals.
	wantContacts(t, s, "sip:e@192.0.2.20 sip:b@192.0.2.20 sip:c@192.0.2.20 sip:a@192.0.2.20 sip:d@192.0.2.20")
	c := contact(t, "sip:a@192.0.2.20")
	c.Q = 500
	mustUpdate(t, s, update("one", 9, c))
	wantContacts(t, s, "sip:e@192.0.2.20 sip:b@192.0.2.20 sip:a@192.0.2.20 sip:c@192.0.2.20 sip:d@192.0.2.20")
	wantLen(t, s, 1, 5)
}

// RFC 3261 §10.3 step 7, and the reboot that it does not think of.
func TestSequence(t *testing.T) {
	const uri = "sip:alice@192.0.2.20"
	remove := func(u *Update) { u.Contacts[0].Expires = 0 }
	all := func(u *Update) { u.Contacts, u.RemoveAll = nil, true }
	for _, test := range []struct {
		name    string
		after   time.Duration
		callID  string
		cseq    uint32
		edit    func(*Update)
		err     error
		changes string
	}{
		{name: "higher", callID: "one", cseq: 11, changes: "=" + uri},
		{name: "same", callID: "one", cseq: 10}, // a retransmission
		{name: "same, late", after: 31 * time.Second, callID: "one", cseq: 10},
		{name: "lower", callID: "one", cseq: 9, err: ErrOutOfOrder},
		{name: "lower, late", after: 31 * time.Second, callID: "one", cseq: 9, err: ErrOutOfOrder},
		{name: "lower after a reboot", after: 32 * time.Second, callID: "one", cseq: 9, changes: "=" + uri},
		{name: "same after a reboot", after: 32 * time.Second, callID: "one", cseq: 10, changes: "=" + uri},
		{name: "lower with another Call-ID", callID: "two", cseq: 1, changes: "=" + uri},
		{name: "same with another Call-ID", callID: "two", cseq: 10, changes: "=" + uri},
		{name: "removal", callID: "one", cseq: 11, edit: remove, changes: "-" + uri},
		{name: "removal, same", callID: "one", cseq: 10, edit: remove, err: ErrOutOfOrder},
		{name: "removal, lower", callID: "one", cseq: 9, edit: remove, err: ErrOutOfOrder},
		{name: "removal of all", callID: "one", cseq: 11, edit: all, changes: "-" + uri},
		{name: "removal of all, lower", callID: "one", cseq: 9, edit: all, err: ErrOutOfOrder},
		{name: "removal of all with another Call-ID", callID: "two", cseq: 1, edit: all, changes: "-" + uri},
	} {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				changed := 0
				s := newStore(t, Options{OnChange: func(string) { changed++ }})
				mustUpdate(t, s, update("one", 10, contact(t, uri)))
				old := wantContacts(t, s, uri)[0]
				pass(test.after)
				changed = 0
				u := update(test.callID, test.cseq, contact(t, uri))
				if test.edit != nil {
					test.edit(u)
				}
				if test.err != nil {
					r := Result{Bindings: []*Binding{old}}
					if err := s.Update(u, &r); err != test.err || len(r.Bindings) != 0 || len(r.Changes) != 0 {
						t.Fatalf("error is %v with %+v, want %v", err, r, test.err)
					}
				} else if got := mustUpdate(t, s, u); got != test.changes {
					t.Fatalf("changes are %q, want %q", got, test.changes)
				}
				if test.changes == "" {
					if wantContacts(t, s, uri)[0] != old {
						t.Fatal("the binding was replaced")
					}
				}
				if (changed == 1) != (test.changes != "") {
					t.Fatalf("OnChange was called %d times", changed)
				}
			})
		})
	}
}

func TestAllContactsOrNone(t *testing.T) {
	s := newStore(t, Options{})
	a, b, c := contact(t, "sip:a@192.0.2.20"), contact(t, "sip:b@192.0.2.20"), contact(t, "sip:c@192.0.2.20")
	mustUpdate(t, s, update("one", 10, a))
	var r Result
	if err := s.Update(update("one", 9, b, a), &r); err != ErrOutOfOrder {
		t.Fatalf("error is %v", err)
	}
	wantContacts(t, s, "sip:a@192.0.2.20")

	u := update("one", 11, b, c)
	u.Max, u.Refuse = 2, true
	if err := s.Update(u, &r); err != ErrTooMany || len(r.Bindings) != 0 || len(r.Changes) != 0 {
		t.Fatalf("error is %v with %+v", err, r)
	}
	wantContacts(t, s, "sip:a@192.0.2.20")
	wantLen(t, s, 1, 1)

	// The old one makes room for the new one in the same request.
	gone := a
	gone.Expires = 0
	u = update("one", 12, b, gone, c)
	u.Max = 2
	if got := mustUpdate(t, s, u); got != "+sip:b@192.0.2.20 -sip:a@192.0.2.20 +sip:c@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	wantLen(t, s, 1, 2)
}

func TestALoweredLimitStillAllowsRefreshes(t *testing.T) {
	s := newStore(t, Options{})
	a, b := contact(t, "sip:a@192.0.2.20"), contact(t, "sip:b@192.0.2.20")
	mustUpdate(t, s, update("one", 1, a, b))
	u := update("one", 2, a)
	u.Max = 1
	if got := mustUpdate(t, s, u); got != "=sip:a@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	wantLen(t, s, 1, 2)
}

func TestRemoval(t *testing.T) {
	s := newStore(t, Options{})
	a, b := contact(t, "sip:a@192.0.2.20"), contact(t, "sip:b@192.0.2.20")
	mustUpdate(t, s, update("one", 1, a, b))
	b.Expires = 0
	if got := mustUpdate(t, s, update("one", 2, b)); got != "-sip:b@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	if got := mustUpdate(t, s, update("one", 3, b)); got != "" {
		t.Fatalf("removing what is not there changed %q", got)
	}
	wantLen(t, s, 1, 1)
	u := update("two", 1)
	u.RemoveAll = true
	if got := mustUpdate(t, s, u); got != "-sip:a@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	if got := mustUpdate(t, s, u); got != "" {
		t.Fatalf("removing what is not there changed %q", got)
	}
	wantContacts(t, s, "")
	wantLen(t, s, 0, 0)

	mustUpdate(t, s, update("one", 4, contact(t, "sip:c@192.0.2.20"), contact(t, "sip:d@192.0.2.20")))
	if got := contacts(s.Remove([]byte(alice), nil)); got != "sip:d@192.0.2.20 sip:c@192.0.2.20" {
		t.Fatalf("removed %q", got)
	}
	if got := s.Remove([]byte(alice), nil); got != nil {
		t.Fatalf("removed %q from nothing", contacts(got))
	}
	wantLen(t, s, 0, 0)
}

func TestAnUpdateWithoutContactsOnlyLooks(t *testing.T) {
	s := newStore(t, Options{OnChange: func(aor string) { t.Errorf("%s changed", aor) }})
	if got := mustUpdate(t, s, update("one", 1)); got != "" {
		t.Fatalf("changes: %q", got)
	}
	wantLen(t, s, 0, 0)
}

func TestAContactTwiceInARequest(t *testing.T) {
	s := newStore(t, Options{})
	a, b := contact(t, "sip:a@192.0.2.20"), contact(t, "sip:a@192.0.2.20;x=y")
	mustUpdate(t, s, update("one", 1, a, b))
	wantContacts(t, s, "sip:a@192.0.2.20;x=y")
	wantLen(t, s, 1, 1)
	b.Expires = 0
	mustUpdate(t, s, update("one", 2, a, b))
	wantContacts(t, s, "")
	wantLen(t, s, 0, 0)
}

// TestOutbound has a Contact be known by its URI, and two ways to one phone by reg-id (RFC 5626 §6).
func TestOutbound(t *testing.T) {
	of := func(uri, instance string, regID uint32) ContactUpdate {
		c := contact(t, uri)
		c.Instance, c.RegID = []byte(instance), regID
		return c
	}
	s := newStore(t, Options{})
	mustUpdate(t, s, update("one", 1, contact(t, "sip:a@192.0.2.20")))
	if got := mustUpdate(t, s, update("two", 1, of("sip:a@192.0.2.20", "<urn:x>", 1))); got != "=sip:a@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	if got := mustUpdate(t, s, update("three", 1, of("sip:a@192.0.2.20", "<urn:x>", 2))); got != "+sip:a@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	wantLen(t, s, 1, 2)
	// The phone goes on with another address, and with that of a Contact that says nothing.
	if got := mustUpdate(t, s, update("two", 2, of("sip:a@192.0.2.99", "<urn:x>",
		1))); got != "+sip:a@192.0.2.99 -sip:a@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	mustUpdate(t, s, update("six", 1, contact(t, "sip:b@192.0.2.20")))
	if got := mustUpdate(t, s, update("two", 3, of("sip:b@192.0.2.20", "<urn:x>",
		1))); got != "=sip:b@192.0.2.20 -sip:a@192.0.2.99" {
		t.Fatalf("changes: %q", got)
	}
	wantLen(t, s, 1, 2)
	// Without reg-id it is the only way.
	if got := mustUpdate(t, s, update("two", 4, of("sip:a@192.0.2.20", "<urn:x>",
		0))); got != "=sip:a@192.0.2.20 -sip:b@192.0.2.20" {
		t.Fatalf("changes: %q", got)
	}
	wantLen(t, s, 1, 1)
	// Without an instance reg-id means nothing.
	mustUpdate(t, s, update("eight", 1, of("sip:c@192.0.2.20", "", 1)))
	if b := s.Lookup([]byte(alice), nil)[0]; b.Contact() != "sip:c@192.0.2.20" || b.RegID() != 0 {
		t.Fatalf("%+v", b.Record())
	}
}

func TestTooLarge(t *testing.T) {
	s := newStore(t, Options{})
	var r Result
	u := update("one", 1, contact(t, "sip:a@192.0.2.20"))
	u.Path = bytes.Repeat([]byte{'x'}, 65535-len(alice)-len("one")-len("sip:a@192.0.2.20"))
	u.Path = append(u.Path, 'x')
	if err := s.Update(u, &r); !errors.Is(err, ErrTooLarge) {
		t.Fatalf("error is %v", err)
	}
	wantLen(t, s, 0, 0)
	u.Path = u.Path[1:]
	mustUpdate(t, s, u)
	if b := wantContacts(t, s, "sip:a@192.0.2.20")[0]; b.Path() != string(u.Path) || b.CallID() != "one" {
		t.Fatalf("%d bytes of Path, Call-ID %q", len(b.Path()), b.CallID())
	}
}
