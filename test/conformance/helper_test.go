package conformance

import (
	"fmt"
	"maps"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	_ "github.com/caddyserver/caddy/v2/modules/logging" // logs to files

	_ "github.com/caddysip/caddysip/handler/errorhandler"
	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/header"
	_ "github.com/caddysip/caddysip/handler/logappend"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/redirect"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/rewrite"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	_ "github.com/caddysip/caddysip/handler/vars"
	_ "github.com/caddysip/caddysip/module/match"
	"github.com/caddysip/caddysip/wire"
)

const patience = 10 * time.Second

// reasons are all that caddy_sip_dropped_total counts here.
var reasons = []string{"malformed", "stray_response", "framing", "headers", "keepalive", "short", "too_large", "message_timeout", "queue_full", "write_error"}

// drops tells what has been dropped since it was called.
func drops(s *handlertest.Server) func() map[string]int {
	count := func() map[string]int {
		all := make(map[string]int)
		for _, r := range reasons {
			all[r] = int(s.Metric("caddy_sip_dropped_total", "reason="+r))
		}
		return all
	}
	before := count()
	return func() map[string]int {
		since := count()
		for r, n := range before {
			if since[r] -= n; since[r] == 0 {
				delete(since, r)
			}
		}
		return since
	}
}

func wantDrops(t *testing.T, since func() map[string]int, want ...string) {
	t.Helper()
	expected := make(map[string]int)
	for _, r := range want {
		expected[r]++
	}
	if got := since(); !maps.Equal(got, expected) {
		t.Errorf("dropped %v, want %v", got, expected)
	}
}

// peers are clients of each transport.
func peers(s *handlertest.Server) []*handlertest.Peer { return []*handlertest.Peer{s.UDP(), s.TCP()} }

// request is a request with what it needs; lines are further header lines, one of a field that is
// there already takes its place.
func request(method, uri string, lines ...string) string {
	head := []string{
		"Via: SIP/2.0/{transport} {me};branch={branch};rport",
		"Max-Forwards: 70",
		"From: <sip:mallory@127.0.0.1>;tag=m1",
		"To: <" + uri + ">",
		"Call-ID: {branch}@mallory",
		"CSeq: 1 " + method,
	}
	for _, l := range lines {
		name, _, _ := strings.Cut(l, ":")
		replaced := false
		for i := range head {
			if n, _, _ := strings.Cut(head[i], ":"); n == name {
				head[i], replaced = l, true
			}
		}
		if !replaced {
			head = append(head, l)
		}
	}
	return method + " " + uri + " SIP/2.0\n" + strings.Join(head, "\n") + "\n\n"
}

// withLog runs a server with an access log, and returns what has been logged.
func withLog(t *testing.T, level, directives string) (*handlertest.Server, func() string) {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	file := filepath.Join(t.TempDir(), "log")
	s := handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\n\tadmin off\n\tlog {\n\t\tlevel %s\n\t\toutput file %s\n\t\tformat json\n\t}\n"+
		"\tsip {\n\t\t%s {\n\t\t\tlog\n%s\n\t\t}\n\t}\n}\n", level, file, addr, directives))
	return s, func() string {
		text, err := os.ReadFile(file)
		if err != nil {
			t.Fatal(err)
		}
		return string(text)
	}
}

// register makes p the phone of a user.
func register(t *testing.T, p *handlertest.Peer, uri string, lines ...string) {
	t.Helper()
	contact := "Contact: <sip:phone@" + p.Addr.String() + ">"
	if p.Transport() == "TCP" {
		contact = "Contact: <sip:phone@" + p.Addr.String() + ";transport=tcp>"
	}
	p.Send(request("REGISTER", "sip:127.0.0.1", append([]string{"From: <" + uri + ">;tag=r", "To: <" + uri + ">", contact}, lines...)...))
	p.Expect("SIP/2.0 200 OK\r\n")
}

// accept answers a request that a phone got with 200.
func accept(t *testing.T, s *handlertest.Server, p *handlertest.Peer, got handlertest.Message) {
	t.Helper()
	p.Ignore(got)
	p.SendRaw(parse(t, got.Text).AppendResponse(nil, 200, "OK", s.Addr, &wire.ResponseOptions{ToTag: []byte("phone")}))
}

func parse(t *testing.T, text string) *wire.Message {
	t.Helper()
	m := new(wire.Message)
	if err := m.Parse([]byte(text)); err != nil {
		t.Fatalf("what the server sent can't be read: %v\n%s", err, text)
	}
	return m
}

// stranger is a client over UDP that, as its messages say in their Via, listens elsewhere than it
// sends from: that is where answers go (RFC 3261 §18.2.2).
type stranger struct {
	t            *testing.T
	from, sentBy net.PacketConn
	server       net.Addr
}

// newStranger makes a stranger that is answered at a port.
func newStranger(t *testing.T, s *handlertest.Server, port int) *stranger {
	t.Helper()
	for i := range 201 {
		n := os.Getpid() + i
		host := fmt.Sprintf("127.%d.%d.%d", 1+n/250%250, 1+n%250, 1+i)
		var config net.ListenConfig
		if i == 200 {
			config.Control = share // a server of ours has the port at all addresses
		}
		sentBy, err := config.ListenPacket(t.Context(), "udp", fmt.Sprintf("%s:%d", host, port))
		if err != nil {
			continue
		}
		from, err := net.ListenPacket("udp", host+":0")
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { from.Close(); sentBy.Close() })
		return &stranger{t, from, sentBy, net.UDPAddrFromAddrPort(s.Addr)}
	}
	t.Fatalf("port %d is free at no loopback address", port)
	return nil
}

func (x *stranger) send(b []byte) {
	x.t.Helper()
	if _, err := x.from.WriteTo(b, x.server); err != nil {
		x.t.Fatal(err)
	}
}

// receive returns what comes next to one of the two sockets.
func (x *stranger) receive(c net.PacketConn) handlertest.Message {
	x.t.Helper()
	if err := c.SetReadDeadline(time.Now().Add(patience)); err != nil {
		x.t.Fatal(err)
	}
	buf := make([]byte, 65536)
	n, from, err := c.ReadFrom(buf)
	if err != nil {
		x.t.Fatalf("waiting at %s: %v", c.LocalAddr(), err)
	}
	return handlertest.Message{Text: string(buf[:n]), From: from}
}

// nothing makes sure that neither socket has anything to read: what the server sends comes in
// order, and so does what is sent from one socket.
func (x *stranger) nothing() {
	x.t.Helper()
	me := netip.MustParseAddrPort(x.from.LocalAddr().String())
	x.send([]byte(strings.ReplaceAll("OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP "+me.String()+";branch=z9hG4bKprobe;rport\nMax-Forwards: 70\n"+
		"From: <sip:probe@127.0.0.1>;tag=p\nTo: <sip:127.0.0.1>\nCall-ID: probe\nCSeq: 1 OPTIONS\n\n", "\n", "\r\n")))
	if m := x.receive(x.from); m.Header("Call-ID") != "probe" {
		x.t.Fatalf("nothing should come, but this does:\n%s", m.Text)
	}
	if _, err := x.from.WriteTo([]byte("last"), x.sentBy.LocalAddr()); err != nil {
		x.t.Fatal(err)
	}
	if m := x.receive(x.sentBy); m.Text != "last" {
		x.t.Fatalf("nothing should come, but this does:\n%s", m.Text)
	}
}
