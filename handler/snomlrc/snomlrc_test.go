package snomlrc

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
)

func peers(s *handlertest.Server) []*handlertest.Peer {
	return []*handlertest.Peer{s.UDP(), s.TCP()}
}

// TestTutorial dials all ten numbers and holds every byte.
func TestTutorial(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc\nwitness")
	for _, p := range peers(s) {
		counted := pushes(s)
		for i, light := range strings.Fields("on off hold park pickup message offline seized record error") {
			number := fmt.Sprint(431 + i)
			id := p.Transport() + number
			p.Send(invite(number, id))

			// The answer comes first.
			m := p.Receive()
			want := strings.ReplaceAll(fmt.Sprintf("SIP/2.0 404 Not a call\n"+
				"Via: SIP/2.0/%s %s;branch=z9hG4bK%s;rport=%d;received=127.0.0.1\n"+
				"From: \"Alice\" <sip:alice@example.com>;tag=f%s\n"+
				"To: \"Lamp\" <sip:%s@example.com;user=phone>;tag=%s\n"+
				"Call-ID: call-%s\n"+
				"CSeq: 1 INVITE\n"+
				"Content-Length: 0\n\n", p.Transport(), p.Addr, id, p.Addr.Port(), id, number, m.Tag("To"), id), "\n", "\r\n")
			if m.Text != want || m.Tag("To") == "" {
				t.Errorf("got\n%s\nwant\n%s", m.Text, want)
			}

			body := "k=2\r\nc=" + light + "\r\nn=432\r\na=invite\r\nl=Light is " + light
			want = strings.ReplaceAll(fmt.Sprintf("MESSAGE sip:alice@192.0.2.77:5071;line=ab12;transport=udp SIP/2.0\n"+
				"Via: SIP/2.0/%s %s;branch=B;rport\n"+
				"Max-Forwards: 70\n"+
				"From: <sip:server@127.0.0.1>;tag=T\n"+
				"To: <sip:%s@example.com;user=phone>\n"+
				"Call-ID: C\n"+
				"CSeq: 1 MESSAGE\n"+
				"Content-Type: application/x-buttons\n"+
				"Content-Length: %d\n\n", p.Transport(), s.Addr, number, len(body)), "\n", "\r\n") + body
			m = message(p, "")
			if plain(m.Text) != want {
				t.Errorf("got\n%s\nwant\n%s", m.Text, want)
			}
			if m.From.String() != s.Addr.String() {
				t.Errorf("it comes from %s, not %s", m.From, s.Addr)
			}
			p.Answer(m, "200 OK", "p")
			p.Nothing()
		}
		if got := counted(); got != "10 acknowledged" {
			t.Errorf("counted %s", got)
		}
	}
	wantSeen(t)
}

// TestOnce repeats an INVITE, before the MESSAGE is answered and after.
func TestOnce(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc\nwitness")
	for _, p := range peers(s) {
		text := invite("433", p.Transport())
		p.Send(text)
		first := p.Expect("SIP/2.0 404 Not a call")
		m := message(p, "")
		p.Send(text)
		if again := p.Expect("SIP/2.0 404"); again.Text != first.Text {
			t.Errorf("got\n%s\nafter\n%s", again.Text, first.Text)
		}
		p.Answer(m, "200 OK", "p")
		p.Send(text)
		if again := p.Expect("SIP/2.0 404"); again.Text != first.Text {
			t.Errorf("got\n%s\nafter\n%s", again.Text, first.Text)
		}
		// The ACK ends here.
		p.Send(strings.NewReplacer("INVITE", "ACK", `To: "Lamp" <sip:433@example.com;user=phone>`, "To: "+first.Header("To")).Replace(text))
		p.Nothing()
		wantSeen(t)
	}
	if n := inside.AppOf(s.App()).Engine.Transactions.Len(); n > 2 {
		t.Errorf("%d transactions", n)
	}
}

func TestTwoCallsAtOnce(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc")
	p := s.UDP()
	p.Send(invite("431", "one"))
	p.Send(invite("432", "two"))
	// The same call, begun anew.
	p.Send(invite("431", "one", "branch=z9hG4bKone", "branch=z9hG4bKthree", "CSeq: 1", "CSeq: 2"))
	got := map[string]int{}
	for range 6 {
		m := p.Receive()
		if strings.HasPrefix(m.Text, "MESSAGE") {
			p.Ignore(m)
			p.Answer(m, "200 OK", "p")
			_, light, _ := strings.Cut(m.Body(), "\r\nc=")
			light, _, _ = strings.Cut(light, "\r\n")
			got[light]++
			continue
		}
		got[m.Line()+" "+m.Header("CSeq")]++
	}
	for what, n := range map[string]int{"SIP/2.0 404 Not a call 1 INVITE": 2, "SIP/2.0 404 Not a call 2 INVITE": 1, "on": 2, "off": 1} {
		if got[what] != n {
			t.Errorf("%d of %q, want %d", got[what], what, n)
		}
	}
	p.Nothing()
}

