package register

import (
	"slices"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestPathFrom tells whose Path is recorded.
func TestPathFrom(t *testing.T) {
	const path = "Path: <sip:127.0.0.1:5070;lr>"
	for _, tc := range []struct {
		name, directives string
		from             string
		follow           bool
	}{
		{"nobody's by default", "register", "127.0.0.1", false},
		{"off", "trust 127.0.0.1\nregister {\npath off\n}", "127.0.0.1", false},
		{"the edge's", "register {\npath from 127.0.0.1\n}", "127.0.0.1", true},
		{"not a neighbour's", "register {\npath from 127.0.0.1\n}", "127.0.0.2", false},
		{"whom the server trusts", "trust 127.0.0.1\nregister", "127.0.0.1", true},
		{"whom it does not", "trust 127.0.0.1\nregister", "127.0.0.2", false},
		{"the list alone", "trust 127.0.0.2\nregister {\npath from 127.0.0.1\n}", "127.0.0.2", false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := start(t, tc.directives)
			p := s.UDPFrom(tc.from)
			m := ask(p, request("alice", 1, path, "Supported: path", "Contact: <sip:a@192.0.2.1>"), "200 OK")
			want := "sip:a@192.0.2.1"
			if tc.follow {
				want += " path=<sip:127.0.0.1:5070;lr>"
			}
			wantStored(t, s, "alice@example.com", want)
			if got := slices.Contains(m.Headers("Path"), "<sip:127.0.0.1:5070;lr>"); got != tc.follow {
				t.Errorf("Path in the answer: %t, want %t", got, tc.follow)
			}
			if tc.follow {
				ask(p, request("bob", 1, path, "Require: path", "Contact: <sip:b@192.0.2.1>"), "200 OK")
				return
			}
			m = ask(p, request("bob", 1, path, "Require: path", "Contact: <sip:b@192.0.2.1>"), "420 Bad Extension")
			if m.Header("Unsupported") != "path" {
				t.Errorf("got\n%s", m.Text)
			}
			wantStored(t, s, "bob@example.com")
		})
	}
}

// TestPathOffWithFlows has a Path that is not followed say nothing about flows either (RFC 5626 §6).
func TestPathOffWithFlows(t *testing.T) {
	s := start(t, "register")
	var p *handlertest.Peer = s.UDP()
	const via = "Via: SIP/2.0/UDP 192.0.2.9;branch=z9hG4bKedge"
	ask(p, request("alice", 1, via, "Path: <sip:127.0.0.1;lr;ob>", "Supported: outbound", phone+"1"), "439")
	ask(p, request("alice", 2, via, "Path: <sip:127.0.0.1;lr;ob>", "Require: outbound", phone+"1"), "420")
	wantStored(t, s, "alice@example.com")
}
