package engine

import (
	"maps"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/location"
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
