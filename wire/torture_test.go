package wire

import (
	"errors"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

// torture says what becomes of each message of RFC 4475 and RFC 5118 when it is parsed. What only a
// user agent server or a proxy decides, such as 416, 420 or 483, is no error here. mute: refused,
// but nothing is answered.
var torture = map[string]struct {
	status int // 0: accepted
	reason string
	mute   bool
	badURI bool // accepted, with a Request-URI that ParseURI refuses
}{
	// RFC 4475 §3.1.1, valid messages.
	"rfc4475/wsinv.dat":      {},
	"rfc4475/intmeth.dat":    {},
	"rfc4475/esc01.dat":      {},
	"rfc4475/escnull.dat":    {},
	"rfc4475/esc02.dat":      {},
	"rfc4475/lwsdisp.dat":    {},
	"rfc4475/longreq.dat":    {},
	"rfc4475/dblreq.dat":     {}, // one datagram, one message
	"rfc4475/semiuri.dat":    {},
	"rfc4475/transports.dat": {},
	"rfc4475/mpart01.dat":    {},
	"rfc4475/unreason.dat":   {},
	"rfc4475/noreason.dat":   {},

	// RFC 4475 §3.1.2, invalid messages.
	"rfc4475/badinv01.dat":   {status: 400, reason: "Malformed or Missing Via"},
	"rfc4475/clerr.dat":      {status: 400, reason: "Body Shorter Than Content-Length"},
	"rfc4475/ncl.dat":        {status: 400, reason: "Malformed Content-Length"},
	"rfc4475/scalar02.dat":   {status: 400, reason: "Malformed or Missing CSeq"},
	"rfc4475/scalarlg.dat":   {status: 400, reason: "Malformed or Missing CSeq", mute: true}, // a response
	"rfc4475/quotbal.dat":    {status: 400, reason: "Malformed or Missing To"},
	"rfc4475/ltgtruri.dat":   {status: 400, reason: "Malformed Start Line"},
	"rfc4475/lwsruri.dat":    {status: 400, reason: "Malformed Start Line"},
	"rfc4475/lwsstart.dat":   {status: 400, reason: "Malformed Start Line"},
	"rfc4475/trws.dat":       {status: 400, reason: "Malformed Start Line"},
	"rfc4475/escruri.dat":    {},                                                 // headers in the Request-URI: for the server to refuse or to ignore
	"rfc4475/baddate.dat":    {},                                                 // nothing reads Date
	"rfc4475/regbadct.dat":   {},                                                 // the registrar refuses the Contact
	"rfc4475/badaspec.dat":   {},                                                 // tolerated
	"rfc4475/baddn.dat":      {status: 400, reason: "Malformed or Missing From"}, // a comma, which must not be forwarded
	"rfc4475/badvers.dat":    {status: 505, reason: "Version Not Supported"},
	"rfc4475/mismatch01.dat": {status: 400, reason: "CSeq Method Does Not Match"},
	"rfc4475/mismatch02.dat": {status: 400, reason: "CSeq Method Does Not Match"},
	"rfc4475/bigcode.dat":    {status: 400, reason: "Malformed Start Line", mute: true}, // a response

	// RFC 4475 §3.2, transaction layer.
	"rfc4475/badbranch.dat": {},

	// RFC 4475 §3.3, application layer.
	"rfc4475/insuf.dat":    {status: 400, reason: "Malformed or Missing From"},
	"rfc4475/unkscm.dat":   {}, // 416
	"rfc4475/novelsc.dat":  {}, // 416
	"rfc4475/unksm2.dat":   {},
	"rfc4475/bext01.dat":   {}, // 420
	"rfc4475/invut.dat":    {}, // 415
	"rfc4475/regaut01.dat": {}, // 401
	"rfc4475/multi01.dat":  {status: 400, reason: "Duplicate Header"},
	"rfc4475/mcl01.dat":    {status: 400, reason: "Duplicate Header"},
	"rfc4475/bcast.dat":    {}, // the second Via is nobody's but the client's
	"rfc4475/zeromf.dat":   {}, // 483
	"rfc4475/cparam01.dat": {},
	"rfc4475/cparam02.dat": {},
	"rfc4475/regescrt.dat": {},
	"rfc4475/sdp01.dat":    {}, // 406
	"rfc4475/inv2543.dat":  {}, // RFC 4475 §3.4.1

	"rfc5118/ipv6-good":                     {},
	"rfc5118/ipv6-bad":                      {badURI: true},
	"rfc5118/port-ambiguous":                {},
	"rfc5118/port-unambiguous":              {},
	"rfc5118/via-received-param-with-delim": {},
	"rfc5118/via-received-param-no-delim":   {},
	"rfc5118/ipv6-in-sdp":                   {},
	"rfc5118/mult-ip-in-header":             {},
	"rfc5118/mult-ip-in-sdp":                {},
	"rfc5118/ipv4-mapped-ipv6":              {},
	"rfc5118/ipv6-bug-abnf-3-colons":        {},
	"rfc5118/ipv6-correct-abnf-2-colons":    {},
}

var anySource = netip.MustParseAddrPort("198.51.100.7:1024")

func tortureFiles(t testing.TB) map[string][]byte {
	t.Helper()
	files := map[string][]byte{}
	for _, dir := range []string{"rfc4475", "rfc5118"} {
		names, err := filepath.Glob(filepath.Join("testdata", dir, "*"))
		if err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			b, err := os.ReadFile(name)
			if err != nil {
				t.Fatal(err)
			}
			files[dir+"/"+filepath.Base(name)] = b
		}
	}
	if len(files) != 61 {
		t.Fatalf("%d torture messages, want 49 of RFC 4475 and 12 of RFC 5118", len(files))
	}
	return files
}