func TestNotOurs(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc\nwitness\nrespond 488")
	p := s.UDP()
	for name, edits := range map[string][]string{
		"another phone":       {"snomD785/10.1.159.12", "Yealink SIP-T46S 66.85.0.5"},
		"no User-Agent":       {"User-Agent: snomD785/10.1.159.12\n", ""},
		"another number":      {"431@", "430@"},
		"more than a number":  {"431@", "4310@"},
		"no number":           {"sip:431@example.com", "sip:example.com"},
		"within a call":       {"user=phone>\n", "user=phone>;tag=t1\n"},
		"another method":      {"INVITE", "MESSAGE"},
		"its method in lower": {"INVITE", "invite"},
	} {
		t.Run(name, func(t *testing.T) {
			p.Send(invite("431", strings.ReplaceAll(name, " ", ""), edits...))
			p.Expect("SIP/2.0 488")
			p.Nothing()
			seen.Lock()
			if len(seen.requests) != 1 {
				t.Errorf("the next handler has seen %q", seen.requests)
			}
			seen.requests = nil
			seen.Unlock()
		})
	}
}

func TestOurs(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc\nrespond 488")
	p := s.UDP()
	for name, edits := range map[string][]string{
		"old firmware":            {"snomD785/10.1.159.12", "snom370-SIP 8.4.35"},
		"capitals":                {"snomD785/10.1.159.12", "Snom PA1/8"},
		"something before it":     {"snomD785/10.1.159.12", "Mozilla/4.0 (compatible; snom320-SIP 8.4.18)"},
		"escapes in the number":   {"INVITE sip:431@", "INVITE sip:%34%331@"},
		"a telephone number":      {"INVITE sip:431@example.com;user=phone", "INVITE tel:431"},
		"another domain":          {"INVITE sip:431@example.com", "INVITE sip:431@192.0.2.200:5070"},
		"no branch":               {";branch=z9hG4bKnobranch", ""},
		"a branch of RFC 2543":    {"branch=z9hG4bKabranchofRFC2543", "branch=1"},
		"compact header fields":   {"Contact:", "m:", "From:", "f:", "To:", "t:", "Call-ID:", "i:"},
		"To that is no URI of us": {`To: "Lamp" <sip:431@example.com;user=phone>`, "To: <mailto:a@b>"},
	} {
		t.Run(name, func(t *testing.T) {
			p.Send(invite("431", strings.ReplaceAll(name, " ", ""), edits...))
			p.Expect("SIP/2.0 404 Not a call")
			m := message(p, "sip:alice@192.0.2.77:5071;line=ab12;transport=udp SIP/2.0\r\n")
			p.Answer(m, "200 OK", "p")
			p.Nothing()
		})
	}
}

func TestContact(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc")
	p := s.UDP()
	const line = `Contact: "Alice" <sip:alice@192.0.2.77:5071;line=ab12;transport=udp>;reg-id=1`
	for i, tc := range []struct{ contact, uri string }{
		{"Contact: <sip:a@[2001:db8::1]>", "sip:a@[2001:db8::1]"},
		{"Contact: sip:a@h:5071;line=x", "sip:a@h:5071"},
		{"m: <sips:a@h;a=%41;b>, <sip:second@h>", "sips:a@h;a=%41;b"},
		{"Contact: <sip:a@h;line=x?Subject=y&Route=z>", "sip:a@h;line=x"},
		{"Contact: <sip:a?b;c@h;line=x?Subject=y>", "sip:a?b;c@h;line=x"},
		{"Contact: <sip:h>", "sip:h"},
		{"X-Contact: <sip:a@h>", ""},
		{"Contact: <tel:+49301234>", ""},
		{"Contact: <http://h/>", ""},
		{"Contact: *", ""},
		{"Contact:", ""},
		{"Contact: <sip:a@h:99999>", ""},
		{"Contact: <sip:a b@h>", ""},
		{"Contact: <sip:a@h", ""},
	} {
		counted := pushes(s)
		p.Send(invite("431", fmt.Sprint("contact", i), line, tc.contact))
		p.Expect("SIP/2.0 404 Not a call")
		if tc.uri == "" {
			p.Nothing()
			if got := counted(); got != "1 failed" {
				t.Errorf("%s: counted %q", tc.contact, got)
			}
			continue
		}
		m := message(p, "")
		if m.URI() != tc.uri {
			t.Errorf("%s: got\n%s", tc.contact, m.Text)
		}
		p.Answer(m, "200 OK", "p")
		p.Nothing()
	}
	p.Send(invite("431", "to", `To: "Lamp" <sip:431@example.com;user=phone>`, "To: <sip:431@h:x>"))
	p.Expect("SIP/2.0 404")
	if got := message(p, ""); got.Header("To") != "<sip:alice@192.0.2.77:5071;line=ab12;transport=udp>" {
		t.Errorf("To is %s", got.Header("To"))
	}
}

