package proxy

import (
	"fmt"
	"net"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
)

// TestPrivate has an authenticated user name places inside the operator's network, in every way
// that there is. The victim listens there for UDP and TCP, and nothing comes.
func TestPrivate(t *testing.T) {
	s := start(t, "test_trust\nregister\nproxy")
	alice, victim := udp(t, s, "alice"), udp(t, s, "victim")
	for !freeTCP(victim.Addr.String()) { // another program has the port
		victim = udp(t, s, "victim")
	}
	tcp := connections(t, victim.Addr.String())
	at := victim.Addr.String()
	d := startDNS(t, fmt.Sprintf(`
inside A     127.0.0.1
both   A     127.0.0.1
both   AAAA  fd00::1
mixed  A     192.0.2.1
mixed  A     127.0.0.1
mapped AAAA  64:ff9b::7f00:1
_sip._udp.svc SRV 1 0 %s inside
_sip._tcp.svc SRV 1 0 %[1]s inside
`, port(victim)))
	setResolver(t, d.Dial)
	s.Restart()
	for i, test := range []struct{ uri, route string }{
		{"sip:x@" + at, ""},
		{"sip:x@" + at + ";transport=tcp", ""},
		{"sip:x@far.example:" + port(victim) + ";maddr=127.0.0.1", ""},
		{"sip:x@far.example:" + port(victim) + ";maddr=127.0.0.1;transport=tcp", ""},
		{"sip:x@far.example", "<sip:" + at + ";lr>"},
		{"sip:x@far.example", "<sip:" + at + ";lr;transport=tcp>"},
		{"sip:x@far.example", "<sip:" + at + ">"}, // a strict router
		{"sip:x@far.example", "<sip:" + s.Addr.String() + ";lr>, <sip:" + at + ";lr>"},
		{s.URI("alice"), "<sip:" + at + ";lr>"},
		{"sip:x@[::ffff:127.0.0.1]:" + port(victim), ""},
		{"sip:x@inside.example:" + port(victim), ""},
		{"sip:x@inside.example:" + port(victim) + ";transport=tcp", ""},
		{"sip:x@both.example:" + port(victim), ""},
		{"sip:x@mapped.example:" + port(victim), ""},
		{"sip:x@svc.example", ""},
		{"sip:x@svc.example;transport=tcp", ""},
		{"sip:x@10.0.0.1", ""}, {"sip:x@169.254.169.254:80;transport=tcp", ""}, {"sip:x@[fd00::1]", ""}, {"sip:x@255.255.255.255", ""},
		{"sip:x@224.0.1.75", ""}, {"sip:x@0.0.0.0:" + port(victim), ""}, {"sip:x@[2002:7f00:1::]", ""},
	} {
		headers := []string{"X-User: alice", fmt.Sprint("Call-ID: private-", i)}
		if test.route != "" {
			headers = append(headers, "Route: "+test.route)
		}
		alice.request("MESSAGE", test.uri, headers...)
		alice.Expect("SIP/2.0 403 Private Address Not Allowed\r\n")
	}
	// Of two addresses the other one cannot be reached from here.
	alice.request("MESSAGE", "sip:x@mixed.example:"+port(victim), "X-User: alice", "Call-ID: mixed")
	alice.Expect("SIP/2.0 500")
	for len(tcp) > 0 {
		t.Errorf("a connection was made from %s", <-tcp)
	}
	victim.Nothing()
	alice.request("ACK", "sip:x@"+at, "X-User: alice")
	alice.request("ACK", "sip:x@inside.example:"+port(victim), "X-User: alice")
	victim.Nothing()
	alice.Nothing()
}

// freeTCP reports whether nobody listens for TCP at an address.
func freeTCP(addr string) bool {
	l, err := net.Listen("tcp", addr)
	if err == nil {
		l.Close()
	}
	return err == nil
}

// connections listens for TCP at an address, and gives notice of each connection.
func connections(t *testing.T, addr string) <-chan net.Addr {
	t.Helper()
	l, err := net.Listen("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	made, done := make(chan net.Addr, 100), make(chan struct{})
	go func() {
		defer close(done)
		for {
			c, err := l.Accept()
			if err != nil {
				return
			}
			made <- c.RemoteAddr()
			c.Close()
		}
	}()
	t.Cleanup(func() {
		l.Close()
		<-done
	})
	return made
}

// TestPrivateConfigured has places inside that the operator names, and such as come in for his
// placeholders.
func TestPrivateConfigured(t *testing.T) {
	s := start(t, "test_trust\nproxy")
	up := udp(t, s, "up")
	t.Setenv("GATEWAY", up.Addr.String())
	for i, test := range []struct {
		to      string
		allowed bool
	}{
		{"sip:" + up.Addr.String(), true},
		{"sip:{env.GATEWAY}", true},
		{"sip:{sip.uri.user}@" + up.Addr.String(), true},
		{"sip:0{sip.uri.user}9@{env.GATEWAY};x={sip.header.X-Host}", true},
		{"sip:{sip.header.X-Host}:" + port(up), false},
		{"sip:127.0.0.1:{sip.header.X-Port}", false},
		{"sip:far.example:" + port(up) + ";maddr={sip.header.X-Host}", false},
		{"sip:x@far.example:" + port(up) + ";x={sip.header.X-Inject}", false},
		{"{sip.header.X-URI}", false},
	} {
		for _, option := range []string{"", "allow_private"} {
			s.Load("{\nadmin off\nsip {\n" + s.Addr.String() + " {\n@calls not from_user probe\nproxy @calls \"" + test.to + "\" {\n" + option + "\n}\n}\n}\n}")
			alice := udp(t, s, "alice")
			alice.request("MESSAGE", "sip:12@far.example", "X-Host: 127.0.0.1", "X-Port: "+port(up), "X-Inject: 1;maddr=127.0.0.1",
				"X-URI: sip:"+up.Addr.String(), fmt.Sprint("Call-ID: ", i, option))
			if test.allowed || option != "" {
				up.Answer(up.Expect("MESSAGE"), "200 OK", "u")
				alice.Expect("SIP/2.0 200")
			} else {
				alice.Expect("SIP/2.0 403 Private Address Not Allowed\r\n")
				up.Nothing()
			}
		}
	}
}

// TestOwnAddress has an authenticated user name the server's own address, where something else may
// listen that lets the server in.
func TestOwnAddress(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, fmt.Sprintf("{\n\tadmin off\n\tsip {\n\t\tdomain example.com 192.0.2.99\n\t\t%s {\n"+
		"test_trust\nproxy\n\t\t}\n\t}\n}\n", addr))
	alice := udp(t, s, "alice")
	alice.request("MESSAGE", "sip:x@192.0.2.99:9", "X-User: alice")
	alice.Expect("SIP/2.0 403 Private Address Not Allowed\r\n")
}
