//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// betweenTransports runs a test for each transport of a caller and of a callee, with one server.
func betweenTransports(t *testing.T, test func(t *testing.T, s *server, user string, from, to transport)) {
	s := start(t, binary, lamps)
	for _, from := range []transport{udp, tcp} {
		for _, to := range []transport{udp, tcp} {
			t.Run(from.name+" to "+to.name, func(t *testing.T) {
				test(t, s, strings.ToLower(from.name+to.name), from, to)
			})
		}
	}
}

// TestCall makes calls between two SIPp, record-routed, many at a time.
func TestCall(t *testing.T) {
	const calls = 100
	betweenTransports(t, func(t *testing.T, s *server, user string, from, to transport) {
		callee, caller := port(freeAddr(t)), port(freeAddr(t))
		s.register(t, user, callee, to)
		uas := s.sipp(t, "uas.xml", callee, to, "-m", fmt.Sprint(calls))
		uas.bound(t, callee, to)
		uac := s.sipp(t, "uac.xml", caller, from, "-s", user, "-m", fmt.Sprint(calls), "-r", "200")
		uac.wait(t)
		uas.wait(t)

		// That ACK and BYE came through the server is to be seen from their Via.
		for _, method := range []string{"INVITE", "ACK", "BYE"} {
			got := uas.received(t, method+" ")
			if len(got) != calls {
				t.Errorf("the callee got %d times %s, want %d", len(got), method, calls)
			}
			for _, m := range got {
				via := m.Headers("Via")
				if len(via) != 2 || !strings.HasPrefix(via[0], "SIP/2.0/"+to.name+" "+s.addr+";branch=z9hG4bK") ||
					!strings.HasPrefix(via[1], "SIP/2.0/"+from.name+" 127.0.0.1:"+caller+";branch=z9hG4bK") {
					t.Fatalf("not a request of the caller's that the server has relayed:\n%s", m.Text)
				}
				if method != "INVITE" && m.Header("Route") != "" {
					t.Fatalf("the server has not taken itself out of the route:\n%s", m.Text)
				}
			}
		}
		for _, m := range uac.received(t, "SIP/2.0 ") {
			if len(m.Headers("Via")) != 1 {
				t.Fatalf("a response with the server's own Via:\n%s", m.Text)
			}
			if m.Line() == "SIP/2.0 200 OK" && m.Header("CSeq") == "1 INVITE" {
				checkRecordRoute(t, s, m, from, to)
			}
		}
	})
}

// checkRecordRoute checks that either side's transport has its own entry (RFC 5658).
func checkRecordRoute(t *testing.T, s *server, m handlertest.Message, from, to transport) {
	t.Helper()
	routes := strings.Split(strings.Join(m.Headers("Record-Route"), ", "), ", ")
	want := []transport{from}
	if from != to {
		want = []transport{to, from}
	}
	if len(routes) != len(want) {
		t.Fatalf("%d Record-Route, want %d:\n%s", len(routes), len(want), m.Text)
	}
	for i, tr := range want {
		if !strings.Contains(routes[i], "@"+s.addr+";") || strings.Contains(routes[i], ";transport=tcp") != (tr == tcp) {
			t.Fatalf("Record-Route %d is not the server's for %s:\n%s", i+1, tr.name, m.Text)
		}
	}
}

// TestCancel cancels a call that rings.
func TestCancel(t *testing.T) {
	betweenTransports(t, func(t *testing.T, s *server, user string, from, to transport) {
		callee, caller := port(freeAddr(t)), port(freeAddr(t))
		s.register(t, user, callee, to)
		uas := s.sipp(t, "cancel_uas.xml", callee, to, "-m", "1")
		uas.bound(t, callee, to)
		uac := s.sipp(t, "cancel_uac.xml", caller, from, "-s", user, "-m", "1")
		uac.wait(t)
		uas.wait(t)

		invite, cancel, ack := uas.received(t, "INVITE "), uas.received(t, "CANCEL "), uas.received(t, "ACK ")
		if len(invite) != 1 || len(cancel) != 1 || len(ack) != 1 {
			t.Fatalf("the callee got %d INVITE, %d CANCEL, %d ACK, want one each", len(invite), len(cancel), len(ack))
		}
		// RFC 3261 section 9.1: what a CANCEL has to have in common with its INVITE.
		for _, name := range []string{"Via", "From", "To", "Call-ID"} {
			if cancel[0].Header(name) != invite[0].Header(name) || cancel[0].URI() != invite[0].URI() {
				t.Errorf("%s of the CANCEL is not the INVITE's:\n%s\n%s", name, cancel[0].Text, invite[0].Text)
			}
		}
		ended := uac.received(t, "SIP/2.0 487 ")
		ringing := uac.received(t, "SIP/2.0 180 ")
		if len(ended) != 1 || len(ringing) != 1 || ended[0].Tag("To") != ringing[0].Tag("To") {
			t.Errorf("want one 487, and that of the callee who rang: %v %v", ringing, ended)
		}
	})
}

// TestRegister registers, and asks for what is registered.
func TestRegister(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, lamps)
			for _, user := range []string{"a1", "a2", "a1"} {
				s.register(t, user, port(freeAddr(t)), tr)
			}
			s.waitMetric(t, "caddy_sip_bindings", 3)
		})
	}
}
