package wire

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"
	"time"
)

func TestParseURI(t *testing.T) {
	type uri struct {
		scheme                                Scheme
		user, password, host, params, headers string
		port                                  uint16
	}
	for in, want := range map[string]uri{
		"sip:example.com": {scheme: SIP, host: "example.com"},
		"SIPS:Alice:pw@Example.com:5061;transport=tcp;lr?Subject=x&y=z": {SIPS, "Alice", "pw", "Example.com", ";transport=tcp;lr", "Subject=x&y=z", 5061},
		"sip:101@[2001:db8::1]:5070;lr":                                 {scheme: SIP, user: "101", host: "[2001:db8::1]", port: 5070, params: ";lr"},
		"sip:[::1]":                                                     {scheme: SIP, host: "[::1]"},
		"sip:+1;phone-context=x@h;user=phone":                           {scheme: SIP, user: "+1;phone-context=x", host: "h", params: ";user=phone"},
		"sip:a?b;c@h":                                                   {scheme: SIP, user: "a?b;c", host: "h"},
		"sip:a:@h":                                                      {scheme: SIP, user: "a", host: "h"},
		"sip:h;x?y":                                                     {scheme: SIP, host: "h", params: ";x", headers: "y"},
		"sip:h?y;x":                                                     {scheme: SIP, host: "h", headers: "y;x"},
		"tel:+49-30-1;phone-context=example.com":                        {scheme: TEL, user: "+49-30-1", params: ";phone-context=example.com"},
		"urn:service:sos":                                               {scheme: OtherScheme},
		"soap.beep://192.0.2.103:3002":                                  {scheme: OtherScheme},
		"sip:a_b.c-d.":                                                  {scheme: SIP, host: "a_b.c-d."},
		"sip:\xc3\xa4@h":                                                {scheme: SIP, user: "\xc3\xa4", host: "h"},
	} {
		u, err := ParseURI([]byte(in))
		got := uri{u.Scheme, string(u.User), string(u.Password), string(u.Host), string(u.Params), string(u.Headers), u.Port}
		if err != nil || got != want || string(u.Raw) != in {
			t.Errorf("%s: %+v %v", in, got, err)
		}
	}
	for _, in := range []string{
		"", "sip", "sip:", ":x", "1sip:x", "s ip:x", "sip:@h", "sip::pw@h", "sip:a@", "sip:a@b@c", "sip:a@b?c=d@e", "sip:h:", "sip:h:0", "sip:h:65536", "sip:h:5060x",
		"sip:h:-1", "sip:2001:db8::10", "sip:[::1", "sip:[]", "sip:[x]", "sip:[::1]a", "sip:[1.2.3.4]", "sip:[fe80::1%25eth0]", "sip:a b@h", "sip:a@h x",
		"sip:a@h\r\nVia: x", "sip:a\x00@h", "sip:a\x7f@h", "<sip:a@h>", "sip:a\"@h", "sip:a@h%41", "*", "sip:;lr", "sip:[2001:db8:::1]", "sip:[1:::2:1.2.3.4]",
	} {
		if u, err := ParseURI([]byte(in)); err == nil {
			t.Errorf("%q: read as %+v", in, u)
		}
	}
}

