package phone

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"math/big"
	"net"
	"reflect"
	"strings"
	"sync"
	"testing"
	"time"
)

func TestNewRefuses(t *testing.T) {
	for _, tc := range []struct {
		cfg  Config
		want string
	}{
		{Config{User: "101"}, "no server"},
		{Config{Server: "127.0.0.1"}, "no user"},
		{Config{Server: "127.0.0.1", User: "101", Transport: "sctp"}, `transport "sctp"`},
		{Config{Server: "127.0.0.1", User: "101", Domain: "a b"}, `domain "a b"`},
		{Config{Server: "127.0.0.1", User: "101", Domain: "a\r\nX: y"}, "control characters"},
		{Config{Server: "127.0.0.1", User: "101", UserAgent: "a\r\nX: y"}, "control characters"},
		{Config{Server: "127.0.0.1", User: "101", Expires: -1}, "expires"},
	} {
		if _, err := New(tc.cfg); err == nil || !strings.HasPrefix(err.Error(), "phone: ") || !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%+v: %v", tc.cfg, err)
		}
	}
}

func TestDefaults(t *testing.T) {
	for _, tc := range []struct {
		cfg                       Config
		server, domain, userAgent string
		keys                      int
	}{
		{Config{Server: "192.0.2.1"}, "192.0.2.1:5060", "192.0.2.1", "snom370/8.7.5.48", 12},
		{Config{Server: "pbx.example:5070", Model: "D785"}, "pbx.example:5070", "pbx.example", "snomD785/10.1.84.12", 24},
		{Config{Server: "[2001:db8::1]:5070"}, "[2001:db8::1]:5070", "[2001:db8::1]", "snom370/8.7.5.48", 12},
		{Config{Server: "2001:db8::1", Transport: "tls"}, "[2001:db8::1]:5061", "[2001:db8::1]", "snom370/8.7.5.48", 12},
		{Config{Server: ":5060", Domain: "example.com", Keys: 3, UserAgent: "x"}, "localhost:5060", "example.com", "x", 3},
	} {
		tc.cfg.User = "101"
		got, err := tc.cfg.withDefaults()
		if err != nil || got.Server != tc.server || got.Domain != tc.domain || got.UserAgent != tc.userAgent || got.Keys != tc.keys || got.Expires != time.Hour {
			t.Errorf("%+v: got %+v, %v", tc.cfg, got, err)
		}
	}
}

func TestURI(t *testing.T) {
	p, err := New(Config{Server: "127.0.0.1", User: "101", Domain: "example.com"})
	if err != nil {
		t.Fatal(err)
	}
	for number, want := range map[string]string{
		"432":                        "sip:432@example.com",
		"*21#":                       "sip:*21%23@example.com",
		"Türe 2":                     "sip:T%C3%BCre%202@example.com",
		"a>b%":                       "sip:a%3Eb%25@example.com",
		"9@other.example":            "sip:9@other.example",
		"sip:9@other.example:5070;x": "sip:9@other.example:5070;x",
		"SIPS:9@[2001:db8::1]":       "sips:9@[2001:db8::1]",
	} {
		if uri, err := p.uri(number); err != nil || uri.String() != want {
			t.Errorf("%q: got %s, %v; want %s", number, uri.String(), err, want)
		}
	}
	for _, number := range []string{"", "4\r\n2", "sip:a b@c", "sip:<a>@b", "a@b>c", "\x00"} {
		if uri, err := p.uri(number); err == nil {
			t.Errorf("%q: got %s", number, uri.String())
		}
	}
}

func TestNotStarted(t *testing.T) {
	for _, transport := range []string{"udp", "tcp"} {
		p, err := New(Config{Server: "127.0.0.1", User: "101", Transport: transport})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Register(t.Context()); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		if _, err := p.Dial(t.Context(), "1"); !errors.Is(err, ErrClosed) {
			t.Error(err)
		}
		p.Close()
	}
}

func TestStartFails(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	p, err := New(Config{Server: addr, User: "101", Transport: "tcp"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(timeout(t)); err == nil || !strings.Contains(err.Error(), "connecting to "+addr) {
		t.Error(err)
	}
	for _, local := range []string{"127.0.0.1", "127.0.0.1:sip-port"} {
		p, err := New(Config{Server: addr, User: "101", LocalAddr: local})
		if err != nil {
			t.Fatal(err)
		}
		if err := p.Start(timeout(t)); err == nil || !strings.Contains(err.Error(), "local address") {
			t.Error(err)
		}
	}
}

// TestLocalAddr sends from the port that was asked for, and receives there.
func TestLocalAddr(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	free, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	_, port, _ := net.SplitHostPort(free.LocalAddr().String())
	free.Close()
	p := s.start(Config{LocalAddr: ":" + port})
	m := s.register(p)
	if !strings.HasPrefix(m.get("Contact"), "<sip:101@127.0.0.1:"+port+";") || !strings.Contains(m.get("Via"), ":"+port+";") {
		t.Errorf("%+v", m)
	}
	conn, err := net.Dial("udp", "127.0.0.1:"+port)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	s.out = func(text string) { _, _ = conn.Write([]byte(text)) }
	s.request("OPTIONS", p.Contact(), "")
	buf := make([]byte, 2000)
	conn.SetReadDeadline(time.Now().Add(limit))
	if n, err := conn.Read(buf); err != nil || !strings.HasPrefix(string(buf[:n]), "SIP/2.0 200 OK\r\n") {
		t.Errorf("%q, %v", buf[:n], err)
	}
}

func TestTLS(t *testing.T) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	cert, err := x509.ParseCertificate(der)
	if err != nil {
		t.Fatal(err)
	}
	l, err := tls.Listen("tcp", "127.0.0.1:0", &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}})
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	s := &stub{t: t, addr: l.Addr().String(), in: make(chan message, 100), seen: make(map[string]bool)}
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			go s.serveConn("tls", conn)
		}
	}()
	roots := x509.NewCertPool()
	roots.AddCert(cert)
	p := s.start(Config{Transport: "tls", TLS: &tls.Config{RootCAs: roots}})
	m := s.register(p)
	if !strings.HasPrefix(m.get("Via"), "SIP/2.0/TLS ") || !strings.Contains(m.get("Contact"), ";transport=tls;") {
		t.Errorf("%+v", m)
	}

	// Not trusted: not used.
	other, err := New(Config{Server: s.addr, User: "101", Transport: "tls"})
	if err != nil {
		t.Fatal(err)
	}
	var unknown *tls.CertificateVerificationError
	if err := other.Start(timeout(t)); !errors.As(err, &unknown) {
		t.Error(err)
	}
}

