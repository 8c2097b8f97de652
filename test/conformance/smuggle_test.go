package conformance

import (
	"regexp"
	"slices"
	"strings"
	"testing"
	"unicode"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// readers are ways to cut a message into header lines. Some phone does it like this.
var readers = map[string]func(text string) []string{
	"CRLF": func(text string) []string {
		head, _, _ := strings.Cut(text, "\r\n\r\n")
		return strings.Split(head, "\r\n")
	},
	"LF": func(text string) []string {
		head, _, _ := strings.Cut(strings.ReplaceAll(text, "\r\n", "\n"), "\n\n")
		return strings.Split(head, "\n")
	},
	"any line end": func(text string) []string {
		head, _, _ := strings.Cut(strings.NewReplacer("\r\n", "\n", "\r", "\n", "\v", "\n", "\f", "\n", "\u0085", "\n", "\u2028", "\n", "\u2029", "\n").Replace(text), "\n\n")
		return strings.Split(head, "\n")
	},
	"CRLF, past an empty line": func(text string) []string { return strings.Split(text, "\r\n") },
}

var folds = regexp.MustCompile(`(?:\r\n|\n|\r)[ \t]+`)

// fields returns the names of the header fields that readers see: in lower case, without anything
// around or within that is not printed.
func fields(text string) map[string][]string {
	all := make(map[string][]string)
	for reader, cut := range readers {
		for _, unfolded := range []string{text, folds.ReplaceAllString(text, " ")} {
			for _, line := range cut(unfolded) {
				name, _, ok := strings.Cut(line, ":")
				if !ok {
					continue
				}
				name = strings.ToLower(strings.TrimFunc(strings.Map(func(c rune) rune {
					if unicode.IsControl(c) || c == unicode.ReplacementChar {
						return -1
					}
					return c
				}, name), unicode.IsSpace))
				if !slices.Contains(all[reader], name) {
					all[reader] = append(all[reader], name)
				}
			}
		}
	}
	return all
}

func wantNoField(t *testing.T, text string, names ...string) {
	t.Helper()
	for reader, found := range fields(text) {
		for _, name := range names {
			if slices.Contains(found, name) {
				t.Errorf("who ends lines at %s sees %s in\n%q", reader, name, text)
			}
		}
	}
}

// TestES2020_01 smuggles: a header field that header takes away must not reach the next hop,
// however it is written.
func TestES2020_01(t *testing.T) {
	for _, tc := range []struct {
		lines   string
		refused bool
	}{
		{"P-Asserted-Identity: evil\r\n", false},
		{"p-asserted-identity:evil\r\n", false},
		{"P-ASSERTED-IDENTITY : evil\r\n", false},
		{"P-Asserted-Identity \t : evil\r\n", false},
		{"P-Asserted-Identity:\r\n evil\r\n", false},
		{"P-Asserted-Identity:\r\n\r\n evil\r\n", false}, // the empty line ends the header
		{"P-Asserted-Identity\r\n : evil\r\n", false},
		{"P-Asserted-Identity\r\n\t: evil\r\n", false},
		{"P-Asserted-Identity\n : evil\n", false},
		{"P-Asserted-\r\n Identity: evil\r\n", true},
		{"P-Asserted-Identity:\r\n", false},
		{"P-Asserted-Identity: a\r\nP-Asserted-Identity: b\r\nX-A: c\r\np-asserted-identity: d\r\n", false},
		{"X-A: b\nP-Asserted-Identity: evil\r\n", false},
		{"X-A: b\r\nP-Asserted-Identity: evil\n", false},
		{"X-A: b\r\n\nP-Asserted-Identity: evil\r\n", false},
		{"X-A: b\n\nP-Asserted-Identity: evil\r\n", false},
		{"X-A: b\n\r\nP-Asserted-Identity: evil\r\n", false},
		{"X-A: b\rP-Asserted-Identity: evil\r\n", true},
		{"X-A: b\r\r\nP-Asserted-Identity: evil\r\n", true},
		{"X-A: b\r\n\rP-Asserted-Identity: evil\r\n", true},
		{"X-A: b\n\rP-Asserted-Identity: evil\r\n", true},
		{"X-A: b\r\n P-Asserted-Identity: evil\r\n", false}, // a part of X-A
		{"X-A: \"b\r\nP-Asserted-Identity: evil\"\r\n", false},
		{"X-A: b\r\n\x00P-Asserted-Identity: evil\r\n", true},
		{"P-Asserted-Identity\x00: evil\r\n", true},
		{"P-Asserted\x00-Identity: evil\r\n", true},
		{"\vP-Asserted-Identity: evil\r\n", true},
		{"\fP-Asserted-Identity: evil\r\n", true},
		{"P-Asserted-Identity\v: evil\r\n", true},
		{"P-Asserted-Identity\xa0: evil\r\n", true},
		{"P-Asserted-Identity\u00a0: evil\r\n", true},
		{"\ufeffP-Asserted-Identity: evil\r\n", true},
		{"P-Asserted-Identity evil\r\n", true},
		{"\"P-Asserted-Identity\": evil\r\n", true},
		{": evil\r\nP-Asserted-Identity: evil\r\n", true},
		{"Subject: evil\r\n", false},
		{"s: evil\r\n", false},
		{"S : evil\r\n", false},
		{"SUBJECT:evil\r\n", false},
		{"s:\r\n\tevil\r\n", false},
		{"s\r\n : evil\r\n", false},
		{"Subject: a\r\ns: b\r\nX-A: c\r\nS: d\r\n", false},
		{"Refer-To: <sip:evil@b>\r\nr: <sip:evil@b>\r\nR : <sip:evil@b>\r\n", false},
		{"Event: evil\r\no: evil\r\nO: evil\r\n", false},
		{"k: evil\r\nSupported: evil\r\n", false},
	} {
		t.Run(strings.Trim(strings.ToValidUTF8(tc.lines, "?"), "\r\n"), func(t *testing.T) {
			s, bob := start(t, "header {\n -p-Asserted-identity\n -S\n -Refer-To\n -o\n -Supported\n}\nproxy")
			for _, p := range peers(s) {
				for _, first := range []bool{true, false} {
					if !smuggle(t, s, p, bob, tc.lines, first, tc.refused) {
						p = s.TCP() // what followed the empty line has ruined it
					}
				}
			}
		})
	}
}

// smuggle sends the lines, above all others or below them. It returns false when a connection has
// been closed.
func smuggle(t *testing.T, s *handlertest.Server, p, bob *handlertest.Peer, lines string, first, refused bool) bool {
	t.Helper()
	branch := "first"
	if !first {
		branch = "last"
	}
	start, head := "MESSAGE sip:bob@127.0.0.1 SIP/2.0\r\n", "Via: SIP/2.0/"+p.Transport()+" "+p.Addr.String()+";rport;branch=z9hG4bK"+branch+p.Transport()+
		"\r\nFrom: <sip:a@b>;tag=1\r\nTo: <sip:bob@127.0.0.1>\r\nCall-ID: c-"+branch+"\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n"
	raw := start + head + lines + "\r\n"
	if first {
		raw = start + lines + head + "\r\n"
	}
	p.SendRaw([]byte(raw))
	// An empty line among them ends the header. What is behind it is a body over UDP, and no
	// message on a stream, which is closed.
	end := strings.Contains(strings.ReplaceAll(strings.TrimRight(lines, "\r\n"), "\r\n", "\n"), "\n\n")
	closed := end && p.Transport() == "TCP"
	var answer []string // which may come before the connection is closed, or not
	switch {
	case end && first: // no Via: nothing is answered
	case refused:
		p.Expect("SIP/2.0 400 ")
	default:
		got := bob.Expect("MESSAGE sip:phone@")
		wantNoField(t, got.Text, "p-asserted-identity", "subject", "s", "refer-to", "r", "event", "o", "supported", "k")
		accept(t, s, bob, got)
		if !closed {
			p.Expect("SIP/2.0 200 OK\r\n")
		}
		answer = append(answer, "SIP/2.0 200 OK\r\n")
	}
	if closed {
		p.Closed(answer...)
		bob.Nothing()
		return false
	}
	p.Nothing()
	bob.Nothing()
	return true
}

// TestES2020_01FirstLine folds a header field into the start line.
func TestES2020_01FirstLine(t *testing.T) {
	s, bob := start(t, "header -Subject\nproxy")
	for _, p := range peers(s) {
		for _, start := range []string{
			"MESSAGE sip:bob@127.0.0.1 SIP/2.0\r\n Subject: evil\r\n",
			"MESSAGE sip:bob@127.0.0.1 SIP/2.0\n\tSubject: evil\r\n",
			"MESSAGE sip:bob@127.0.0.1\r\n Subject: SIP/2.0\r\n",
			"MESSAGE sip:bob@127.0.0.1?Subject=evil SIP/2.0\r\n",
			"MESSAGE sip:bob@127.0.0.1\rSubject:evil SIP/2.0\r\n",
			"MESSAGE sip:bob@127.0.0.1 SIP/2.0\rSubject: evil\r\n",
			"MESSAGE sip:bob@127.0.0.1 SIP/2.0 Subject: evil\r\n",
			"MESSAGE\r\nSubject: evil sip:bob@127.0.0.1 SIP/2.0\r\n",
		} {
			p.SendRaw([]byte(start + "Via: SIP/2.0/" + p.Transport() + " " + p.Addr.String() + ";rport;branch=z9hG4bK1\r\nFrom: <sip:a@b>;tag=1\r\n" +
				"To: <sip:bob@127.0.0.1>\r\nCall-ID: c\r\nCSeq: 1 MESSAGE\r\nContent-Length: 0\r\n\r\n"))
			if strings.HasPrefix(start, "MESSAGE\r\n") {
				continue // it has no method to answer
			}
			if m := p.Expect("SIP/2.0 400 "); strings.Contains(m.Text, "evil") {
				t.Errorf("%q is answered with\n%s", start, m.Text)
			}
		}
		p.Nothing()
	}
	bob.Nothing()
}

// TestES2020_01Contact registers a contact that would bring a header field along.
func TestES2020_01Contact(t *testing.T) {
	s, _ := start(t, "header -Subject\nproxy")
	carol := s.UDP()
	register(t, carol, "sip:carol@127.0.0.1", "Contact: <sip:phone@{me}?Subject=evil&Route=%3Csip:evil%3E>")
	p := s.UDP()
	p.Send(request("MESSAGE", "sip:carol@127.0.0.1"))
	got := carol.Expect("MESSAGE sip:phone@" + carol.Addr.String() + " SIP/2.0\r\n")
	wantNoField(t, got.Text, "subject", "s", "route")
	accept(t, s, carol, got)
	p.Expect("SIP/2.0 200 OK\r\n")
	p.Nothing()
}

// TestES2020_01Body ends the header in a way that not everybody takes for the end, so that what is
// body here would be header there.
func TestES2020_01Body(t *testing.T) {
	s, bob := start(t, "header -Subject\nproxy")
	p := s.UDP()
	head := strings.ReplaceAll("MESSAGE sip:bob@127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP "+p.Addr.String()+";rport;branch={branch}\nFrom: <sip:a@b>;tag=1\n"+
		"To: <sip:bob@127.0.0.1>\nCall-ID: {branch}\nCSeq: 1 MESSAGE\nX-A: b", "\n", "\r\n")
	const body = "Subject: evil\r\nX-B: c\r\n\r\n"
	for i, end := range []string{"\r\n\r\n", "\n\n", "\r\n\n", "\n\r\n"} {
		for j, head := range []string{head, strings.ReplaceAll(head, "\r\n", "\n")} {
			p.SendRaw([]byte(strings.ReplaceAll(head, "{branch}", "z9hG4bK"+string(rune('a'+i))+string(rune('a'+j))) + end + body))
			got := bob.Expect("MESSAGE sip:phone@")
			before, after, _ := strings.Cut(got.Text, "\r\n\r\n")
			wantNoField(t, before+"\r\n\r\n", "subject", "x-b")
			if after != body || strings.Contains(strings.ReplaceAll(got.Text, "\r\n", ""), "\n") {
				t.Errorf("%q before the body: the phone gets %q", end, got.Text)
			}
			accept(t, s, bob, got)
			p.Expect("SIP/2.0 200 OK\r\n")
		}
	}
	p.Nothing()
	bob.Nothing()
}
