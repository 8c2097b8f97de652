//go:build linux

package main

import (
	"bytes"
	"strings"
	"testing"
)

func TestParse(t *testing.T) {
	data := []byte("SIP/2.0 404 Not a call\r\n" +
		"v: SIP/2.0/UDP a;branch=z9hG4bK1, SIP/2.0/UDP b;branch=z9hG4bK2\r\n" +
		"VIA: SIP/2.0/UDP c\r\n" +
		"f: \"x, <y>\" <sip:a@b;p=1>;tag=1\r\n" +
		"To: sip:c@d;tag=2\r\n" +
		"i: id\r\nCSeq: 12  INVITE\r\n" +
		"m: <sip:e@f>;+sip.instance=\"<urn:uuid:1>;expires=1\";expires=60\r\n" +
		"Content-Length: 2\r\n\r\nhi")
	var m message
	if err := m.parse(data); err != nil {
		t.Fatal(err)
	}
	if m.status != 404 || string(m.reason) != "Not a call" || m.method != nil {
		t.Errorf("start line: %d %q %q", m.status, m.reason, m.method)
	}
	if len(m.via) != 3 || string(m.via[1]) != "SIP/2.0/UDP b;branch=z9hG4bK2" {
		t.Errorf("Via: %q", m.via)
	}
	if uri := addrURI(m.from); string(uri) != "sip:a@b;p=1" {
		t.Errorf("From URI %q", uri)
	}
	if tag, _ := param(m.to, "tag"); string(tag) != "2" {
		t.Errorf("To tag %q", tag)
	}
	if expires, _ := param(m.contact[0], "expires"); string(expires) != "60" {
		t.Errorf("expires %q", expires)
	}
	if m.cseq != 12 || string(m.cseqMethod) != "INVITE" || string(m.body) != "hi" {
		t.Errorf("CSeq %d %q, body %q", m.cseq, m.cseqMethod, m.body)
	}
}

func TestParseRefuses(t *testing.T) {
	good := string(newTemplate(optionsText).instantiate(12345).data)
	var m message
	if err := m.parse([]byte(good)); err != nil {
		t.Fatal(err)
	}
	for name, bad := range map[string]string{
		"no headers":           "SIP/2.0 200 OK",
		"no end":               strings.TrimSuffix(good, "\r\n"),
		"bytes after the body": good + "x",
		"body cut":             strings.Replace(good, "Content-Length: 0", "Content-Length: 1", 1),
		"two lengths":          strings.Replace(good, "\r\n\r\n", "\r\nContent-Length: 0\r\n\r\n", 1),
		"two Call-IDs":         strings.Replace(good, "\r\n\r\n", "\r\nCall-ID: 2\r\n\r\n", 1),
		"no Via":               strings.Replace(good, "Via", "Vio", 1),
		"no version":           strings.Replace(good, " SIP/2.0\r\n", "\r\n", 1),
	} {
		if err := m.parse([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestTemplate(t *testing.T) {
	in := newTemplate("\nA {port} {id}\nB: {user}\n\nbody\n").instantiate(12345)
	in.setID(7, 42)
	in.set("user", 1_000_001)
	want := "A 12345 000700000042\r\nB: 1000001\r\nContent-Length: 6\r\n\r\nbody\r\n"
	if string(in.data) != want {
		t.Fatalf("got %q, want %q", in.data, want)
	}
	if slot, seq, ok := readID(in.data[bytes.IndexByte(in.data, ' ')+7:]); !ok || slot != 7 || seq != 42 {
		t.Errorf("readID: %d %d %v", slot, seq, ok)
	}
	if _, _, ok := readID([]byte("00070000004x")); ok {
		t.Error("readID takes a letter for a digit")
	}
}

func TestRegisterIsRealistic(t *testing.T) {
	if n := len(newTemplate(registerText).text); n < 800 || n > 950 {
		t.Errorf("a REGISTER of %d bytes", n)
	}
}

func FuzzParse(f *testing.F) {
	for _, text := range []string{registerText, optionsText, lrcInvite, lrcAck, callInvite, callRelayed} {
		f.Add(newTemplate(text).text)
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var m message
		if m.parse(data) != nil {
			return
		}
		for _, value := range append(append(m.via, m.contact...), m.from, m.to) {
			addrURI(value)
			param(value, "tag")
			transactionOf(value)
		}
	})
}