// TestWhereTo puts somebody else's address into everything a request says. The MESSAGE comes to where the INVITE came from, all the same.
func TestWhereTo(t *testing.T) {
	s := handlertest.Start(t, "snom_lrc")
	victimUDP, victimTCP := s.UDP(), s.TCP()
	for i, p := range peers(s) {
		victim := []*handlertest.Peer{victimUDP, victimTCP}[i]
		p.Send(invite("431", "where"+p.Transport(), "192.0.2.77:5071", victim.Addr.String(), "{me};", victim.Addr.String()+";"))
		p.Expect("SIP/2.0 404")
		if m := message(p, "sip:alice@"+victim.Addr.String()); m.From.String() != s.Addr.String() {
			t.Errorf("it comes from %s", m.From)
		}
		victim.Nothing()
	}
}

// TestLocalAddress uses one socket for all addresses: the MESSAGE comes from the one that the INVITE was sent to.
func TestLocalAddress(t *testing.T) {
	port := handlertest.FreeAddr(t).Port()
	any := netip.AddrPortFrom(netip.IPv6Unspecified(), port)
	s := *handlertest.StartOn(t, any, "snom_lrc")
	for _, host := range []string{"127.0.0.1", "127.0.0.2", "::1"} {
		s.Addr = netip.AddrPortFrom(netip.MustParseAddr(host), port)
		for _, p := range peers(&s) {
			p.Send(invite("431", host+p.Transport()))
			p.Expect("SIP/2.0 404")
			m := message(p, "")
			name := host
			if s.Addr.Addr().Is6() {
				name = "[" + host + "]"
			}
			if m.From.String() != s.Addr.String() || m.Header("From") != fmt.Sprintf("<sip:server@%s>;tag=%s", name, m.Tag("From")) ||
				!strings.HasPrefix(m.Header("Via"), fmt.Sprintf("SIP/2.0/%s %s:%d;", p.Transport(), name, port)) {
				t.Errorf("to %s: from %s\n%s", host, m.From, m.Text)
			}
			p.Answer(m, "200 OK", "p")
			p.Nothing()
		}
	}
}

func TestReload(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartOn(t, addr, "snom_lrc")
	udp, tcp := s.UDP(), s.TCP()
	var first []handlertest.Message
	for _, p := range []*handlertest.Peer{udp, tcp} {
		p.Send(invite("431", p.Transport()))
		first = append(first, p.Expect("SIP/2.0 404 Not a call"), message(p, ""))
	}
	counted := pushes(s)
	s.Load(handlertest.Caddyfile(addr, "snom_lrc {\n label \"Now {light}\"\n}"))
	for i, p := range []*handlertest.Peer{udp, tcp} {
		// The same call after the reload is still the same, on the same connection.
		p.Send(invite("431", p.Transport()))
		if m := p.Expect("SIP/2.0 404 Not a call"); m.Text != first[2*i].Text {
			t.Errorf("got\n%s\nafter\n%s", m.Text, first[2*i].Text)
		}
		p.Answer(first[2*i+1], "200 OK", "p")
		p.Nothing()
		p.Send(invite("431", p.Transport()+"2"))
		p.Expect("SIP/2.0 404 Not a call")
		m := message(p, "")
		if !strings.HasSuffix(m.Text, "\r\nl=Now on") {
			t.Errorf("got\n%s", m.Text)
		}
		p.Answer(m, "200 OK", "p")
		p.Nothing()
	}
	if got := counted(); got != "4 acknowledged" {
		t.Errorf("counted %q", got)
	}
}

func TestIPv6(t *testing.T) {
	s := handlertest.StartOn(t, handlertest.FreeAddrOf(t, "::1"), "snom_lrc")
	for _, p := range peers(s) {
		p.Send(invite("440", p.Transport(), "192.0.2.77:5071", p.Addr.String()))
		p.Expect("SIP/2.0 404 Not a call")
		m := message(p, "sip:alice@"+p.Addr.String()+";line=ab12;transport=udp SIP/2.0\r\n")
		if m.From.String() != s.Addr.String() || !strings.HasPrefix(m.Header("Via"), fmt.Sprintf("SIP/2.0/%s %s;", p.Transport(), s.Addr)) ||
			!strings.HasPrefix(m.Header("From"), "<sip:server@[::1]>;tag=") {
			t.Errorf("from %s\n%s", m.From, m.Text)
		}
		p.Answer(m, "200 OK", "p")
		p.Nothing()
	}
}
