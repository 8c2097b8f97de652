package wire

import (
	"errors"
	"fmt"
	"strings"
	"testing"
)

// request returns a small valid request with the lines changed that are given: "Name: value"
// replaces the line of that name, "-Name" removes it, "+Name: value" adds one. A line without a
// name replaces the start line.
func request(changes ...string) []byte {
	lines := []string{
		"OPTIONS sip:example.com SIP/2.0",
		"Via: SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK1;rport",
		"Max-Forwards: 70",
		"From: <sip:101@example.com>;tag=a",
		"To: <sip:102@example.com>",
		"Call-ID: 1@192.0.2.20",
		"CSeq: 1 OPTIONS",
		"Content-Length: 0",
	}
	for _, c := range changes {
		if add, ok := strings.CutPrefix(c, "+"); ok {
			lines = append(lines, add)
			continue
		}
		name, remove := strings.CutPrefix(c, "-")
		name, _, ok := strings.Cut(name, ":")
		if !remove && !ok || strings.Contains(name, " ") {
			lines[0] = c
			continue
		}
		for i, l := range lines {
			if strings.HasPrefix(l, name+":") {
				lines[i] = c
				if remove {
					lines = append(lines[:i], lines[i+1:]...)
				}
				break
			}
		}
	}
	return []byte(strings.Join(lines, "\r\n") + "\r\n\r\n")
}

func mustParse(t testing.TB, raw []byte) *Message {
	t.Helper()
	m := new(Message)
	if err := m.Parse(raw); err != nil {
		t.Fatalf("%v in\n%s", err, raw)
	}
	return m
}

func TestParse(t *testing.T) {
	m := mustParse(t, request())
	if m.IsResponse || m.Method != OPTIONS || string(m.MethodName()) != "OPTIONS" || string(m.RequestURI()) != "sip:example.com" ||
		m.CSeq != 1 || m.MaxForwards != 70 || m.Status != 0 || len(m.Reason()) != 0 {
		t.Errorf("%+v", m)
	}
	if string(m.FromTag()) != "a" || m.ToTag() != nil || len(m.Body()) != 0 {
		t.Errorf("tags %q %q body %q", m.FromTag(), m.ToTag(), m.Body())
	}
	res := request("SIP/2.0 486 Busy Here", "To: <sip:102@example.com>;tag=b", "-Max-Forwards")
	if err := m.Parse(res); err != nil {
		t.Fatal(err)
	}
	if !m.IsResponse || m.Method != OPTIONS || string(m.MethodName()) != "OPTIONS" || m.Status != 486 || string(m.Reason()) != "Busy Here" ||
		m.MaxForwards != -1 || string(m.ToTag()) != "b" || len(m.RequestURI()) != 0 || m.Answerable() {
		t.Errorf("%+v", m)
	}
}