// TestWebSocketRefused connects to a server that is no WebSocket's.
func TestWebSocketRefused(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			_, _ = conn.Write([]byte("HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"))
			conn.Close()
		}
	}()
	p, err := New(Config{Server: l.Addr().String(), User: "101", Transport: "ws"})
	if err != nil {
		t.Fatal(err)
	}
	if err := p.Start(timeout(t)); err == nil || !strings.Contains(err.Error(), "WebSocket: ") {
		t.Error(err)
	}
}

// TestManyPhones has phones of one process talk to one server at once.
func TestManyPhones(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	var phones []*Phone
	for range 20 {
		phones = append(phones, s.start(Config{}))
	}
	var wg sync.WaitGroup
	for _, p := range phones {
		wg.Go(func() {
			if err := p.Register(timeout(t)); err != nil {
				t.Error(err)
			}
		})
	}
	contacts := make(map[string]bool)
	for range phones {
		m := s.next("REGISTER")
		contacts[m.get("Contact")] = true
		s.respond(m, "200 OK", "r", "")
	}
	wg.Wait()
	if len(contacts) != len(phones) {
		t.Errorf("%d contacts of %d phones", len(contacts), len(phones))
	}
}

func TestWaitTimesOut(t *testing.T) {
	s := listen(t, "udp", "127.0.0.1")
	p := s.start(Config{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	err := p.Wait(ctx, func(State) bool { return false })
	if !errors.Is(err, ctx.Err()) || !strings.Contains(err.Error(), "Registered:false") {
		t.Error(err)
	}
	if _, err := p.WaitIncoming(ctx); !errors.Is(err, ctx.Err()) {
		t.Error(err)
	}
}

func TestSplitList(t *testing.T) {
	for value, want := range map[string][]string{
		"<sip:a;lr>":                     {"<sip:a;lr>"},
		"<sip:a;lr>,<sip:b;lr>;x=1":      {"<sip:a;lr>", "<sip:b;lr>;x=1"},
		`"A, \"B\"" <sip:a> , <sip:b,c>`: {`"A, \"B\"" <sip:a>`, "<sip:b,c>"},
		`"A" <sip:a;x="1,2">;y=",", <b>`: {`"A" <sip:a;x="1,2">;y=","`, "<b>"},
		`"unfinished, <x>`:               {`"unfinished, <x>`},
		"":                               {""},
	} {
		if got := splitList(value); !reflect.DeepEqual(got, want) {
			t.Errorf("%s: got %q, want %q", value, got, want)
		}
	}
}

func TestSplitter(t *testing.T) {
	one := "MESSAGE sip:a SIP/2.0\r\nl : 3\r\n\r\nk=2"
	two := "SIP/2.0 200 OK\r\nCONTENT-LENGTH:0\r\n\r\n"
	three := "OPTIONS sip:a SIP/2.0\r\nContent-Length: none\r\n\r\n"
	stream := "\r\n\r\n" + one + two + "\r\n" + three + one
	for size := 1; size <= len(stream); size++ {
		var s splitter
		var got []string
		for rest := stream; rest != ""; {
			n := min(size, len(rest))
			s.add([]byte(rest[:n]), func(m string) { got = append(got, m) })
			rest = rest[n:]
		}
		if want := []string{one, two, three, one}; !reflect.DeepEqual(got, want) {
			t.Fatalf("in pieces of %d: %q", size, got)
		}
	}
}

func FuzzSplitter(f *testing.F) {
	f.Add([]byte("SIP/2.0 200 OK\r\nContent-Length: 3\r\n\r\nabcOPTIONS"), 5)
	f.Fuzz(func(t *testing.T, data []byte, at int) {
		whole, parts := "", ""
		var a, b splitter
		a.add(data, func(m string) { whole += m })
		at = min(max(at, 0), len(data))
		b.add(data[:at], func(m string) { parts += m })
		b.add(data[at:], func(m string) { parts += m })
		if whole != parts {
			t.Errorf("%q in one piece, %q in two", whole, parts)
		}
	})
}