func parseFile(t *testing.T, m *Message, name string) {
	t.Helper()
	raw, err := os.ReadFile(filepath.Join("testdata", name))
	if err != nil {
		t.Fatal(err)
	}
	if err := m.Parse(raw); err != nil {
		t.Fatal(err)
	}
}

func TestTorture(t *testing.T) {
	files := tortureFiles(t)
	var m Message // one for all, to see what the one before leaves
	for name, raw := range files {
		want, ok := torture[name]
		if !ok {
			t.Errorf("%s: not in the table", name)
			continue
		}
		err := m.Parse(raw)
		if want.status == 0 {
			if err != nil {
				t.Errorf("%s: %v", name, err)
				continue
			}
			if !m.IsResponse {
				if _, err := ParseURI(m.RequestURI()); (err != nil) != want.badURI {
					t.Errorf("%s: ParseURI: %v", name, err)
				}
			}
			continue
		}
		var perr *ParseError
		if !errors.As(err, &perr) || perr.Status != want.status || perr.Reason != want.reason {
			t.Errorf("%s: %v, want %d %s", name, err, want.status, want.reason)
			continue
		}
		if m.Answerable() == want.mute {
			t.Errorf("%s: Answerable is %v", name, m.Answerable())
		}
		if !want.mute {
			res := string(m.AppendResponse(nil, perr.Status, perr.Reason, anySource, &ResponseOptions{ToTag: []byte("t")}))
			if !strings.HasPrefix(res, "SIP/2.0 "+perr.Error()+"\r\nVia: SIP/") || !strings.Contains(res, ";received=198.51.100.7") {
				t.Errorf("%s: refused with\n%s", name, res)
			}
		}
	}
	if len(torture) != len(files) {
		t.Errorf("%d entries for %d files", len(torture), len(files))
	}
}

