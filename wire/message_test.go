package wire

import (
	"bytes"
	"fmt"
	"slices"
	"testing"
)

func listMessage(t *testing.T) *Message {
	return mustParse(t, request("Via: SIP/2.0/UDP a, SIP/2.0/UDP b;x=\"1,2\" ,, SIP/2.0/UDP c",
		"+Subject: one", "+v:SIP/2.0/TCP d", "+SUBJECT: two", "+s: three", "+X-Other: x",
		`+Contact: "A, B" <sip:a,b@c>;q="0,5" , <sip:d>`, "+M: *", "+VIA: ,", "+Via: SIP/2.0/UDP e ,"))
}

func TestMessageHeaders(t *testing.T) {
	m := listMessage(t)
	if !m.Has(Contact) || m.Has(Route) || m.Header(Route) != nil {
		t.Error("Has")
	}
	if string(m.Header(Contact)) != `"A, B" <sip:a,b@c>;q="0,5" , <sip:d>` {
		t.Errorf("Contact %q", m.Header(Contact))
	}
	for name, want := range map[string]string{"via": "SIP/2.0/UDP a, SIP/2.0/UDP b;x=\"1,2\" ,, SIP/2.0/UDP c", "V": "SIP/2.0/UDP a, SIP/2.0/UDP b;x=\"1,2\" ,, SIP/2.0/UDP c",
		"subject": "one", "S": "one", "x-OTHER": "x", "m": `"A, B" <sip:a,b@c>;q="0,5" , <sip:d>`} {
		if v, ok := m.HeaderNamed(name); !ok || string(v) != want {
			t.Errorf("%s: %q %v", name, v, ok)
		}
	}
	for _, name := range []string{"", "X", "X-Othe", "Refer-To", "r", "Route"} {
		if v, ok := m.HeaderNamed(name); ok || v != nil {
			t.Errorf("%s: %q", name, v)
		}
	}
}

