package conformance

import (
	"strings"
	"testing"
)

// The tests are named by the advisories of Enable Security that told of such holes in other
// servers.

// TestES2018_05 sends REGISTERs with tags, and other values, far longer than anybody expects. Other
// servers copied them to where there was no room.
func TestES2018_05(t *testing.T) {
	s, bob := start(t, "proxy")
	for _, n := range []int{256, 1024, 4096, 16384, 60000} {
		for _, p := range peers(s) {
			long := strings.Repeat("t", n)
			p.Send(request("REGISTER", "sip:127.0.0.1", "From: <sip:bob@127.0.0.1>;tag="+long, "To: <sip:bob@127.0.0.1>"))
			m := p.Expect("SIP/2.0 200 OK\r\n")
			if m.Tag("From") != long || len(m.Headers("Contact")) != 1 {
				t.Errorf("%d characters: the answer has a tag of %d and the contacts %q", n, len(m.Tag("From")), m.Headers("Contact"))
			}
			for _, line := range []string{
				"To: <sip:bob@127.0.0.1>;tag=" + long,
				"Via: SIP/2.0/{transport} {me};rport;branch=z9hG4bK" + long,
				"User-Agent: " + long,
				"Expires: " + strings.Repeat("9", n),
				"Contact: \"" + long + "\" <sip:phone@" + bob.Addr.String() + ">",
			} {
				p.Send(request("REGISTER", "sip:127.0.0.1", "From: <sip:mallory@127.0.0.1>;tag=1", "To: <sip:mallory@127.0.0.1>", line))
				if m := p.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 200 OK\r\n") && !strings.HasPrefix(m.Text, "SIP/2.0 413 ") {
					t.Errorf("%.20s with %d characters: %s", line, n, m.Line())
				}
			}
			// What is no place for a name or an address is refused, and what would be kept.
			for _, line := range []string{
				"Call-ID: " + long,
				"To: <sip:" + long + "@127.0.0.1>",
				"Contact: <sip:" + long + "@" + bob.Addr.String() + ">",
				"Contact: <sip:phone@" + bob.Addr.String() + ">;reg-id=1;+sip.instance=\"" + long + "\"",
			} {
				p.Send(request("REGISTER", "sip:127.0.0.1", "From: <sip:mallory@127.0.0.1>;tag=1", "To: <sip:mallory@127.0.0.1>", "Expires: 0", line))
				if m := p.Receive(); !strings.HasPrefix(m.Text, "SIP/2.0 200 OK\r\n") && !strings.HasPrefix(m.Text, "SIP/2.0 4") {
					t.Errorf("%.20s with %d characters: %s", line, n, m.Line())
				}
			}
			p.Nothing()
		}
	}
	if n := s.Metric("caddy_sip_panics_total"); n != 0 {
		t.Errorf("%v panics", n)
	}
	bob.Nothing()
}

// TestES2021_02 has the access log, which web pages show, keep what a stranger writes apart from
// what the server does: one entry a request, and no character in it that isn't escaped.
func TestES2021_02(t *testing.T) {
	s, logged := withLog(t, "INFO", `respond 404 "Not {sip.header.Subject}"`)
	const script = `<script>alert(1)</script>`
	evil := `"` + script + `\"},{\"msg\":\"forged`
	p := s.UDP()
	p.Send(request("MESSAGE", "sip:bob@127.0.0.1", "Subject: "+script, "User-Agent: "+evil+"\u2028", "Call-ID: "+script, "From: <sip:"+
		"%3Cscript%3E@127.0.0.1>;tag=1"))
	p.Expect("SIP/2.0 404 Not " + script + "\r\n")
	lines := strings.Split(strings.TrimSpace(logged()), "\n")
	entries := 0
	for _, l := range lines {
		if strings.Contains(l, `"msg":"handled request"`) {
			entries++
			if strings.Contains(l, "\u2028") {
				t.Errorf("an end of a line in the log: %q", l)
			}
		}
	}
	if entries != 1 {
		t.Errorf("%d entries for one request:\n%s", entries, strings.Join(lines, "\n"))
	}
}

// TestES2021_07 sends MESSAGEs of strangers to a phone that would set its keys to whatever they
// say.
func TestES2021_07(t *testing.T) {
	document := "k=1\r\nc=on\r\nn=0900666\r\nl=Voicemail"
	refusedTypes := []string{
		"Content-Type: application/x-buttons",
		"Content-Type: APPLICATION/X-Buttons",
		"content-type : application / x-buttons",
		"Content-Type:\n application/x-buttons",
		"Content-Type: application/x-buttons;charset=utf-8",
		"c: application/x-buttons",
		"C: application/x-buttons",
		"Content-Type: text/plain\nContent-Type: application/x-buttons",
		"c: text/plain\nContent-Type: application/x-buttons",
		"Content-Type: text/plain, application/x-buttons",
		"Content-Type: application/x-buttons\nContent-Encoding: identity",
		"Content-Type: multipart/mixed;boundary=b",
	}
	s, bob := start(t, "proxy")
	for _, p := range peers(s) {
		for _, line := range refusedTypes {
			body := document
			if strings.Contains(line, "multipart") {
				body = "--b\r\nContent-Type: Application/X-Buttons\r\n\r\n" + document + "\r\n--b--\r\n"
			}
			for _, method := range []string{"MESSAGE", "NOTIFY", "INFO", "INVITE"} {
				p.Send(request(method, "sip:bob@127.0.0.1", line) + body)
				p.Expect("SIP/2.0 403 Remote Control Not Allowed\r\n")
			}
		}
		// Something else goes on.
		for _, line := range []string{"Content-Type: text/plain", "Content-Type: multipart/mixed;boundary=b", "Subject: x-buttons"} {
			p.Send(request("MESSAGE", "sip:bob@127.0.0.1", line) + "k=1")
			accept(t, s, bob, bob.Expect("MESSAGE sip:phone@"))
			p.Expect("SIP/2.0 200 OK\r\n")
		}
		p.Nothing()
	}
	bob.Nothing()
}

