//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// lights are the ten numbers of the tutorial, 431 and following.
var lights = []string{"on", "off", "hold", "park", "pickup", "message", "offline", "seized", "record", "error"}

// TestLamps dials all ten numbers, twice each, from a phone behind a NAT.
func TestLamps(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, lamps)
			p := s.sipp(t, "lrc.xml", port(freeAddr(t)), tr, "-oocsf", scenarioFile("message.xml"),
				"-inf", scenarioFile("numbers.csv"), "-s", "101", "-m", "10", "-r", "100")
			p.wait(t)

			all := p.messages(t, "received")
			var seen int
			for i, light := range lights {
				number := fmt.Sprint(431 + i)
				uri := fmt.Sprintf("sip:101@192.0.2.77:2051;transport=%s;line=l%sq", tr.name, number)
				to := fmt.Sprintf("<sip:%s@%s;user=phone>", number, s.addr)
				answer, message := -1, -1
				for at, m := range all {
					switch {
					case answer < 0 && strings.HasPrefix(m.Text, "SIP/2.0 404 Not a call\r\n") && strings.HasPrefix(m.Header("To"), to):
						answer = at
					case m.URI() != uri:
					case message >= 0 && m == all[message]: // under load the server may not get its answer in time
					case message >= 0:
						t.Errorf("%s: a second message:\n%s", number, m.Text)
					default:
						message = at
						seen++
					}
				}
				if message < 0 || answer < 0 || message < answer {
					t.Errorf("%s: message %d, answer %d: want a message, after the answer", number, message, answer)
					continue
				}
				m := all[message]
				if m.Line() != "MESSAGE "+uri+" SIP/2.0" || m.Header("To") != to || m.Header("Content-Type") != "application/x-buttons" {
					t.Errorf("%s: not the message that the tutorial's server sends:\n%s", number, m.Text)
				}
				body := "k=2\r\nc=" + light + "\r\nn=432\r\na=invite\r\nl=Light is " + light
				if m.Body() != body || m.Header("Content-Length") != fmt.Sprint(len(body)) {
					t.Errorf("%s: body %q, Content-Length %s, want %q", number, m.Body(), m.Header("Content-Length"), body)
				}
			}
			if n := len(p.received(t, "MESSAGE ")); n != seen {
				t.Errorf("%d messages, of which %d are known", n, seen)
			}
			if n := len(p.received(t, "SIP/2.0 404 ")); n != 10 {
				t.Errorf("%d different answers 404, want 10 and the same for a repeated INVITE", n)
			}
			s.waitMetric(t, `caddy_sip_lrc_pushes_total{outcome="acknowledged"}`, 10)
			s.pushes(t, "failed", "refused", "timeout")
		})
	}
}

// TestOtherPhone dials a lamp's number from a phone that is no Snom: the next handler has the call.
func TestOtherPhone(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, strings.Replace(lamps, "\t\t\tregister\n", "\t\t\trespond 603 \"Next Handler\"\n", 1))
			p := s.sipp(t, "other.xml", port(freeAddr(t)), tr, "-s", "433", "-m", "1")
			p.wait(t)
			if len(p.received(t, "MESSAGE ")) != 0 {
				t.Error("a phone that is no Snom got a message")
			}
			s.pushes(t, "acknowledged", "failed", "refused", "timeout")
		})
	}
}

// pushes makes sure that no message is counted with these outcomes.
func (s *server) pushes(t *testing.T, outcomes ...string) {
	t.Helper()
	for _, outcome := range outcomes {
		if n := s.metric(t, `caddy_sip_lrc_pushes_total{outcome="`+outcome+`"}`); n != 0 {
			t.Errorf("%v pushes are counted as %s", n, outcome)
		}
	}
}
