package location

import (
	"encoding/json"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

func TestRecordAndRestore(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		c := contact(t, "sip:a@192.0.2.20;line=x")
		c.Q, c.Instance, c.RegID = 700, []byte("<urn:x>"), 3
		u := update("one", 77, c)
		u.Path = []byte("<sip:edge.example.com;lr>")
		u.Flow.Network, u.Flow.Conn = transport.WSS, new(transport.Conn)
		mustUpdate(t, s, u)
		pass(time.Minute)

		text, err := json.Marshal(s.Lookup([]byte(alice), nil)[0].Record())
		if err != nil {
			t.Fatal(err)
		}
		var rec Record
		if err := json.Unmarshal(text, &rec); err != nil {
			t.Fatal(err)
		}
		changed := 0
		other := newStore(t, Options{OnChange: func(string) { changed++ }})
		if err := other.Restore(rec); err != nil {
			t.Fatal(err)
		}
		wantLen(t, other, 1, 1)
		b := wantContacts(t, other, "sip:a@192.0.2.20;line=x")[0]
		want := s.Lookup([]byte(alice), nil)[0].Record()
		if b.Record() != want {
			t.Fatalf("restored %+v\nwant     %+v", b.Record(), want)
		}
		if !b.FlowFailed() || other.Remaining(b) != 3540 {
			t.Fatalf("flow failed: %v, remaining: %d", b.FlowFailed(), other.Remaining(b))
		}

		// The phone was faster.
		mustUpdate(t, other, func() *Update { u.CSeq = 78; return u }())
		if err := other.Restore(rec); err != nil {
			t.Fatal(err)
		}
		if b := wantContacts(t, other, "sip:a@192.0.2.20;line=x")[0]; b.CSeq() != 78 || b.FlowFailed() {
			t.Fatalf("an old record replaced a binding: %+v", b.Record())
		}
		if changed != 1 { // by the phone
			t.Fatalf("OnChange was called %d times", changed)
		}
	})
}

func TestRestoreKeepsTheOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStore(t, Options{})
		for i := range uint32(5) {
			mustUpdate(t, s, update("one", i, contact(t, "sip:"+string(rune('a'+i))+"@192.0.2.20")))
			pass(time.Second)
		}
		all := s.Lookup([]byte(alice), nil)
		other := newStore(t, Options{})
		for _, i := range []int{3, 0, 4, 1, 2} {
			if err := other.Restore(all[i].Record()); err != nil {
				t.Fatal(err)
			}
		}
		wantContacts(t, other, contacts(all))
		wantLen(t, other, 1, 5)
	})
}

func TestRestoreWhereSomethingHasExpired(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		expired := 0
		s := newStore(t, Options{OnExpired: func(*Binding) { expired++ }})
		c := contact(t, "sip:a@192.0.2.20")
		c.Expires = 10
		mustUpdate(t, s, update("one", 1, c))
		rec := s.Lookup([]byte(alice), nil)[0].Record()
		pass(10 * time.Second) // before the sweeper comes
		if err := s.Restore(rec); err != nil {
			t.Fatal(err)
		}
		wantContacts(t, s, "")
		rec.Expires = rec.Expires.Add(time.Minute)
		if err := s.Restore(rec); err != nil {
			t.Fatal(err)
		}
		pass(10 * time.Second)
		wantContacts(t, s, "sip:a@192.0.2.20")
		wantLen(t, s, 1, 1)
		if expired != 1 {
			t.Fatalf("%d have expired", expired)
		}
	})
}

func TestRestoreRefusesNonsense(t *testing.T) {
	s := newStore(t, Options{})
	mustUpdate(t, s, update("one", 1, contact(t, "sip:a@192.0.2.20")))
	good := s.Lookup([]byte(alice), nil)[0].Record()
	s.Remove([]byte(alice), nil)
	for name, edit := range map[string]func(*Record){
		"network": func(r *Record) { r.Network = "sctp" },
		"contact": func(r *Record) { r.Contact = "nonsense" },
		"size":    func(r *Record) { r.Path = string(make([]byte, 70000)) },
	} {
		rec := good
		edit(&rec)
		if err := s.Restore(rec); err == nil {
			t.Errorf("%s: no error", name)
		}
	}
	wantLen(t, s, 0, 0)
	for name, edit := range map[string]func(*Record){
		"expired":   func(r *Record) { r.Expires = time.Now().Add(-time.Second) },
		"zero time": func(r *Record) { r.Expires = time.Time{} },
	} {
		rec := good
		edit(&rec)
		if err := s.Restore(rec); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	wantLen(t, s, 0, 0)
}