// TestTortureWsinv reads RFC 4475 §3.1.1.1, a tortuous but valid INVITE.
func TestTortureWsinv(t *testing.T) {
	var m Message
	parseFile(t, &m, "rfc4475/wsinv.dat")
	if string(m.RequestURI()) != "sip:vivekg@chair-dnrc.example.com;unknownparam" || m.Method != INVITE || m.CSeq != 9 || m.MaxForwards != 68 {
		t.Errorf("uri %q method %v cseq %d max-forwards %d", m.RequestURI(), m.Method, m.CSeq, m.MaxForwards)
	}
	if string(m.ToTag()) != "1918181833n" || string(m.FromTag()) != "98asjd8" || len(m.Body()) != 150 {
		t.Errorf("tags %q %q, %d bytes of body", m.ToTag(), m.FromTag(), len(m.Body()))
	}
	from, err := m.Address(From)
	if err != nil || string(from.Display) != `"J Rosenberg \\\""` || string(Unquote(from.Display)) != `J Rosenberg \"` ||
		string(from.URI) != "sip:jdrosen@example.com" {
		t.Errorf("From %q %q %v", from.Display, from.URI, err)
	}
	type via struct{ transport, host, branch string }
	var vias []via
	for v := m.Values(Via); v.Next(); {
		x, err := ParseVia(v.Value())
		if err != nil {
			t.Fatalf("%q: %v", v.Value(), err)
		}
		vias = append(vias, via{string(x.Transport), string(x.Host), string(x.Branch)})
	}
	want := []via{
		{"UDP", "192.0.2.2", "390skdjuw"},
		{"TCP", "spindle.example.com", "z9hG4bK9ikj8"},
		{"UDP", "192.168.255.111", "z9hG4bK30239"},
	}
	if len(vias) != 3 || vias[0] != want[0] || vias[1] != want[1] || vias[2] != want[2] {
		t.Errorf("Via %v", vias)
	}
	if m.Via.HasMagicCookie() {
		t.Error("a branch without the cookie taken for one with it")
	}
	contact, err := m.Address(Contact)
	if err != nil || string(contact.Display) != `"Quoted string \"\""` || string(contact.URI) != "sip:jdrosen@example.com" {
		t.Errorf("Contact %q %q %v", contact.Display, contact.URI, err)
	}
	if q, _ := Param(contact.Params, "q"); string(q) != "0.33" {
		t.Errorf("q=%q", q)
	}
	if v, _ := Param(contact.Params, "newparam"); string(v) != "newvalue" {
		t.Errorf("newparam=%q", v)
	}
	if _, ok := Param(contact.Params, "secondparam"); !ok {
		t.Error("no secondparam")
	}
	if v, ok := m.HeaderNamed("Subject"); !ok || len(v) != 0 {
		t.Errorf("Subject %q %v", v, ok)
	}
	if v, _ := m.HeaderNamed("newfangledheader"); string(v) != "newfangled value   continued newfangled value" {
		t.Errorf("NewFangledHeader %q", v)
	}
	if string(m.Header(Route)) != "<sip:services.example.com;lr;unknownwith=value;unknown-no-value>" {
		t.Errorf("Route %q", m.Header(Route))
	}
}

