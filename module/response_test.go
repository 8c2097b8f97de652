package module_test

import (
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/respond"
	"github.com/caddysip/caddysip/internal/inside"
)

// TestDialogResponses has Record-Route in the responses that make a dialog (RFC 3261 §12.1.1), and
// a tag in all but 100 (§8.2.6.2), the same in each.
func TestDialogResponses(t *testing.T) {
	s := handlertest.Start(t, `
		@options method OPTIONS
		respond @options 200
		respond 100
		respond 180
		@busy uri_user busy
		respond @busy 486
		respond 200`)
	p := s.UDP()
	const route = "Record-Route: <sip:a.example;lr>, <sip:b.example;lr>"
	for _, tc := range []struct {
		method, user string
		statuses     []string
		routes       bool // in the final response
	}{
		{"INVITE", "bob", []string{"100", "180", "200"}, true},
		{"INVITE", "busy", []string{"100", "180", "486"}, false},
		{"MESSAGE", "bob", []string{"200"}, false},
	} {
		p.Send(request(tc.method, "sip:"+tc.user+"@example.com", "Contact: ", route+"\nContact: "))
		tag := ""
		for i, status := range tc.statuses {
			m := p.Expect("SIP/2.0 " + status)
			p.Ignore(m)
			final := i+1 == len(tc.statuses)
			if got, want := m.Header("Record-Route") != "", status == "180" || final && tc.routes; got != want {
				t.Errorf("Record-Route is there: %t in\n%s", got, m.Text)
			}
			switch {
			case status == "100" && m.Tag("To") != "":
				t.Errorf("a 100 has a tag:\n%s", m.Text)
			case status == "100":
			case m.Tag("To") == "" || tag != "" && m.Tag("To") != tag:
				t.Errorf("the tag is not %s in\n%s", tag, m.Text)
			default:
				tag = m.Tag("To")
			}
		}
	}
}

// TestWaitingMemory refuses what has to wait when there is no memory for it, and gives back what it
// took.
func TestWaitingMemory(t *testing.T) {
	s := handlertest.Start(t, "act later\nact answer done")
	budget := inside.AppOf(s.App()).Engine.Budget
	p := s.UDP()
	p.Send(request("MESSAGE", "sip:bob@example.com"))
	p.Expect("SIP/2.0 202 done")
	ceiling := budget.Ceiling()
	budget.SetCeiling(64)
	defer budget.SetCeiling(ceiling)
	for range 2 {
		p.Send(request("MESSAGE", "sip:bob@example.com"))
		if m := p.Expect("SIP/2.0 503"); m.Header("Retry-After") == "" {
			t.Errorf("got\n%s", m.Text)
		}
	}
	budget.SetCeiling(ceiling)
	p.Send(request("MESSAGE", "sip:bob@example.com"))
	p.Expect("SIP/2.0 202 done")
}
