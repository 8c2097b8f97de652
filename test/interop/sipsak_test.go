//go:build interop

package interop

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// sipsak runs sipsak to its end and returns what it prints. It must succeed, which it does when the
// last answer is a 200.
func (s *server) sipsak(t *testing.T, options ...string) string {
	t.Helper()
	p := run(t, exec.Command("sipsak", options...))
	p.wait(t)
	return p.output()
}

// sipsakFails is sipsak for what must not succeed.
func (s *server) sipsakFails(t *testing.T, options ...string) string {
	t.Helper()
	out, err := exec.Command("sipsak", options...).CombinedOutput()
	if err == nil {
		t.Errorf("sipsak %s should fail", strings.Join(options, " "))
	}
	return string(out)
}

// TestSipsak registers, asks for the registration, takes it back, pings, floods, and sends a
// message to a registered user.
func TestSipsak(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, lamps)
			over := []string{"-vvv", "-E", strings.ToLower(tr.name), "-s"}
			ping := append(over, "sip:"+s.addr)
			user := append(over, "sip:104@"+s.addr)

			if out := s.sipsak(t, ping...); !strings.Contains(out, "SIP/2.0 200 OK\r\n") {
				t.Errorf("a ping is not answered with 200:\n%s", out)
			}

			contact := "sip:104@127.0.0.1:7999"
			s.sipsak(t, append([]string{"-U", "-C", contact, "-x", "3600"}, user...)...)
			s.waitMetric(t, "caddy_sip_bindings", 1)
			asked := s.sipsak(t, append([]string{"-U", "-C", "empty"}, user...)...)
			if !strings.Contains(asked, "Contact: <"+contact+">;expires=3") {
				t.Errorf("the registration is not listed:\n%s", asked)
			}
			s.sipsak(t, append([]string{"-U", "-C", "*", "-x", "0"}, user...)...)
			s.waitMetric(t, "caddy_sip_bindings", 0)

			// Somebody who is not there cannot be reached.
			if out := s.sipsakFails(t, append(over, "sip:nobody@"+s.addr)...); !strings.Contains(out, "SIP/2.0 4") {
				t.Errorf("a user who is not registered is answered for:\n%s", out)
			}
		})
	}
}

// TestSipsakMessage sends a MESSAGE to a registered SIPp, which sets its key: that has to be
// allowed.
func TestSipsakMessage(t *testing.T) {
	s := start(t, binary, strings.Replace(lamps, "proxy\n", "proxy {\n\t\t\t\tallow_control\n\t\t\t}\n", 1))
	callee := port(freeAddr(t))
	s.register(t, "105", callee, udp)
	uas := s.sipp(t, "message.xml", callee, udp, "-m", "1")
	uas.bound(t, callee, udp)
	file := filepath.Join(t.TempDir(), "message")
	body := "k=2\r\nc=on\r\nl=Grüße"
	text := fmt.Sprintf("MESSAGE sip:105@%[1]s SIP/2.0\nMax-Forwards: 70\nFrom: <sip:sipsak@%[1]s>;tag=s\nTo: <sip:105@%[1]s>\n"+
		"Call-ID: sipsak-message\nCSeq: 1 MESSAGE\nContent-Type: application/x-buttons\nContent-Length: %[2]d\n\n%[3]s", s.addr, len(body), body)
	if err := os.WriteFile(file, []byte(strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	s.sipsak(t, "-vvv", "-L", "-f", file, "-s", "sip:105@"+s.addr)
	uas.wait(t)
	if got := uas.received(t, "MESSAGE "); len(got) != 1 || got[0].Body() != body {
		t.Errorf("want one MESSAGE with %q: %v", body, got)
	}
}

// TestFlood sends OPTIONS as fast as sipsak can. It does not read the answers, which go nowhere.
func TestFlood(t *testing.T) {
	const requests = 5000
	s := start(t, binary, strings.Replace(lamps, "\t\t\tlog\n", "", 1))
	s.sipsak(t, "-F", "-e", fmt.Sprint(requests), "-s", "sip:"+s.addr)
	// It answers the next one as if nothing had been, has answered what the kernel did not drop,
	// and keeps nothing of it.
	s.sipsak(t, "-s", "sip:"+s.addr)
	poll(t, "an answer to each packet that was received", func() bool {
		received := s.metric(t, `caddy_sip_packets_total{direction="received",transport="udp"}`)
		return received > 1 && received == s.metric(t, `caddy_sip_packets_total{direction="sent",transport="udp"}`)
	})
	s.waitMetric(t, "caddy_sip_transactions", 0)
}
