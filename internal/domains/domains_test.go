package domains_test

import (
	"net/netip"
	"os"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/domains"
	"github.com/caddysip/caddysip/wire"
)

func addrs(list ...string) (addrs []netip.AddrPort) {
	for _, a := range list {
		addrs = append(addrs, netip.MustParseAddrPort(a))
	}
	return addrs
}

func TestDomains(t *testing.T) {
	host, err := os.Hostname()
	if err != nil {
		t.Fatal(err)
	}
	public := addrs("192.0.2.10:5060", "[2001:db8::10]:5070")
	for _, tc := range []struct {
		name    string
		domains string
		listen  []netip.AddrPort
		uri     string
		aor     string // empty: not one of ours
		self    bool
	}{
		{"a name", "example.com", public, "sip:a@example.com", "a@example.com", true},
		{"its case", "Example.COM", public, "sip:a@eXample.com;x=y", "a@example.com", true},
		{"with a port that we have", "example.com", public, "sip:a@example.com:5070", "a@example.com", true},
		{"with another port", "example.com", public, "sip:a@example.com:5080", "a@example.com", false},
		{"another name", "example.com example.org", public, "sip:a@example.org", "a@example.org", true},
		{"a name below it", "example.com", public, "sip:a@sip.example.com", "", false},
		{"a name above it", "example.com", public, "sip:a@com", "", false},
		{"a name that goes on", "example.com", public, "sip:a@example.com.evil.example", "", false},
		{"without user", "example.com", public, "sip:example.com", "", true},
		{"escapes", "example.com", public, "sip:%61%2Fb@example.com", "a/b@example.com", true},
		{"sips", "example.com", public, "sips:a@example.com", "a@example.com", true},
		{"tel", "example.com", public, "tel:+49301234", "+49301234@example.com", false},
		{"tel, made readable", "example.com", public, "tel:+49-30-(12).34;phone-context=x", "+49301234@example.com",
			false},
		{"tel as a user", "example.com", public, "sip:+49-30-1234@Example.com;user=phone", "+49301234@example.com",
			true},
		{"a name said to be one", "example.com", public, "sip:front-desk-1@example.com;user=phone",
			"front-desk-1@example.com", true},
		{"a user that is no number", "example.com", public, "sip:front-desk@example.com", "front-desk@example.com",
			true},
		{"nothing but separators", "example.com", public, "tel:-", "", false},
		{"tel without digits", "example.com", public, "tel:", "", false},
		{"another scheme", "example.com", public, "mailto:a@example.com", "", false},

		{"an address that is listened on", "example.com", public, "sip:a@192.0.2.10", "a@example.com", true},
		{"with its port", "example.com", public, "sip:a@192.0.2.10:5060", "a@example.com", true},
		{"with a port of another address", "example.com", public, "sip:a@192.0.2.10:5070", "a@example.com", false},
		{"an address that is not", "example.com", public, "sip:a@192.0.2.11", "", false},
		{"an IPv6 address", "example.com", public, "sip:a@[2001:db8::10]:5070", "a@example.com", true},
		{"written at length", "example.com", public, "sip:a@[2001:0DB8:0:0:0:0:0:10]:5070", "a@example.com", true},
		{"mapped", "example.com", public, "sip:a@[::ffff:192.0.2.10]", "a@example.com", true},

		{"an address that is served", "example.com 203.0.113.1", public, "sip:a@203.0.113.1", "a@example.com", false},
		{"an IPv6 address that is served", "example.com [2001:DB8::99]", public, "sip:a@[2001:db8:0::99]", "a@example.com", false},
		{"the address first", "203.0.113.1 example.com", public, "sip:a@192.0.2.10", "a@203.0.113.1", true},
		{"and the name apart", "203.0.113.1 example.com", public, "sip:a@example.com", "a@example.com", true},
		{"an IPv6 address first", "2001:DB8:0::99", public, "sip:a@192.0.2.10", "a@[2001:db8::99]", true},
		{"in brackets", "[2001:DB8:0::99]", public, "sip:a@[2001:db8::99]", "a@[2001:db8::99]", false},

		{"all is one domain by default", "", public, "sip:a@192.0.2.10", "a@localhost", true},
		{"the machine's name too", "", public, "sip:a@" + host, "a@localhost", true},
		{"localhost is not what it listens on", "", public, "sip:a@localhost", "", false},
		{"here it is", "", addrs("127.0.0.1:5060"), "sip:a@localhost", "a@localhost", true},
		{"nor are other addresses", "", addrs("127.0.0.1:5060"), "sip:a@127.0.0.2", "", false},
		{"any address", "", addrs("[::]:5060"), "sip:a@127.0.0.1", "a@localhost", true},
		{"with the port", "", addrs("[::]:5060"), "sip:a@127.0.0.1:5060", "a@localhost", true},
		{"with another", "", addrs("[::]:5060"), "sip:a@127.0.0.1:5061", "a@localhost", false},
		{"of ours only", "", addrs("[::]:5060"), "sip:a@203.0.113.77", "", false},
		{"localhost with any", "", addrs("0.0.0.0:5060"), "sip:a@LocalHost:5060", "a@localhost", true},
		{"localhost, beside a domain", "example.com", addrs("[::]:5060"), "sip:a@localhost", "a@example.com", true},
	} {
		t.Run(tc.name, func(t *testing.T) {
			s := domains.New(strings.Fields(tc.domains), tc.listen, nil)
			u, err := wire.ParseURI([]byte(tc.uri))
			if err != nil {
				t.Fatal(err)
			}
			aor, ok := s.AppendAOR([]byte("x"), &u)
			if ok != (tc.aor != "") || ok && string(aor) != "x"+tc.aor {
				t.Errorf("%s is %s, %v, want %s", tc.uri, aor[1:], ok, tc.aor)
			}
			if u.Scheme == wire.SIP && s.Self(&u) != tc.self {
				t.Errorf("Self(%s) is %v", tc.uri, s.Self(&u))
			}
			if local := s.Local(u.Host); u.Scheme == wire.SIP && len(u.User) > 0 && local != ok {
				t.Errorf("Local(%s) is %v", u.Host, local)
			}
		})
	}
}