// TestES2021_07InCall has a stranger who calls bob try it within the call.
func TestES2021_07InCall(t *testing.T) {
	s, bob := start(t, "proxy")
	mallory := s.UDP()
	mallory.Send(request("INVITE", "sip:bob@127.0.0.1", "Contact: <sip:mallory@{me}>"))
	invite := bob.Expect("INVITE sip:phone@")
	bob.Ignore(invite)
	mallory.Expect("SIP/2.0 100 Trying\r\n")
	bob.Answer(invite, "200 OK", "phone", "Contact: <sip:phone@"+bob.Addr.String()+">")
	ok := mallory.Expect("SIP/2.0 200 OK\r\n")
	inCall := func(contentType string) string {
		return request("MESSAGE", "sip:phone@"+bob.Addr.String(), "Route: "+ok.Header("Record-Route"), "From: "+ok.Header("From"), "To: "+ok.Header("To"),
			"Call-ID: "+ok.Header("Call-ID"), "CSeq: 2 MESSAGE", "Content-Type: "+contentType) + "k=1"
	}
	mallory.Send(inCall("application/x-buttons"))
	mallory.Expect("SIP/2.0 403 Remote Control Not Allowed\r\n")
	mallory.Send(inCall("text/plain"))
	accept(t, s, bob, bob.Expect("MESSAGE sip:phone@"))
	mallory.Expect("SIP/2.0 200 OK\r\n")
	mallory.Nothing()
	bob.Nothing()
}

// TestES2021_07Allowed has a route that lets some set keys.
func TestES2021_07Allowed(t *testing.T) {
	s, bob := start(t, "@pbx header X-Pbx yes\nproxy @pbx {\n allow_control\n}\nproxy")
	for _, p := range peers(s) {
		p.Send(request("MESSAGE", "sip:bob@127.0.0.1", "X-Pbx: yes", "Content-Type: application/x-buttons") + "k=1\nc=on")
		got := bob.Expect("MESSAGE sip:phone@")
		if got.Body() != "k=1\r\nc=on" {
			t.Errorf("the phone got %q", got.Body())
		}
		accept(t, s, bob, got)
		p.Expect("SIP/2.0 200 OK\r\n")
		p.Send(request("MESSAGE", "sip:bob@127.0.0.1", "X-Pbx: no", "Content-Type: application/x-buttons") + "k=1\nc=on")
		p.Expect("SIP/2.0 403 Remote Control Not Allowed\r\n")
		p.Nothing()
	}
	bob.Nothing()
}

// TestAmplification defends others: an answer over UDP, where the sender may be forged, is not much
// longer than what it answers.
func TestAmplification(t *testing.T) {
	s, bob := start(t, "proxy")
	long := strings.Repeat("a,", 5000) + "a"
	for _, text := range []string{
		request("MESSAGE", "sip:bob@127.0.0.1", "Proxy-Require: "+long),
		request("REGISTER", "sip:127.0.0.1", "Require: "+long),
		request("REGISTER", "sip:127.0.0.1", "Path: "+strings.TrimSuffix(strings.Repeat("<sip:a>,", 3000), ",")),
		request("INVITE", "sip:bob@127.0.0.1", "Record-Route: "+strings.TrimSuffix(strings.Repeat("<sip:a>,", 3000), ",")),
		request("SUBSCRIBE", "sip:nobody@127.0.0.1", "Accept: "+long),
		request("FROBNICATE", "sip:127.0.0.1", "Supported: "+long),
		request("OPTIONS", "sip:127.0.0.1", "v: "+strings.TrimSuffix(strings.Repeat("SIP/2.0/UDP a,", 3000), ",")),
	} {
		p := s.UDP()
		p.Send(text)
		if strings.HasPrefix(text, "INVITE") {
			got := bob.Receive()
			accept(t, s, bob, got)
			p.Expect("SIP/2.0 100 Trying\r\n")
		}
		if m := p.Receive(); len(m.Text) > 2*len(text) {
			t.Errorf("%.40s: %d bytes are answered with %d:\n%.500s", text, len(text), len(m.Text), m.Text)
		}
		p.Nothing()
	}
	bob.Nothing()
}