func TestMessageLines(t *testing.T) {
	m := listMessage(t)
	for name, want := range map[string][]string{
		"Subject": {"one", "two", "three"}, "s": {"one", "two", "three"}, "X-Other": {"x"}, "Nothing": nil,
		"Contact": {`"A, B" <sip:a,b@c>;q="0,5" , <sip:d>`, "*"},
	} {
		var got []string
		for it := m.Lines(name); it.Next(); {
			got = append(got, string(it.Value()))
			start, end := it.Span()
			if line := string(m.Raw[start:end]); line[len(line)-2:] != "\r\n" || start > 0 && m.Raw[start-1] != '\n' {
				t.Errorf("%s: span is %q", name, line)
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%s: %q, want %q", name, got, want)
		}
	}
}

func TestMessageAll(t *testing.T) {
	m := mustParse(t, request("+v : SIP/2.0/UDP x", "+X-A:b"))
	var got []string
	m.All(func(id HeaderID, name, value []byte) bool {
		got = append(got, fmt.Sprintf("%s|%s|%s", id, name, value))
		return true
	})
	want := []string{"Via|Via|SIP/2.0/UDP 192.0.2.20:5060;branch=z9hG4bK1;rport", "Max-Forwards|Max-Forwards|70",
		"From|From|<sip:101@example.com>;tag=a", "To|To|<sip:102@example.com>", "Call-ID|Call-ID|1@192.0.2.20", "CSeq|CSeq|1 OPTIONS",
		"Content-Length|Content-Length|0", "Via|v|SIP/2.0/UDP x", "|X-A|b"}
	if !slices.Equal(got, want) {
		t.Errorf("%q", got)
	}
	n := 0
	m.All(func(HeaderID, []byte, []byte) bool { n++; return n < 2 })
	if n != 2 {
		t.Errorf("%d calls after false", n)
	}
}

func TestMessageValues(t *testing.T) {
	m := listMessage(t)
	for id, want := range map[HeaderID][]string{
		Via:     {"SIP/2.0/UDP a", `SIP/2.0/UDP b;x="1,2"`, "SIP/2.0/UDP c", "SIP/2.0/TCP d", "SIP/2.0/UDP e"},
		Contact: {`"A, B" <sip:a,b@c>;q="0,5"`, "<sip:d>", "*"},
		Route:   nil,
		CallID:  {"1@192.0.2.20"},
	} {
		var got []string
		for v := m.Values(id); v.Next(); {
			got = append(got, string(v.Value()))
			if start, end := v.Span(); !bytes.Equal(m.Raw[start:end], v.Value()) {
				t.Errorf("%v: span is %q, value %q", id, m.Raw[start:end], v.Value())
			}
		}
		if !slices.Equal(got, want) {
			t.Errorf("%v: %q, want %q", id, got, want)
		}
	}
}

func TestMessageExpires(t *testing.T) {
	for value, want := range map[string]struct {
		n  uint32
		ok bool
	}{
		"3600": {3600, true}, "0": {0, true}, "4294967295": {1<<32 - 1, true}, "4294967296": {1<<32 - 1, true},
		"99999999999999999999999999": {1<<32 - 1, true}, "000000000000000000000000001": {1, true},
		"": {}, "-1": {}, "1 ": {}, "x": {}, "99999999999999999999x": {},
	} {
		if n, ok := ParseExpires([]byte(value)); n != want.n || ok != want.ok {
			t.Errorf("%q: %d %v", value, n, ok)
		}
	}
	if n, ok := mustParse(t, request("+Expires: 60")).Expires(); n != 60 || !ok {
		t.Errorf("%d %v", n, ok)
	}
	if _, ok := mustParse(t, request()).Expires(); ok {
		t.Error("there is no Expires")
	}
}

func TestClone(t *testing.T) {
	raw := append(request("Via: SIP/2.0/TCP [2001:db8::1]:5080 ; received=192.0.2.1;maddr=x ;rport = 7; branch=z9hG4bKb;z, SIP/2.0/UDP b",
		"To: <sip:102@example.com>;tag=b", "Content-Length: 2", "+Contact: <sip:a>, <sip:b>"), "hi, this is cut"...)
	want := string(raw)
	m := mustParse(t, raw)
	dst := mustParse(t, register)
	m.Clone(dst)
	fresh := mustParse(t, []byte(want))
	for i := range raw {
		raw[i] = 'x' // the memory is used for another message
	}
	m = nil
	if string(dst.Raw) != want[:len(want)-len(", this is cut")] || cap(dst.Raw) != len(dst.Raw) || string(dst.Body()) != "hi" {
		t.Errorf("%q", dst.Raw)
	}
	if a, b := fmt.Sprintf("%q %+v", dst.Via.Branch, dst.Via), fmt.Sprintf("%q %+v", fresh.Via.Branch, fresh.Via); a != b {
		t.Errorf("Via\n%s\n%s", a, b)
	}
	if cap(dst.Via.RPort) != cap(fresh.Via.RPort) || cap(dst.Via.Host) != cap(fresh.Via.Host) {
		t.Error("the clone's slices reach further than the message's")
	}
	a := dst.AppendResponse(nil, 200, "OK", anySource, &ResponseOptions{})
	if b := fresh.AppendResponse(nil, 200, "OK", anySource, &ResponseOptions{}); !bytes.Equal(a, b) {
		t.Errorf("%s\n%s", a, b)
	}
	second := new(Message)
	dst.Clone(second) // a clone can be cloned
	if string(second.Via.Branch) != "z9hG4bKb" || string(second.Via.RPort) != "7" || second.Via.Params == nil {
		t.Errorf("%+v", second.Via)
	}
	if n := testing.AllocsPerRun(100, func() { fresh.Clone(second) }); n != 2 { // the bytes, and where the lines are
		t.Errorf("%v allocations", n)
	}
}