func TestParseErrors(t *testing.T) {
	long := "+Subject: " + strings.Repeat("x", MaxSize)
	tests := []struct {
		raw  []byte
		want string // empty: accepted
		mute bool
	}{
		{nil, "400 Malformed Start Line", true},
		{[]byte("\r\n\r\n"), "400 Malformed Start Line", true},
		{[]byte("\x00\x00\x00\x00"), "400 Malformed Start Line", true},
		{request("OPTIONS sip:example.com"), "400 Malformed Start Line", false},
		{request("OPTIONS  SIP/2.0"), "400 Malformed Start Line", false},
		{request("OPTIONS sip:example.com HTTP/1.1"), "400 Malformed Start Line", false},
		{request("OPTIONS sip:example.com SIP/3.0"), "505 Version Not Supported", false},
		{request("OPTIONS sip:example.com sip/2.0"), "", false},
		{request("OPT(IONS sip:example.com SIP/2.0"), "400 Malformed Start Line", true},
		{request("SIP/2.0 99 Low"), "400 Malformed Start Line", true},
		{request("SIP/2.0 099 Low"), "400 Malformed Start Line", true},
		{request("SIP/2.0 700 High"), "400 Malformed Start Line", true},
		{request("SIP/2.0 20 Short"), "400 Malformed Start Line", true},
		{request("SIP/2.0 2000 Long"), "400 Malformed Start Line", true},
		{request("SIP/2.0 200"), "", false},
		{request("SIP/3.0 200 OK"), "505 Version Not Supported", true},

		{request("-Via"), "400 Malformed or Missing Via", true},
		{request("Via: SIP/2.0/UDP"), "400 Malformed or Missing Via", true},
		{request("-From"), "400 Malformed or Missing From", false},
		{request("-To"), "400 Malformed or Missing To", false},
		{request("-Call-ID"), "400 Malformed or Missing Call-ID", false},
		{request("Call-ID:"), "400 Malformed or Missing Call-ID", false},
		{request("-CSeq"), "400 Malformed or Missing CSeq", false},
		{request("-Max-Forwards"), "", false},
		{request("-Content-Length"), "", false},
		{request("From: <sip:a@example.com"), "400 Malformed or Missing From", false},
		{request("From: \"a <sip:a@example.com>"), "400 Malformed or Missing From", false},
		{request("From: sip:a@example.com;tag=\"x"), "400 Malformed or Missing From", false},
		{request("From: sip:a@example.com;tag="), "400 Malformed or Missing From", false},
		{request("To: sip:a@example.com;tag"), "400 Malformed or Missing To", false},
		{request("To: sip:a@example.com;tag=a;x;TAG=b"), "400 Malformed or Missing To", false},
		{request("From: <sip:a@example.com>;tag=a, <sip:b@example.com>"), "400 Malformed or Missing From", false},
		{request("To: Bob, B <sip:a@example.com>"), "400 Malformed or Missing To", false},
		{request("To: \"Bob, B\" <sip:a,b@example.com>;x=\",\""), "", false},

		{request("CSeq: 2147483647 OPTIONS"), "", false},
		{request("CSeq: 00000000000000000000000001 OPTIONS"), "", false},
		{request("CSeq: 2147483648 OPTIONS"), "400 Malformed or Missing CSeq", false},
		{request("CSeq: -1 OPTIONS"), "400 Malformed or Missing CSeq", false},
		{request("CSeq: 1"), "400 Malformed or Missing CSeq", false},
		{request("CSeq: OPTIONS"), "400 Malformed or Missing CSeq", false},
		{request("CSeq: 1 OPT IONS"), "400 Malformed or Missing CSeq", false},
		{request("CSeq: 1 options"), "400 CSeq Method Does Not Match", false},
		{request("CSeq: 1 \t OPTIONS"), "", false},

		{request("Max-Forwards: 0"), "", false},
		{request("Max-Forwards: -1"), "400 Malformed Max-Forwards", false},
		{request("Max-Forwards: x"), "400 Malformed Max-Forwards", false},
		{request("Max-Forwards: 99999999999"), "400 Malformed Max-Forwards", false},

		{request("Content-Length: 1"), "400 Body Shorter Than Content-Length", false},
		{request("Content-Length: 99999999999999999999999"), "400 Malformed Content-Length", false},
		{request("Content-Length:"), "400 Malformed Content-Length", false},
		{request("Content-Length: 0, 0"), "400 Malformed Content-Length", false},

		{request("+f: <sip:a@example.com>"), "400 Duplicate Header", false},
		{request("+To: <sip:102@example.com>"), "400 Duplicate Header", false},
		{request("+i: 1@192.0.2.20"), "400 Duplicate Header", false},
		{request("+CSEQ: 1 OPTIONS"), "400 Duplicate Header", false},
		{request("+max-forwards: 70"), "400 Duplicate Header", false},
		{request("+l: 0"), "400 Duplicate Header", false},
		{request("+v: SIP/2.0/UDP a", "+Contact: <sip:a>", "+m: <sip:b>"), "", false},

		{request("+Subject"), "400 Malformed Header Line", false},
		{request("+: x"), "400 Malformed Header Line", false},
		{request("+Sub ject: x"), "400 Malformed Header Line", false},
		{request("+Sub(ject: x"), "400 Malformed Header Line", false},
		{request("+Subject: a\rX-Evil: b"), "400 Malformed Header Line", false},
		{request("+Subject: a\r\r\n b"), "400 Malformed Header Line", false},
		{request("OPTIONS sip:example\r.com SIP/2.0"), "400 Malformed Header Line", false},
		{[]byte(strings.Replace(string(request()), "\r\nVia", "\r\n Via", 1)), "400 Malformed Header Line", true},

		{request("+Subject: " + strings.Repeat(";", MaxParams)), "", false},
		{request("+Subject: " + strings.Repeat(";", MaxParams+1)), "400 Too Many Parameters", false},
		{request("+Contact: <sip:a?" + strings.Repeat("&", MaxParams) + ">"), "", false},
		{request("+Contact: <sip:a?" + strings.Repeat("&", MaxParams+1) + ">"), "400 Too Many Parameters", false},
		{request("OPTIONS sip:a" + strings.Repeat(";x", MaxParams) + " SIP/2.0"), "", false},
		{request("OPTIONS sip:a" + strings.Repeat(";x", MaxParams+1) + " SIP/2.0"), "400 Too Many Parameters", false},
		{request("+X: " + strings.Repeat("1\r\nX: ", MaxHeaders-8)), "", false},
		{request("+X: " + strings.Repeat("1\r\nX: ", MaxHeaders-7)), "400 Too Many Headers", false},
		{request(long), "413 Message Too Large", false},
		{[]byte(strings.TrimSuffix(string(request()), "\r\n")), "400 Headers Without End", false},
		{[]byte(strings.TrimSuffix(string(request()), "0\r\n\r\n")), "400 Headers Without End", false},
		{request("ACK sip:example.com SIP/2.0", "CSeq: 1 ACK", "-To"), "400 Malformed or Missing To", true},
	}
	m := new(Message)
	for _, test := range tests {
		name := fmt.Sprintf("%.400q", test.raw)
		err := m.Parse(test.raw)
		if test.want == "" {
			if err != nil {
				t.Errorf("%s: %v", name, err)
			}
			continue
		}
		var perr *ParseError
		if !errors.As(err, &perr) || err.Error() != test.want {
			t.Errorf("%s: %v, want %s", name, err, test.want)
			continue
		}
		if m.Answerable() == test.mute {
			t.Errorf("%s: Answerable is %v", name, m.Answerable())
		}
		if res := string(m.AppendResponse(nil, perr.Status, perr.Reason, anySource, &ResponseOptions{})); strings.Contains(
			strings.ReplaceAll(res, "\r\n", ""), "\r") {
			t.Errorf("%s: the refusal has a stray carriage return: %q", name, res)
		}
	}
}

