package proxy

import (
	"fmt"
	"net"
	"testing"
	"time"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/wire"
)

const pathFrom = "register {\npath from 127.0.0.1\n}\nproxy"

// TestPathOfPhone has a phone register with a Path to somebody else's address: nothing goes there,
// whatever the transport is.
func TestPathOfPhone(t *testing.T) {
	for _, directives := range []string{"register\nproxy", "trust 127.0.0.2\nregister\nproxy", "register {\npath off\n}\nproxy", "register {\npath from 127.0.0.2\n}\nproxy"} {
		t.Run(directives, func(t *testing.T) { testPathOfPhone(t, directives) })
	}
}

func testPathOfPhone(t *testing.T, directives string) {
	s := start(t, directives)
	alice, bob, victim := udp(t, s, "alice"), udp(t, s, "bob"), s.UDPFrom("127.0.0.9")
	l, err := net.Listen("tcp", "127.0.0.9:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	for _, path := range []string{victim.Addr.String() + ";lr", l.Addr().String() + ";transport=tcp;lr", "127.0.0.1:5070;maddr=127.0.0.9;lr"} {
		bob.register("Contact: <sip:bob@192.0.2.1>", "Path: <sip:"+path+">", "Supported: path")
		alice.request("MESSAGE", s.URI("bob"), "Call-ID: "+path)
		m := bob.Expect("MESSAGE sip:bob@192.0.2.1 SIP/2.0\r\n")
		same(t, "Route", len(m.Headers("Route")), 0)
		bob.Answer(m, "200 OK", "b")
		alice.Expect("SIP/2.0 200")
		victim.Nothing()
	}
	nobodyDials(t, l)
}

// nobodyDials makes sure that no connection has come to l: one of our own is the first.
func nobodyDials(t *testing.T, l net.Listener) {
	t.Helper()
	own, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer own.Close()
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	if c.RemoteAddr().String() != own.LocalAddr().String() {
		t.Errorf("the server has dialled %s", l.Addr())
	}
}

// TestPathTurnedOff has a Path that was followed be followed no more once the configuration says
// so.
func TestPathTurnedOff(t *testing.T) {
	s := start(t, pathFrom)
	alice, bob, edge := udp(t, s, "alice"), udp(t, s, "bob"), udp(t, s, "bob")
	bob.register("Contact: <sip:bob@192.0.2.1>", "Path: <sip:"+edge.Addr.String()+";lr>", "Supported: path")
	call := func(to *phone, routes int) {
		t.Helper()
		alice.request("MESSAGE", s.URI("bob"), "Call-ID: "+time.Now().String())
		m := to.Expect("MESSAGE sip:bob@192.0.2.1 SIP/2.0\r\n")
		same(t, "Route", len(m.Headers("Route")), routes)
		to.Answer(m, "200 OK", "b")
		alice.Expect("SIP/2.0 200")
	}
	call(edge, 1)
	s.Load(handlertest.Caddyfile(s.Addr, "register {\npath off\n}\nproxy"))
	call(bob, 0)
	edge.Nothing()
	s.Load(handlertest.Caddyfile(s.Addr, pathFrom))
	call(edge, 1)
	s.Load(handlertest.Caddyfile(s.Addr, "register {\npath from 127.0.0.2\n}\nproxy"))
	call(bob, 0)
}

// TestPathStored finds a registration in the storage that was made when Path was followed from
// everybody.
func TestPathStored(t *testing.T) {
	s := start(t, pathFrom)
	alice, bob, victim := udp(t, s, "alice"), udp(t, s, "bob"), s.UDPFrom("127.0.0.9")
	now := time.Now()
	record := location.Record{
		Contact: "sip:bob@192.0.2.1", CallID: "c", CSeq: 1, Q: 1000, Path: "<sip:" + victim.Addr.String() + ";lr>",
		Network: "udp", Source: bob.Addr, Local: s.Addr, Registered: now, Updated: now, Expires: now.Add(time.Hour),
	}
	uri, err := wire.ParseURI([]byte(s.URI("bob")))
	if err != nil {
		t.Fatal(err)
	}
	aor, _ := s.App().AppendAOR(nil, &uri)
	record.AOR = string(aor)
	if err := inside.AppOf(s.App()).Location().Restore(record); err != nil {
		t.Fatal(err)
	}
	alice.request("MESSAGE", s.URI("bob"))
	m := bob.Expect("MESSAGE sip:bob@192.0.2.1 SIP/2.0\r\n")
	same(t, "Route", len(m.Headers("Route")), 0)
	bob.Answer(m, "200 OK", "b")
	alice.Expect("SIP/2.0 200")
	victim.Nothing()
}

// TestPathName has the edge proxy name itself: the name leads to where Path is followed, and
// nowhere else.
func TestPathName(t *testing.T) {
	d := startDNS(t, "edge A 127.0.0.1\nvictim A 127.0.0.9\nboth A 127.0.0.9\nboth A 127.0.0.1\n")
	setResolver(t, d.Dial)
	s := start(t, pathFrom)
	alice, edge, victim := udp(t, s, "alice"), udp(t, s, "bob"), s.UDPFrom("127.0.0.9")
	for _, name := range []string{"edge.example", "both.example"} {
		path := "<sip:" + name + fmt.Sprintf(":%d", edge.Addr.Port()) + ";lr>"
		edge.register("Contact: <sip:bob@192.0.2.1>", "Path: "+path, "Supported: path")
		alice.request("MESSAGE", s.URI("bob"), "Call-ID: "+name)
		m := edge.Expect("MESSAGE sip:bob@192.0.2.1 SIP/2.0\r\n")
		same(t, "Route", m.Header("Route"), path)
		edge.Answer(m, "200 OK", "b")
		alice.Expect("SIP/2.0 200")
	}
	edge.register("Contact: <sip:bob@192.0.2.1>", "Path: <sip:"+fmt.Sprintf("victim.example:%d", victim.Addr.Port())+";lr>", "Supported: path")
	alice.request("MESSAGE", s.URI("bob"), "Call-ID: victim")
	alice.Expect("SIP/2.0 500")
	victim.Nothing()
}