func TestEqualURI(t *testing.T) {
	equal := [][2]string{
		// RFC 3261 §19.1.4
		{"sip:%61lice@atlanta.com;transport=TCP", "sip:alice@AtlanTa.CoM;Transport=tcp"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;newparam=5"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=on"},
		{"sip:carol@chicago.com;newparam=5", "sip:carol@chicago.com;security=on"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com;security=off"},
		{"sip:biloxi.com;transport=tcp;method=REGISTER?to=sip:bob%40biloxi.com", "sip:biloxi.com;method=REGISTER;transport=tcp?to=sip:bob%40biloxi.com"},
		{"sip:alice@atlanta.com?subject=project%20x&priority=urgent", "sip:alice@atlanta.com?priority=urgent&subject=project%20x"},

		{"sip:a@h;%6Cr", "sip:a@h;lr"},
		{"sip:a%3Bb@h", "sip:a%3bb@h"},
		{"sip:a@[2001:db8::1]:5060", "sip:a@[2001:DB8:0:0:0:0:0:1]:5060"}, // RFC 5954
		{"tel:+1", "tel:+1"},
		{"sip:h;ttl=1", "SIP:h;TTL=1"},
		{"sip:h;a=1;b=2;c=3", "sip:h;d;c=3;a=1"},
		{"sip:h;=x;a;;b", "sip:h;b;a"},
		{"sip:h;a=b=c", "sip:h;x;A=B=C"},
		{"sip:h" + many(17) + ";x=1", "sip:h;x=1" + many(17)},
	}
	for _, pair := range equal {
		a, b := uris(t, pair)
		if !EqualURI(&a, &b) || !EqualURI(&b, &a) {
			t.Errorf("%s and %s are equal", pair[0], pair[1])
		}
	}
	different := [][2]string{
		// RFC 3261 §19.1.4
		{"SIP:ALICE@AtLanTa.CoM;Transport=udp", "sip:alice@AtLanTa.CoM;Transport=UDP"},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:5060"},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com;transport=udp"},
		{"sip:bob@biloxi.com", "sip:bob@biloxi.com:6000;transport=tcp"},
		{"sip:carol@chicago.com", "sip:carol@chicago.com?Subject=next%20meeting"},
		{"sip:bob@phone21.boxesbybob.com", "sip:bob@192.0.2.4"},
		{"sip:carol@chicago.com;security=on", "sip:carol@chicago.com;security=off"},

		{"sip:a@h", "sips:a@h"},
		{"sip:a@h", "sip:h"},
		{"sip:a:x@h", "sip:a:y@h"},
		{"sip:a:x@h", "sip:a@h"},
		{"sip:a@h", "sip:a@h;maddr=x"},
		{"sip:a@h", "sip:a@h;user=ip"},
		{"sip:a@h", "sip:a@h;ttl=1"},
		{"sip:a@h", "sip:a@h;method=INVITE"},
		{"sip:a@h", "sip:a@h;%75ser=phone"},
		{"sip:a;b@h", "sip:a%3Bb@h"}, // reserved
		{"sip:a@h?x=1&y=2", "sip:a@h?x=1&z=2"},
		{"sip:a@h?x=1&y=2", "sip:a@h?x=1"},
		{"sip:a@h?x=1&x=1", "sip:a@h?x=1&y=1"},
		{"sip:a@[2001:db8::1]", "sip:a@[2001:db8::2]"},
		{"sip:h;a=1;b=2;c=3", "sip:h;d;c=3;a=2"},
		{"sip:h;a=%3b", "sip:h;a=%00;"},
		{"sip:h;a=b=c", "sip:h;a=b%3dc"}, // reserved
		{"sip:a%3B@h", "sip:a%00;@h"},
		{"sip:h" + many(17) + ";x=1", "sip:h" + many(17) + ";x=2"},
		{"sip:h" + many(16) + ";x=1", "sip:h" + many(16) + ";x=2"},
		{"sip:h" + many(17), "sip:h"}, // too many to compare one by one
		{"tel:+1", "tel:+2"},
	}
	for _, pair := range different {
		a, b := uris(t, pair)
		if EqualURI(&a, &b) || EqualURI(&b, &a) {
			t.Errorf("%s and %s differ", pair[0], pair[1])
		}
	}
	a, b := uris(t, equal[0])
	if n := testing.AllocsPerRun(100, func() { EqualURI(&a, &b) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}

// many returns n parameters.
func many(n int) string {
	var b strings.Builder
	for i := range n {
		fmt.Fprintf(&b, ";p%d=%d", i, i)
	}
	return b.String()
}

func uris(t *testing.T, pair [2]string) (a, b URI) {
	t.Helper()
	a, err := ParseURI([]byte(pair[0]))
	if err != nil {
		t.Fatal(err)
	}
	if b, err = ParseURI([]byte(pair[1])); err != nil {
		t.Fatal(err)
	}
	return a, b
}

// TestEqualURILong compares URIs whose headers would take minutes to compare each with each.
func TestEqualURILong(t *testing.T) {
	done := make(chan bool)
	go func() {
		headers := strings.Repeat("a&", 30000)
		a, b := uris(t, [2]string{"sip:h?" + headers + "b", "sip:h?" + headers + "c"})
		done <- EqualURI(&a, &a) && !EqualURI(&a, &b)
	}()
	select {
	case ok := <-done:
		if !ok {
			t.Error("compared wrongly")
		}
	case <-time.After(10 * time.Second):
		t.Fatal("the comparison doesn't end")
	}
}

func TestAppendAOR(t *testing.T) {
	for in, want := range map[string]string{
		"sip:Alice@Example.COM":                              "Alice@example.com",
		"sips:%61lice:secret@example.com:5061;transport=tcp": "alice@example.com",
		"sip:a%40b@example.com":                              "a@b@example.com",
		"sip:%zz@example.com":                                "%zz@example.com",
		"sip:example.com":                                    "@example.com",
		"sip:a@[2001:DB8:0:0:0:0:0:1]:5060":                  "a@[2001:db8::1]",
		"sip:a@192.0.2.1":                                    "a@192.0.2.1",
	} {
		u, err := ParseURI([]byte(in))
		if got := string(u.AppendAOR([]byte("x"))); err != nil || got != "x"+want {
			t.Errorf("%s: %q %v", in, got, err)
		}
	}
}

func TestURIParam(t *testing.T) {
	u, err := ParseURI([]byte("sip:h;LR;transport=TCP;x=%41;x=2;%6Danaged="))
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range map[string]string{"lr": "", "Transport": "TCP", "x": "%41", "managed": ""} {
		if v, ok := u.Param(name); !ok || string(v) != want {
			t.Errorf("%s: %q %v", name, v, ok)
		}
	}
	if _, ok := u.Param("l"); ok {
		t.Error("there is no l")
	}
}

func TestAppendURI(t *testing.T) {
	for in, want := range map[string]string{
		"sip:a@h;x=1?y=z": "sip:a@h;x=1?y=z", "sip:a b@h": "sip:a%20b@h", "sip:a@h>;x": "sip:a@h%3E;x", "sip:a\r\nX: <y>\"\x00\x7f": "sip:a%0D%0AX:%20%3Cy%3E%22%00%7F",
		"sip:\xc3\xa4@h": "sip:\xc3\xa4@h", "": "",
	} {
		if got := string(AppendURI(nil, in)); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
}

func TestHostAddr(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "[2001:db8::1]": "2001:db8::1", "2001:db8::1": "2001:db8::1", "2001:db8::a": "2001:db8::a", "[::ffff:192.0.2.1]": "192.0.2.1",
		"[2001:db8:::192.0.2.1]": "2001:db8::192.0.2.1", "[:::192.0.2.1]": "::192.0.2.1",
		"": "", "[": "", "[]": "", "]": "", "[1.2.3.4]": "", "[::1": "", "host": "", "host1": "", "1.2.3": "", "1.2.3.256": "", "fe80::1%eth0": "", "[fe80::1%eth0]": "",
		"[2001:db8:::1]": "", "[::::192.0.2.1]": "", "[1::2:::192.0.2.1]": "",
	} {
		addr, ok := HostAddr([]byte(in))
		if ok != (want != "") || ok && addr != netip.MustParseAddr(want) {
			t.Errorf("%q: %v %v", in, addr, ok)
		}
	}
}

func TestAppendHost(t *testing.T) {
	for in, want := range map[string]string{
		"192.0.2.1:5060": "192.0.2.1:5060", "[2001:db8::1]:5060": "[2001:db8::1]:5060", "[fe80::1%eth0]:1": "[fe80::1]:1", "[::ffff:192.0.2.1]:65535": "192.0.2.1:65535",
	} {
		if got := string(AppendHostPort([]byte("x"), netip.MustParseAddrPort(in))); got != "x"+want {
			t.Errorf("%s: %s", in, got)
		}
	}
	if got := string(AppendHost(nil, netip.MustParseAddr("::1"))); got != "[::1]" {
		t.Error(got)
	}
}
