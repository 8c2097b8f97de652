package module_test

import (
	"slices"
	"strings"
	"testing"
	"unicode/utf8"
)

// TestLogBounds sends texts that are long, and of what JSON needs six bytes for: an entry of a log
// stays short.
func TestLogBounds(t *testing.T) {
	s, log := withLog(t, "DEBUG", `
		log calls
		act append agent "{sip.user_agent} {sip.header.Subject} {sip.call_id}"
		@fail method INVITE
		act @fail fail Closed`)
	p := s.UDP()
	for _, bad := range []string{"\xff", "\u009b", "\u202e", "x", `\`, `"`} {
		long := strings.Repeat(bad, 8000/len(bad))
		for _, text := range []string{
			request("MESSAGE", "sip:bob@example.com;x="+strings.Repeat("x", 8000)),
			request("MESSAGE", "sip:bob@example.com", "User-Agent: ", "User-Agent: "+long+"\nSubject: "+long+"\nX-Was: "),
			request("MESSAGE", "sip:bob@example.com", "<sip:alice@example.com>", "<sip:alice@example.com;x="+long+">"),
			request("MESSAGE", "sip:bob@example.com", "Call-ID: ", "Call-ID: "+long),
			request("INVITE", "sip:bob@example.com", "<sip:bob@example.com>", "<sip:bob@example.com;x="+long+">"),
			strings.ReplaceAll(request("MESSAGE", "sip:bob@example.com"), "MESSAGE", strings.Repeat("M", 8000)),
		} {
			before := len(log())
			p.Send(text)
			p.Receive()
			if got := log()[before:]; len(got) == 0 {
				t.Errorf("nothing is logged of %.200q", text)
			}
		}
	}
	control := func(r rune) bool { return r < ' ' || r >= 0x7f && r < 0xa0 || r == '\u202e' }
	for _, line := range log() {
		if len(line) > 4096 || strings.Contains(line, `\u00`) || strings.Contains(line, `\ufffd`) ||
			!utf8.ValidString(line) || slices.ContainsFunc([]rune(line), control) {
			t.Errorf("an entry has %d bytes: %.300q", len(line), line)
		}
	}
}
