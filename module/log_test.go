package module_test

import (
	"encoding/json"
	"fmt"
	"reflect"
	"strings"
	"testing"
)

func TestAccessLog(t *testing.T) {
	s, log := withLog(t, "INFO", `
		log calls
		act field room {sip.to.user}
		act user carol
		@fail method INVITE
		act @fail fail Closed
		@told method MESSAGE
		act @told tell "hello"
		@hold method INFO
		act @hold hold`)
	for _, p := range peers(s) {
		before := len(accesses(t, log()))
		secrets := []string{
			"alice@example.com", "alice:hidden1@example.com", "bob@example.com", "bob:hidden2@example.com?Authorization=hidden3",
			"User-Agent:", "Authorization: Digest username=\"alice\", response=\"hidden4\"\nProxy-Authorization: Basic hidden5\nUser-Agent:",
		}
		p.Send(request("MESSAGE", "sip:bob:hidden6@example.com:5062;x=y", secrets...))
		p.Expect("SIP/2.0 200 hello")
		p.Send(request("INVITE", "sip:bob@example.com"))
		p.Expect("SIP/2.0 403 Closed")
		p.Send(request("ACK", "sip:bob@example.com"))
		p.Send(request("BYE", "sip:bob:hidden7@example.com?x=hidden8", secrets...))
		p.Expect("SIP/2.0 400")
		p.Send(request("FROB", "sip:bob@example.com", "<sip:alice@example.com>", "<sip:alice:hidden9@x:y>", "<sip:bob@example.com>", "<mailto:bob@x>"))
		p.Expect("SIP/2.0 404")

		request := func(method, uri, from, to string) map[string]any {
			return map[string]any{
				"method": method, "uri": uri, "from": from, "to": to, "call_id": "call-1", "source": p.Addr.String(),
				"transport": strings.ToLower(p.Transport()), "user_agent": "snomD785/10.1.159.12",
			}
		}
		plain := "sip:alice@example.com"
		want := []map[string]any{
			{"request": request("MESSAGE", "sip:bob@example.com:5062;x=y", plain, "sip:bob@example.com"), "status": 200.0, "answered_by": "act"},
			{"request": request("INVITE", "sip:bob@example.com", plain, "sip:bob@example.com"), "status": 403.0, "answered_by": "act"},
			{"request": request("BYE", "sip:bob@example.com", plain, "sip:bob@example.com"), "status": 400.0, "answered_by": ""},
			{"request": request("FROB", "sip:bob@example.com", "", "mailto:bob@x"), "status": 404.0, "answered_by": ""},
		}
		got := accesses(t, log())[before:]
		if len(got) != len(want) {
			t.Fatalf("%d entries, want %d", len(got), len(want))
		}
		for i, entry := range got {
			w := want[i]
			w["level"], w["logger"], w["msg"], w["server"] = "info", "sip.log.access.calls", "handled request", "srv0"
			if w["status"] != 400.0 {
				w["user"], w["room"] = "carol", "{sip.to.user}"
			}
			if d, ok := entry["duration"].(float64); !ok || d < 0 || d > 60 {
				t.Errorf("it took %v", entry["duration"])
			}
			delete(entry, "duration")
			delete(entry, "ts")
			if !reflect.DeepEqual(entry, w) {
				t.Errorf("logged\n%v\nwant\n%v", entry, w)
			}
		}
		if text := strings.Join(log(), "\n"); strings.Contains(text, "hidden") {
			t.Errorf("a secret is in the log:\n%s", text)
		}
	}
}

// TestErrorLog has the log of errors tell no secrets either.
func TestErrorLog(t *testing.T) {
	s, log := withLog(t, "DEBUG", "act break")
	p := s.UDP()
	p.Send(request("MESSAGE", "sip:bob:hidden@example.com", "alice@", "alice:hidden@", "<sip:bob@", "<sip:bob:hidden@",
		"User-Agent:", "Authorization: Digest response=\"hidden\"\nUser-Agent:"))
	p.Expect("SIP/2.0 500")
	text := strings.Join(log(), "\n")
	if strings.Contains(text, "hidden") || !strings.Contains(text, `"error":"500 Server Internal Error: secret of the house"`) || !strings.Contains(text, `"level":"error"`) {
		t.Errorf("logged\n%s", text)
	}
}

// accesses returns the entries of the access log.
func accesses(t *testing.T, lines []string) (entries []map[string]any) {
	t.Helper()
	for _, line := range lines {
		var entry map[string]any
		if err := json.Unmarshal([]byte(line), &entry); err != nil {
			t.Fatalf("%v in %s", err, line)
		}
		if name, _ := entry["logger"].(string); strings.HasPrefix(name, "sip.log.access") {
			entries = append(entries, entry)
		}
	}
	return entries
}

func TestMetrics(t *testing.T) {
	s := start(t, "@bye method BYE\nact @bye fail Closed")
	count := func(method, status string) float64 {
		return s.Metric("caddy_sip_requests_total", "method="+method, "status="+status)
	}
	type label struct{ method, status string }
	before := make(map[label]float64)
	want := map[label]float64{{"MESSAGE", "404"}: 4, {"BYE", "403"}: 4, {"OTHER", "404"}: 4, {"ACK", "none"}: 4, {"INVITE", "416"}: 4}
	for l := range want {
		before[l] = count(l.method, l.status)
	}
	in := s.Metric("caddy_sip_packets_total", "transport=udp", "direction=received")
	dropped := s.Metric("caddy_sip_dropped_total", "reason=malformed")
	for range 2 {
		for _, p := range peers(s) {
			p.Send(request("MESSAGE", "sip:bob@example.com"))
			p.Send(request("BYE", "sip:bob@example.com"))
			p.Send(request("FROB", "sip:bob@example.com"))
			p.Send(request("ACK", "sip:bob@example.com"))
			p.Send(request("INVITE", "http://x"))
			for range 4 {
				p.Receive()
			}
			p.Send(request("MESSAGE", "sip:bob@example.com", "CSeq: 1", "CSeq: x"))
			p.Expect("SIP/2.0 400")
		}
		// Counters go on over a reload.
		s.Load(fmt.Sprintf("{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n\t\t%s {\n@bye method BYE\nact @bye fail Closed\n\t\t}\n\t}\n}\n", s.Addr))
	}
	for l, n := range want {
		if got := count(l.method, l.status) - before[l]; got != n {
			t.Errorf("%s %s: %v requests counted, want %v", l.method, l.status, got, n)
		}
	}
	if got := s.Metric("caddy_sip_packets_total", "transport=udp", "direction=received") - in; got != 12 {
		t.Errorf("%v datagrams counted", got)
	}
	if got := s.Metric("caddy_sip_dropped_total", "reason=malformed") - dropped; got != 4 {
		t.Errorf("%v malformed messages counted", got)
	}
	if got := s.Metric("caddy_sip_transactions"); got != 0 {
		t.Errorf("%v transactions", got)
	}
}
