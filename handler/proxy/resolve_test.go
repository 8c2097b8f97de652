package proxy

import (
	"context"
	"fmt"
	"net"
	"strings"
	"testing"

	"github.com/miekg/dns"

	"github.com/caddysip/caddysip/wire"
)

// dnsServer answers from a zone file, and tells which names it was asked for.
type dnsServer struct {
	net.Resolver
	asked chan string
}

func startDNS(t *testing.T, zone string) *dnsServer {
	t.Helper()
	records := make(map[string][]dns.RR)
	parser := dns.NewZoneParser(strings.NewReader("$ORIGIN example.\n$TTL 60\n"+zone), "", "")
	for rr, ok := parser.Next(); ok; rr, ok = parser.Next() {
		key := fmt.Sprint(rr.Header().Name, rr.Header().Rrtype)
		records[key] = append(records[key], rr)
	}
	if err := parser.Err(); err != nil {
		t.Fatal(err)
	}
	pc, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	d := &dnsServer{asked: make(chan string, 1000)}
	server := &dns.Server{PacketConn: pc, Handler: dns.HandlerFunc(func(w dns.ResponseWriter, q *dns.Msg) {
		a := new(dns.Msg).SetReply(q)
		question := q.Question[0]
		a.Answer = records[fmt.Sprint(strings.ToLower(question.Name), question.Qtype)]
		if a.Answer == nil {
			a.Rcode = dns.RcodeNameError
		}
		d.asked <- dns.TypeToString[question.Qtype] + " " + question.Name
		_ = w.WriteMsg(a)
	})}
	done := make(chan struct{})
	go func() {
		defer close(done)
		_ = server.ActivateAndServe()
	}()
	t.Cleanup(func() {
		pc.Close()
		<-done
	})
	d.PreferGo = true
	d.Dial = func(ctx context.Context, network, _ string) (net.Conn, error) {
		return new(net.Dialer).DialContext(ctx, "udp", pc.LocalAddr().String())
	}
	return d
}

// TestResolve follows RFC 3263 §4.
func TestResolve(t *testing.T) {
	d := startDNS(t, `
one          A    192.0.2.1
two          A    192.0.2.2
two          A    192.0.2.3
six          AAAA 2001:db8::1
_sip._udp.svc SRV 20 0 5062 two
_sip._udp.svc SRV 10 0 5061 one
_sip._tcp.svc SRV 10 0 5063 one
svc          A    192.0.2.9
_sip._udp.off SRV 0 0 0 .
off          A    192.0.2.8
_sip._udp.bad SRV 0 0 5060 missing
bad          A    192.0.2.7
`+many())
	for uri, want := range map[string]string{
		"sip:svc.example":                    "udp/192.0.2.1:5061 udp/192.0.2.2:5062 udp/192.0.2.3:5062 tcp/192.0.2.1:5063",
		"sip:12@svc.example;transport=tcp":   "tcp/192.0.2.1:5063",
		"sip:SVC.example.;transport=UDP":     "udp/192.0.2.1:5061 udp/192.0.2.2:5062 udp/192.0.2.3:5062",
		"sip:svc.example:5070":               "udp/192.0.2.9:5070", // a port: no SRV
		"sip:svc.example:5070;transport=tcp": "tcp/192.0.2.9:5070",
		"sip:one.example":                    "udp/192.0.2.1:5060",
		"sip:one.example;transport=tcp":      "tcp/192.0.2.1:5060",
		"sip:far.invalid;maddr=one.example":  "udp/192.0.2.1:5060",
		"sip:six.example":                    "udp/[2001:db8::1]:5060",
		"sip:bad.example":                    "udp/192.0.2.7:5060",
		"sip:none.example":                   "error",
		"sip:many.example":                   strings.TrimSpace(strings.Repeat("udp/192.0.2.1:5060 ", maxHops)),
		"sip:one.example;transport=tls":      "error",
		"sips:one.example":                   "error",
		"tel:112":                            "error",
	} {
		hops, err := resolve(&d.Resolver, []byte(uri))
		if err != nil {
			same(t, uri, "error", want)
			continue
		}
		var got []string
		for _, h := range hops {
			got = append(got, h.Network.String()+"/"+h.Addr.String())
		}
		if uri == "sip:many.example" {
			same(t, uri, len(got), maxHops)
			continue
		}
		// Addresses of one name come in any order.
		text := strings.ReplaceAll(strings.Join(got, " "), "192.0.2.3:5062 udp/192.0.2.2:5062", "192.0.2.2:5062 udp/192.0.2.3:5062")
		same(t, uri, text, want)
	}
	for len(d.asked) > 0 {
		if q := <-d.asked; strings.Contains(q, "tls") || strings.Contains(q, "far.invalid") {
			t.Errorf("asked for %s", q)
		}
	}
}

func many() string {
	var b strings.Builder
	for i := range 3 * maxHops {
		fmt.Fprintf(&b, "many A 192.0.2.%d\n", i+1)
	}
	return b.String()
}

func TestLiteral(t *testing.T) {
	for uri, want := range map[string]string{
		"sip:192.0.2.1":                       "udp/192.0.2.1:5060",
		"sip:12@192.0.2.1:5070;transport=TCP": "tcp/192.0.2.1:5070",
		"sip:[2001:db8::1]":                   "udp/[2001:db8::1]:5060",
		"sip:far.example;maddr=192.0.2.1":     "udp/192.0.2.1:5060",
		"sip:192.0.2.1;maddr=far.example":     "a name",
		"sip:far.example":                     "a name",
		"sip:192.0.2.1;transport=ws":          "error",
	} {
		u, err := wire.ParseURI([]byte(uri))
		if err != nil {
			t.Fatal(err)
		}
		h, ok, err := literal(&u)
		got := h.Network.String() + "/" + h.Addr.String()
		if err != nil {
			got = "error"
		} else if !ok {
			got = "a name"
			same(t, "nothing", h, hop{})
		}
		same(t, uri, got, want)
	}
}

// TestSRV has a call go to the second of two servers of a name, since the first is overloaded; ACK
// and BYE find it by its Contact.
func TestSRV(t *testing.T) {
	s := start(t, "test_trust\nproxy {\nallow_private\n}")
	alice, first, second := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "bob")
	d := startDNS(t, fmt.Sprintf("_sip._udp.svc SRV 1 0 %s host\n_sip._udp.svc SRV 2 0 %s host\nhost A 127.0.0.1\n", port(first), port(second)))
	setResolver(t, d.Dial)
	s.Restart()

	alice.invite("sip:bob@svc.example", "X-User: alice")
	invite := first.Expect("INVITE sip:bob@svc.example SIP/2.0\r\n")
	first.Answer(invite, "503 Overload", "b")
	first.Expect("ACK")
	again := second.Expect("INVITE sip:bob@svc.example SIP/2.0\r\n")
	alice.Nothing()
	second.pickUp(again)
	call := alice.caller(alice.Expect("SIP/2.0 200"))
	call.send("ACK")
	second.Expect("ACK " + second.contact())

	// An ACK for which a name has to be looked up arrives as well. Without credentials it goes to
	// the server that took the call, whatever the name.
	call.target = "sip:bob@svc.example"
	call.send("ACK", "X-User: alice")
	first.Expect("ACK sip:bob@svc.example")
	call.send("ACK")
	second.Expect("ACK sip:bob@svc.example")
	first.Nothing()
}