func TestParseMaxSize(t *testing.T) {
	raw := append(request("-Content-Length"), make([]byte, MaxSize)...)[:MaxSize]
	if m := mustParse(t, raw); len(m.Raw) != MaxSize {
		t.Errorf("%d bytes", len(m.Raw))
	}
	header := request("+Subject: " + strings.Repeat("x", MaxSize-len(request("+Subject: "))))
	m := mustParse(t, header)
	if v, _ := m.HeaderNamed("Subject"); len(header) != MaxSize || len(m.Body()) != 0 || !strings.HasSuffix(string(header), string(v)+"\r\n\r\n") {
		t.Errorf("%d bytes, Subject has %d", len(header), len(v))
	}
}

func TestParseLineEnds(t *testing.T) {
	for _, raw := range []string{
		"\r\n\r\n\n" + string(request()), // RFC 3261 §7.5
		strings.ReplaceAll(string(request()), "\r\n", "\n"),
		strings.Replace(string(request()), "\r\n", "\n", 1),
		strings.Replace(string(request()), "\r\nCSeq", "\nCSeq", 1),
		strings.Replace(string(request()), "\r\n\r\n", "\r\n\n", 1),
		strings.Replace(string(request()), "\r\n\r\n", "\n\n", 1),
	} {
		m := mustParse(t, []byte(raw))
		if m.Method != OPTIONS || m.MaxForwards != 70 || string(m.Header(CallID)) != "1@192.0.2.20" || string(m.Raw) != string(request()) {
			t.Errorf("%q became %q", raw, m.Raw)
		}
	}
	// The body is nobody's to change.
	m := mustParse(t, []byte(strings.ReplaceAll(string(request("Content-Length: 9", "+Subject: a\n\tb")), "\r\n", "\n")+"\nVia: x\r\n\n"))
	if want := string(request("Content-Length: 9", "+Subject: a \tb")) + "\nVia: x\r\n"; string(m.Raw) != want || string(m.Body()) != "\nVia: x\r\n" {
		t.Errorf("%q, want %q", m.Raw, want)
	}
	long := strings.ReplaceAll(string(request("+Subject: "+strings.Repeat("x", MaxSize-len(request("+Subject: "))))), "\r\n", "\n")
	if err := m.Parse([]byte(long)); err != nil || len(m.Raw) != MaxSize {
		t.Errorf("%v, %d bytes", err, len(m.Raw))
	}
	if err := m.Parse([]byte(strings.Replace(long, "xx", "xxx", 1))); err == nil || err.Error() != "413 Message Too Large" {
		t.Errorf("%v, and the copy would be too large", err)
	}
}

