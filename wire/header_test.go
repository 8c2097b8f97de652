package wire

import (
	"strings"
	"testing"
)

func TestLookupHeader(t *testing.T) {
	for id := HeaderID(1); id < numHeaderIDs; id++ {
		name := id.String()
		for _, n := range []string{name, strings.ToLower(name), strings.ToUpper(name)} {
			if got := LookupHeader([]byte(n)); got != id {
				t.Errorf("%s: %v", n, got)
			}
		}
		if c := headerNames[id].compact; c != 0 && (LookupHeader([]byte{c}) != id || LookupHeader([]byte{c - 'a' + 'A'}) != id) {
			t.Errorf("%c is not %v", c, id)
		}
		for _, n := range []string{name + "x", "-" + name[1:], "x" + name, name[:1] + "\x00" + name[2:]} {
			if got := LookupHeader([]byte(n)); got != OtherHeader {
				t.Errorf("%q taken for %v", n, got)
			}
		}
	}
	for _, n := range []string{"", "x", "s", "\x00", "\xff", "Subject", "Via:"} {
		if got := LookupHeader([]byte(n)); got != OtherHeader {
			t.Errorf("%q taken for %v", n, got)
		}
	}
}

func TestCanonicalHeader(t *testing.T) {
	for in, want := range map[string]string{
		"v": "Via", "VIA": "Via", "M": "Contact", "call-id": "Call-ID", "s": "Subject", "R": "Refer-To", "x": "Session-Expires", "z": "z", "X-Own": "X-Own", "": "",
	} {
		if got := CanonicalHeader(in); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestLookupMethod(t *testing.T) {
	for m := INVITE; m < NumMethods; m++ {
		if got := LookupMethod([]byte(m.String())); got != m {
			t.Errorf("%v: %v", m, got)
		}
		for _, n := range []string{strings.ToLower(m.String()), m.String() + "X", m.String()[:len(m.String())-1]} {
			if got := LookupMethod([]byte(n)); got != OtherMethod {
				t.Errorf("%s taken for %v", n, got)
			}
		}
	}
	for _, n := range []string{"", "I", "IN", "OTHER", "FOO"} {
		if got := LookupMethod([]byte(n)); got != OtherMethod {
			t.Errorf("%s taken for %v", n, got)
		}
	}
}

func TestEqualFold(t *testing.T) {
	if !EqualFold([]byte("Call-ID"), "cALL-id") || EqualFold([]byte("a"), "ab") || EqualFold([]byte("@"), "`") || !EqualFold(nil, "") || !EqualFold([]byte("x"), []byte("X")) {
		t.Error("EqualFold")
	}
}

func TestParseUint(t *testing.T) {
	for in, want := range map[string]uint64{"0": 0, "0099": 99, "100": 100, "00000000000000000000000000000100": 100} {
		if n, ok := ParseUint([]byte(in), 100); n != want || !ok {
			t.Errorf("%s: %d %v", in, n, ok)
		}
	}
	for _, in := range []string{"", "101", "-1", "+1", " 1", "1 ", "0x1", "1.0", "99999999999999999999", "18446744073709551617", "00000000000000000000000x"} {
		if n, ok := ParseUint([]byte(in), 100); ok {
			t.Errorf("%q: %d", in, n)
		}
	}
}

func TestAppendUnescaped(t *testing.T) {
	for in, want := range map[string]string{"a%20b": "a b", "%4": "%4", "%": "%", "%zz%41": "%zzA", "%%41": "%A", "%c3%A4": "ä", "": ""} {
		if got := string(AppendUnescaped(nil, []byte(in))); got != want {
			t.Errorf("%q: %q", in, got)
		}
	}
}

func TestAppendEscapedUser(t *testing.T) {
	for in, want := range map[string]string{
		"bob": "bob", "*21#": "*21%23", "a b": "a%20b", "a@b": "a%40b", "a:b": "a%3Ab", "%41": "%2541", "ä\x00": "%C3%A4%00",
		"-_.!~*'()&=+$,;?/": "-_.!~*'()&=+$,;?/", "<>\"[]{}": "%3C%3E%22%5B%5D%7B%7D", "": "",
	} {
		got := AppendEscapedUser([]byte("sip:"), in)
		if string(got) != "sip:"+want {
			t.Errorf("%q: %s", in, got)
		}
		if back := AppendUnescaped(nil, got[4:]); string(back) != in {
			t.Errorf("%q comes back as %q", in, back)
		}
	}
}

func TestWithoutHeaders(t *testing.T) {
	for in, want := range map[string]string{
		"sip:a@h;lr?Subject=x&y=z": "sip:a@h;lr", "sip:a@h?": "sip:a@h", "sip:a?b@h;lr": "sip:a?b@h;lr", "sip:h": "sip:h", "tel:+49?x": "tel:+49?x",
	} {
		u, err := ParseURI([]byte(in))
		if got := string(u.WithoutHeaders()); err != nil || got != want {
			t.Errorf("%s: %s, %v", in, got, err)
		}
	}
}

func TestIsToken(t *testing.T) {
	if !IsToken("aZ09-.!%*_+`'~") || IsToken("") || IsToken("a b") || IsToken("a:") || IsToken([]byte("ä")) {
		t.Error("IsToken")
	}
}

func TestCutValue(t *testing.T) {
	for in, want := range map[string][2]string{
		`"a, b" <sip:c,d@e>;f="g,h" , i, j`: {`"a, b" <sip:c,d@e>;f="g,h"`, " i, j"}, " a ": {"a", ""}, "": {}, ",": {}, "a,": {"a", ""}, `"a,b`: {`"a,b`, ""},
		"<a,b": {"<a,b", ""},
	} {
		if value, rest := CutValue([]byte(in)); string(value) != want[0] || string(rest) != want[1] {
			t.Errorf("%s: %q %q", in, value, rest)
		}
	}
}
