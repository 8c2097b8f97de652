package conformance

import (
	"strings"
	"testing"
)

// TestControlCharacters sends them in header fields: a phone or a terminal may obey them, or end
// the text there.
func TestControlCharacters(t *testing.T) {
	s, bob := start(t, "proxy")
	for _, p := range peers(s) {
		for _, c := range []string{"\x00", "\x1b[2J", "\x08", "\v", "\f", "\x1f", "\x7f"} {
			for _, line := range []string{
				"Subject: a" + c + "b", "Subject: " + c, "s:" + c + "b", "Subject: \"\\" + c + "\"", "X-Long: " + strings.Repeat("x", 100) + c,
				"User-Agent: x (\\" + c + ")", "Call-ID: {branch}" + c, "Contact: <sip:x@{me}>;x=" + c, "Subject: a\r\n " + c + "b",
				"From: \"a" + c + "\" <sip:a@b>;tag=1", "To: " + c + "<sip:bob@127.0.0.1>", "Date: " + c,
				"Via: SIP/2.0/{transport} {me};branch={branch};rport;x=\"" + c + "\"",
			} {
				since := drops(s)
				p.Send(request("MESSAGE", "sip:bob@127.0.0.1", line))
				if m := p.Expect("SIP/2.0 400 "); strings.ContainsAny(m.Text, "\x00\x1b\b\v\f\x1f\x7f") {
					t.Errorf("%q is repeated in\n%q", line, m.Text)
				}
				wantDrops(t, since, "malformed")
			}
			p.Send(request("MESSAGE", "sip:bob"+c+"@127.0.0.1"))
			p.Expect("SIP/2.0 400 ")
		}
		p.Nothing()
	}
	bob.Nothing()
}

// TestControlCharactersInResponse has a phone answer with them.
func TestControlCharactersInResponse(t *testing.T) {
	s, bob := start(t, "proxy")
	p := s.UDP()
	p.Send(request("MESSAGE", "sip:bob@127.0.0.1"))
	got := bob.Expect("MESSAGE ")
	bob.Ignore(got)
	since := drops(s)
	bob.Answer(got, "200 O\x1b[2JK", "b")
	bob.Answer(got, "200 OK", "b", "Server: a\x00b")
	bob.Answer(got, "486 Busy\x7f", "b")
	bob.Nothing()
	wantDrops(t, since, "malformed", "malformed", "malformed")
	bob.Answer(got, "200 Fine", "b", "Server: a\tb")
	if m := p.Expect("SIP/2.0 200 "); m.Line() != "SIP/2.0 200 Fine" {
		t.Errorf("%s", m.Text)
	}
	p.Nothing()
}