func TestParseFolding(t *testing.T) {
	raw := request("From:\r\n <sip:101@example.com>\r\n\t;tag\r\n =\r\n a ", "+Subject: one\n \r\n two\r\n\t", "+X:\r\n y", "+Y: \t z \t ")
	want := len(raw)
	m := mustParse(t, raw)
	if string(m.FromTag()) != "a" {
		t.Errorf("tag %q of %q", m.FromTag(), m.Header(From))
	}
	for name, want := range map[string]string{"Subject": "one     two", "X": "y", "Y": "z"} {
		if v, _ := m.HeaderNamed(name); string(v) != want {
			t.Errorf("%s %q, want %q", name, v, want)
		}
	}
	if len(m.Raw) != want || strings.Contains(string(m.Raw), "\n ") || strings.Contains(string(m.Raw), "\n\t") {
		t.Errorf("not unfolded in place: %q", m.Raw)
	}
	body := mustParse(t, append(request("Content-Length: 4"), " a\r\n"...))
	if string(body.Body()) != " a\r\n" {
		t.Errorf("the body was unfolded: %q", body.Body())
	}
}

func TestParseBody(t *testing.T) {
	for _, test := range []struct{ length, body, want string }{
		{"+Content-Length: 5", "hello", "hello"},
		{"+Content-Length: 5", "hello, and more", "hello"},
		{"+l: 0", "hello", ""},
		{"-Content-Length", "hello", "hello"},
	} {
		m := mustParse(t, append(request("-Content-Length", test.length), test.body...))
		if string(m.Body()) != test.want || !strings.HasSuffix(string(m.Raw), "\r\n\r\n"+test.want) {
			t.Errorf("%v: %q", test, m.Body())
		}
		if cap(m.Body()) != len(m.Body()) {
			t.Errorf("%v: appending to the body changes what is behind it", test)
		}
	}
}

// TestParseReuse parses a message with little in it after one with much.
func TestParseReuse(t *testing.T) {
	m := mustParse(t, request("Via: SIP/2.0/TCP h;received=192.0.2.1;rport=1;maddr=x;branch=b", "To: <sip:x@y>;tag=z", "+Contact: <sip:a>", "+m: <sip:b>"))
	if err := m.Parse(request("Via: SIP/2.0/UDP h", "-Max-Forwards", "-Content-Length")); err != nil {
		t.Fatal(err)
	}
	fresh := mustParse(t, request("Via: SIP/2.0/UDP h", "-Max-Forwards", "-Content-Length"))
	if fmt.Sprintf("%+v", *m) != fmt.Sprintf("%+v", *fresh) {
		t.Errorf("something is left:\n%+v\n%+v", *m, *fresh)
	}
	if m.Has(Contact) || m.Header(Contact) != nil || m.Via.HasRPort || m.Via.Received != nil {
		t.Error("something is left")
	}
}

func TestParseAllocates(t *testing.T) {
	var m Message
	for _, raw := range [][]byte{register, invite, request("Via: SIP/2.0/UDP [2001:db8::1]:5060;branch=z9hG4bK1")} {
		if n := testing.AllocsPerRun(100, func() {
			if err := m.Parse(raw); err != nil {
				t.Fatal(err)
			}
		}); n != 0 {
			t.Errorf("%v allocations", n)
		}
	}
}