// TestServes checks with which ports users can be registered and called.
func TestServes(t *testing.T) {
	listen := addrs("192.0.2.10:5060")
	advertised := []wire.HostPort{
		{}, // nothing, by one of the servers
		{Name: "pbx.example.net", Addr: netip.AddrPortFrom(netip.Addr{}, 5090)},
		{Addr: netip.MustParseAddrPort("203.0.113.7:5080")},
	}
	for _, tc := range []struct {
		domains, uri string
		serves, self bool
	}{
		{"example.com", "sip:a@example.com", true, true},
		{"example.com", "sip:a@Example.com:5070", true, false}, // it may be forwarded
		{"example.com", "sip:a@192.0.2.10", true, true},
		{"example.com", "sip:a@192.0.2.10:5060", true, true},
		{"example.com", "sip:a@192.0.2.10:5070", false, false},
		{"example.com 192.0.2.99", "sip:a@192.0.2.99:5070", false, false}, // there may be another server beside us
		{"example.com", "sip:a@example.org:5060", false, false},
		{"example.com", "sip:a@203.0.113.7:5080", true, true},
		{"example.com", "sip:a@203.0.113.7:5060", false, false},
		{"example.com", "sip:a@PBX.example.net:5090", true, true},
		{"example.com", "sip:a@pbx.example.net:5060", true, true},
		{"example.com", "sip:a@pbx.example.net:5080", false, false},
		{"", "sip:a@pbx.example.net:5080", false, false},
	} {
		s := domains.New(strings.Fields(tc.domains), listen, advertised)
		u, err := wire.ParseURI([]byte(tc.uri))
		if err != nil {
			t.Fatal(err)
		}
		if got := s.Serves(&u); got != tc.serves {
			t.Errorf("%q: Serves(%s) is %v", tc.domains, tc.uri, got)
		}
		if got := s.Self(&u); got != tc.self {
			t.Errorf("%q: Self(%s) is %v", tc.domains, tc.uri, got)
		}
	}
}