// TestTortureValues looks at what the other messages are there to test.
func TestTortureValues(t *testing.T) {
	var m Message
	parseFile(t, &m, "rfc4475/intmeth.dat")
	const method = "!interesting-Method0123456789_*+`.%indeed'~"
	if string(m.MethodName()) != method || m.Method != OtherMethod {
		t.Errorf("method %q", m.MethodName())
	}
	u, err := ParseURI(m.RequestURI())
	if err != nil || string(u.User) != "1_unusual.URI~(to-be!sure)&isn't+it$/crazy?,/;;*" || string(u.Password) != "&it+has=1,weird!*pas$wo~d_too.(doesn't-it)" {
		t.Errorf("user %q password %q %v", u.User, u.Password, err)
	}
	if string(m.ToTag()) != "" || string(m.FromTag()) != "_token~1'+`*%!-." {
		t.Errorf("tags %q %q", m.ToTag(), m.FromTag())
	}

	parseFile(t, &m, "rfc4475/esc01.dat")
	if u, err = ParseURI(m.RequestURI()); err != nil || string(u.AppendAOR(nil)) != "sips:user@example.com@example.net" {
		t.Errorf("address-of-record %q %v", u.AppendAOR(nil), err)
	}
	contact, _ := m.Address(Contact)
	u, err = ParseURI(contact.URI)
	if _, ok := u.Param("lr"); err != nil || !ok {
		t.Errorf("an escaped lr is not found in %q", contact.URI)
	}
	if v, _ := u.Param("name"); string(AppendUnescaped(nil, v)) != "value%41" {
		t.Errorf("name=%q", v)
	}

	parseFile(t, &m, "rfc4475/esc02.dat")
	n := 0
	for v := m.Values(Contact); v.Next(); n++ {
	}
	if m.Method != OtherMethod || n != 2 {
		t.Errorf("method %v, %d contacts: names must not be unescaped", m.Method, n)
	}

	parseFile(t, &m, "rfc4475/escnull.dat")
	to, _ := m.Address(To)
	if u, err = ParseURI(to.URI); string(u.AppendAOR(nil)) != "null-\x00-null@example.com" {
		t.Errorf("address-of-record %q %v", u.AppendAOR(nil), err)
	}

	parseFile(t, &m, "rfc4475/semiuri.dat")
	if u, err = ParseURI(m.RequestURI()); string(u.User) != "user;par=u%40example.net" || len(u.Params) != 0 {
		t.Errorf("user %q params %q %v", u.User, u.Params, err)
	}

	parseFile(t, &m, "rfc4475/dblreq.dat")
	if m.Method != REGISTER || len(m.Body()) != 0 || !strings.HasSuffix(string(m.Raw), "Content-Length: 0\r\n\r\n") {
		t.Errorf("what follows the body is still there: %q", m.Raw)
	}

	parseFile(t, &m, "rfc4475/noreason.dat")
	if m.Status != 100 || len(m.Reason()) != 0 {
		t.Errorf("%d %q", m.Status, m.Reason())
	}

	parseFile(t, &m, "rfc4475/cparam01.dat")
	if contact, _ = m.Address(Contact); string(contact.URI) != "sip:+19725552222@gw1.example.net" || string(contact.Params) != ";unknownparam" {
		t.Errorf("%q %q: without brackets the parameters are the header's", contact.URI, contact.Params)
	}
	parseFile(t, &m, "rfc4475/cparam02.dat")
	if contact, _ = m.Address(Contact); string(contact.URI) != "sip:+19725552222@gw1.example.net;unknownparam" || len(contact.Params) != 0 {
		t.Errorf("%q %q: within brackets the parameters are the URI's", contact.URI, contact.Params)
	}

	parseFile(t, &m, "rfc4475/regbadct.dat")
	if _, err := m.Address(Contact); err == nil {
		t.Error("a URI with headers without brackets was read")
	}
	parseFile(t, &m, "rfc4475/regescrt.dat")
	contact, err = m.Address(Contact)
	if u, _ = ParseURI(contact.URI); err != nil || string(u.Headers) != "Route=%3Csip:sip.example.com%3E" {
		t.Errorf("headers %q %v", u.Headers, err)
	}
	parseFile(t, &m, "rfc4475/escruri.dat")
	if u, err = ParseURI(m.RequestURI()); len(u.Headers) == 0 {
		t.Errorf("the headers of the Request-URI were lost: %v", err)
	}
	parseFile(t, &m, "rfc4475/novelsc.dat")
	if u, err = ParseURI(m.RequestURI()); err != nil || u.Scheme != OtherScheme {
		t.Errorf("scheme %v %v", u.Scheme, err)
	}
	parseFile(t, &m, "rfc4475/inv2543.dat")
	if m.FromTag() != nil || m.Via.Branch != nil || m.Via.HasMagicCookie() {
		t.Errorf("tag %q branch %q", m.FromTag(), m.Via.Branch)
	}
	parseFile(t, &m, "rfc4475/badbranch.dat")
	if m.Via.HasMagicCookie() {
		t.Error("a branch that is nothing but the cookie identifies no transaction")
	}

	for file, want := range map[string]netip.AddrPort{
		"rfc5118/ipv6-good":                  netip.MustParseAddrPort("[2001:db8::10]:0"),
		"rfc5118/port-ambiguous":             netip.MustParseAddrPort("[2001:db8::10:5070]:0"),
		"rfc5118/port-unambiguous":           netip.MustParseAddrPort("[2001:db8::10]:5070"),
		"rfc5118/ipv6-bug-abnf-3-colons":     netip.MustParseAddrPort("[2001:db8::192.0.2.1]:0"),
		"rfc5118/ipv6-correct-abnf-2-colons": netip.MustParseAddrPort("[2001:db8::192.0.2.1]:0"),
	} {
		parseFile(t, &m, file)
		u, err := ParseURI(m.RequestURI())
		addr, ok := HostAddr(u.Host)
		if err != nil || !ok || netip.AddrPortFrom(addr, u.Port) != want {
			t.Errorf("%s: %v %d %v", file, addr, u.Port, err)
		}
	}
	for _, file := range []string{"rfc5118/via-received-param-with-delim", "rfc5118/via-received-param-no-delim"} {
		parseFile(t, &m, file)
		if addr, ok := HostAddr(m.Via.Received); !ok || addr != netip.MustParseAddr("2001:db8::9:255") {
			t.Errorf("%s: received=%q", file, m.Via.Received)
		}
	}
	parseFile(t, &m, "rfc5118/ipv4-mapped-ipv6")
	if addr, ok := HostAddr(m.Via.Host); !ok || addr != netip.MustParseAddr("192.0.2.10") || m.Via.Port != 19823 {
		t.Errorf("Via %q", m.Via.Host)
	}
}
