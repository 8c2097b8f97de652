package engine

import (
	"maps"
	"runtime"
	"strings"
	"testing"
	"testing/synctest"
	"time"
	"weak"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/wire"
)

func TestRegistrationEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		sub := e.Events.Subscribe(0)
		defer sub.Close()
		want := func(typ string, data map[string]any) {
			t.Helper()
			got, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m := got.Map()
			if _, ok := m["expires"].(string); ok {
				m["expires"] = "then"
			}
			if got.Type != typ || !maps.Equal(m, data) {
				t.Fatalf("%s %v, want %s %v", got.Type, m, typ, data)
			}
		}
		describe := func(user string, more ...string) map[string]any {
			m := map[string]any{
				"aor": user + "@example.com", "contact": "sip:" + user + "@192.0.2.20:5060;line=1", "source": "203.0.113.7:40312", "transport": "udp", "user_agent": "snom",
			}
			for i := 0; i < len(more); i += 2 {
				m[more[i]] = more[i+1]
			}
			return m
		}
		register(t, e, "a", 1, time.Hour)
		want(events.Registered, describe("a", "expires", "then"))
		register(t, e, "a", 2, time.Hour) // a refresh is no event
		register(t, e, "a", 3, 0)
		want(events.Unregistered, describe("a", "reason", "removed"))
		register(t, e, "b", 1, time.Minute)
		want(events.Registered, describe("b", "expires", "then"))
		want(events.Unregistered, describe("b", "reason", "expired", "expires", "then"))
		register(t, e, "c", 1, time.Hour)
		want(events.Registered, describe("c", "expires", "then"))
		e.Location.Remove([]byte("c@example.com"), nil)
		want(events.Unregistered, describe("c", "reason", "removed"))
		last := sub.Last()
		if err := e.Location.Restore(location.Record{
			AOR: "d@example.com", Contact: "sip:d@192.0.2.20", CallID: "d", Expires: time.Now().Add(time.Hour), Network: phoneFlow.Network.String(),
			Source: phoneFlow.Remote, Local: phoneFlow.Local,
		}); err != nil {
			t.Fatal(err)
		}
		if e.Events.Last() != last {
			t.Error("what was registered before the server started is registered again")
		}
	})
}

// TestReplacedEvents restarts a phone: the end of its old Contact is published once.
func TestReplacedEvents(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := newEngine(t)
		sub := e.Events.Subscribe(0)
		defer sub.Close()
		register := func(line string, cseq, expires uint32) {
			t.Helper()
			uri, err := wire.ParseURI([]byte("sip:a@192.0.2.20;line=" + line))
			if err != nil {
				t.Fatal(err)
			}
			if err := e.Location.Update(&location.Update{
				AOR: []byte("a@example.com"), CallID: []byte(line), CSeq: cseq, Flow: phoneFlow,
				Contacts: []location.ContactUpdate{{URI: uri, Expires: expires, Instance: []byte("i")}},
			}, new(location.Result)); err != nil {
				t.Fatal(err)
			}
		}
		register("1", 1, 60)
		register("2", 1, 3600)
		time.Sleep(time.Hour / 2) // the first expires
		register("3", 1, 3600)
		register("2", 2, 3600) // there are two
		e.Location.Remove([]byte("a@example.com"), nil)
		for _, want := range []string{
			"registered 1", "registered 2", "unregistered 1 replaced", "registered 3", "unregistered 2 replaced",
			"registered 2", "unregistered 2 removed", "unregistered 3 removed",
		} {
			ev, err := sub.Next(t.Context())
			if err != nil {
				t.Fatal(err)
			}
			m := ev.Map()
			got := ev.Type + " " + strings.TrimPrefix(m["contact"].(string), "sip:a@192.0.2.20;line=")
			if reason, ok := m["reason"]; ok {
				got += " " + reason.(string)
			}
			if got != want {
				t.Fatalf("%s, want %s", got, want)
			}
		}
	})
}

// TestEventsKeepNoBinding registers a phone with long texts and removes it: its events tell of it,
// and keep nothing of it but what they tell.
func TestEventsKeepNoBinding(t *testing.T) {
	e := newEngine(t)
	sub := e.Events.Subscribe(0)
	defer sub.Close()
	// Some texts may be more than the registrar takes.
	uri, err := wire.ParseURI([]byte("sip:a@192.0.2.20;x=" + strings.Repeat("c", 900)))
	if err != nil {
		t.Fatal(err)
	}
	var r location.Result
	if err := e.Location.Update(&location.Update{
		AOR: []byte("a@example.com"), CallID: []byte(strings.Repeat("i", 1000)), CSeq: 1, Flow: phoneFlow,
		UserAgent: []byte("snom\x00" + strings.Repeat("u", 1000)),
		Contacts:  []location.ContactUpdate{{URI: uri, Expires: 3600, Q: 1000}},
	}, &r); err != nil {
		t.Fatal(err)
	}
	list := e.Location.Lookup([]byte("a@example.com"), nil)
	if len(list) != 1 {
		t.Fatalf("there are %d bindings", len(list))
	}
	binding := weak.Make(list[0])
	r, list = location.Result{}, nil
	e.Location.Remove([]byte("a@example.com"), nil)
	runtime.GC()
	runtime.GC()
	if binding.Value() != nil {
		t.Error("the binding was removed and is still in memory")
	}
	for _, typ := range []string{events.Registered, events.Unregistered} {
		got, err := sub.Next(t.Context())
		if err != nil || got.Type != typ {
			t.Fatalf("%s, %v, want %s", got.Type, err, typ)
		}
		m := got.Map()
		contact, agent := m["contact"].(string), m["user_agent"].(string)
		if len(contact) != events.MaxText || !strings.HasSuffix(contact, "c…") ||
			len(agent) != events.MaxText || !strings.HasPrefix(agent, "snom?u") || !strings.HasSuffix(agent, "…") {
			t.Errorf("the contact is %q of %q", contact, agent)
		}
	}
}
