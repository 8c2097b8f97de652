package engine

import (
	"net"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// answering is a dispatcher that answers everything that comes to its listeners with one reason
// phrase.
type answering struct {
	*Generation
	reason string
}

func (a *answering) ServeRequest(in *transport.Inbound, m *wire.Message) bool {
	if !slices.ContainsFunc(a.Listeners, func(l *transport.Listener) bool {
		return l == in.Flow.Listener || l.Network() == in.Flow.Network && l.Covers(in.Flow.Local)
	}) {
		return false
	}
	if m.Method == wire.INFO {
		panic("at the disco")
	}
	b := m.AppendResponse(in.Outbox.Buffer(), 200, a.reason, in.Flow.Remote, &wire.ResponseOptions{ToTag: StatelessTag(nil, m)})
	_ = in.Outbox.Send(ResponseFlow(m, in.Flow), b)
	return true
}

// client is a UDP socket that asks.
type client struct {
	t testing.TB
	net.Conn
}

func dial(t testing.TB, addr netip.AddrPort) client {
	t.Helper()
	c, err := net.Dial("udp", addr.String())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return client{t, c}
}

func (c client) send(text string) {
	c.t.Helper()
	if _, err := c.Write([]byte(strings.ReplaceAll(text, "\n", "\r\n"))); err != nil {
		c.t.Fatal(err)
	}
}

// ask sends a request and returns the answer's first line and its To tag.
func (c client) ask(text string) (line, tag string) {
	c.t.Helper()
	c.send(text)
	if err := c.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		c.t.Fatal(err)
	}
	var buf [4096]byte
	n, err := c.Read(buf[:])
	if err != nil {
		c.t.Fatal(err)
	}
	m := new(wire.Message)
	if err := m.Parse(buf[:n]); err != nil {
		c.t.Fatalf("%v in %s", err, buf[:n])
	}
	line, _, _ = strings.Cut(string(m.Raw), "\r\n")
	return line, string(m.ToTag())
}

func (c client) want(text, line string) {
	c.t.Helper()
	if got, _ := c.ask(text); got != line {
		c.t.Errorf("got %s, want %s", got, line)
	}
}

// rport asks for the answer to come back to the client's socket.
var rport = strings.NewReplacer("branch=z9hG4bK1", "branch=z9hG4bK1;rport")

func freeAddr(t testing.TB) netip.AddrPort {
	t.Helper()
	c, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	return c.LocalAddr().(*net.UDPAddr).AddrPort()
}

func generation(name string, addrs ...netip.AddrPort) *Generation {
	g := &Generation{Grace: time.Hour}
	g.Dispatcher = &answering{g, name}
	for _, a := range addrs {
		g.Listen = append(g.Listen, Address{transport.UDP, a})
	}
	return g
}

func attach(t testing.TB, e *Engine, g *Generation) {
	t.Helper()
	if err := e.Attach(g); err != nil {
		t.Fatal(err)
	}
}

func wantOpen(t testing.TB, e *Engine, want int) {
	t.Helper()
	if n := len(e.Transport.Listeners()); n != want || len(e.listeners) != want {
		t.Errorf("%d listeners are open and %d known, want %d", n, len(e.listeners), want)
	}
}

func TestGenerations(t *testing.T) {
	e := New()
	defer e.Destruct()
	a, b := freeAddr(t), freeAddr(t)
	text := rport.Replace(invite)
	one := generation("one", a)
	attach(t, e, one)
	c := dial(t, a)
	c.want(text, "SIP/2.0 200 one")

	// A reload: the new one is attached before the old one goes.
	two := generation("two", a, b)
	attach(t, e, two)
	if two.Listeners[0] != one.Listeners[0] || two.Listeners[1] == nil {
		t.Error("the socket has changed")
	}
	c.want(text, "SIP/2.0 200 two")
	e.Detach(one)
	e.Detach(one)
	wantOpen(t, e, 2)
	c.want(text, "SIP/2.0 200 two")
	d := dial(t, b)
	d.want(text, "SIP/2.0 200 two")

	// One that is taken back.
	three := generation("three", b)
	attach(t, e, three)
	d.want(text, "SIP/2.0 200 three")
	e.Detach(three)
	wantOpen(t, e, 2)
	d.want(text, "SIP/2.0 200 two")

	// One that doesn't come into force: what it opened is closed.
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	free := freeAddr(t)
	four := generation("four", a, free, taken.LocalAddr().(*net.UDPAddr).AddrPort())
	err = e.Attach(four)
	if err == nil || !strings.Contains(err.Error(), "listening on udp/"+taken.LocalAddr().String()) {
		t.Errorf("got %v", err)
	}
	e.Detach(four)
	wantOpen(t, e, 2)
	c.want(text, "SIP/2.0 200 two")
	if again, err := net.ListenPacket("udp", free.String()); err != nil {
		t.Error(err)
	} else {
		again.Close()
	}

	// The second address leaves: what still comes there is served as it was.
	five := generation("five", a)
	attach(t, e, five)
	d.want(text, "SIP/2.0 200 two")
	e.Detach(two)
	wantOpen(t, e, 2)
	c.want(text, "SIP/2.0 200 five")
	d.want(text, "SIP/2.0 200 two")

	// A load that fails takes it for a moment.
	six := generation("six", a, b)
	attach(t, e, six)
	d.want(text, "SIP/2.0 200 six")
	e.Detach(six)
	d.want(text, "SIP/2.0 200 two")

	// With no configuration everything is closed.
	e.Detach(five)
	wantOpen(t, e, 0)
	if e.Logger() == nil || e.Storage() != nil {
		t.Error("an engine without configuration has no logger, or has a storage")
	}
}

func TestHandleMessage(t *testing.T) {
	e := New()
	defer e.Destruct()
	addr := freeAddr(t)
	attach(t, e, generation("one", addr))
	c := dial(t, addr)
	text := rport.Replace(invite)
	count := func(m prometheus.Collector) float64 { return value(t, m) }
	malformed, stray, caught := count(droppedMalformed), count(droppedStray), count(panics)

	// What cannot be read is refused, statelessly; the ACK to that is for nobody.
	line, tag := c.ask(strings.Replace(text, "CSeq: 7 INVITE", "CSeq: 7 BYE", 1))
	if line != "SIP/2.0 400 CSeq Method Does Not Match" || !hex16.MatchString(tag) {
		t.Errorf("got %s with tag %s", line, tag)
	}
	c.send(strings.NewReplacer("INVITE", "ACK", "To: <sip:bob@example.com>", "To: <sip:bob@example.com>;tag="+tag).Replace(text))
	c.want(strings.Replace(text, "SIP/2.0\n", "SIP/3.0\n", 1), "SIP/2.0 505 Version Not Supported")
	// Nothing answers what says not where it is from, a malformed ACK, and responses.
	c.send("INVITE sip:bob@example.com SIP/2.0\nFrom: <sip:a@b>;tag=1\n\n")
	c.send(strings.NewReplacer("INVITE", "ACK", "CSeq: 7", "CSeq: x").Replace(text))
	c.send("SIP/2.0 200 OK\nVia: nonsense\n\n")
	c.send("nonsense of some length\n\n")
	c.send(strings.Replace(text, "INVITE sip:bob@example.com SIP/2.0", "SIP/2.0 200 OK", 1))
	c.want(text, "SIP/2.0 200 one")
	if got := count(droppedMalformed) - malformed; got != 6 {
		t.Errorf("%v malformed", got)
	}
	if got := count(droppedStray) - stray; got != 1 {
		t.Errorf("%v stray", got)
	}

	// A panic is the end of one message.
	c.send(strings.ReplaceAll(text, "INVITE", "INFO"))
	c.want(text, "SIP/2.0 200 one")
	if got := count(panics) - caught; got != 1 {
		t.Errorf("%v panics", got)
	}
	if n := e.Transactions.Len(); n != 0 {
		t.Errorf("%d transactions", n)
	}
}

// value returns what a counter has come to.
func value(t *testing.T, c prometheus.Collector) float64 {
	t.Helper()
	registry := prometheus.NewRegistry()
	registry.MustRegister(c)
	families, err := registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	return families[0].GetMetric()[0].GetCounter().GetValue()
}

// TestNoConfiguration gives the engine a message before a configuration is in force.
func TestNoConfiguration(t *testing.T) {
	e := New()
	defer e.Destruct()
	before := value(t, droppedIdle)
	in := &transport.Inbound{Data: []byte(strings.ReplaceAll(invite, "\n", "\r\n")), Outbox: new(transport.Outbox)}
	e.HandleMessage(in)
	if got := value(t, droppedIdle) - before; got != 1 {
		t.Errorf("%v dropped", got)
	}
}

func TestResponseFlow(t *testing.T) {
	from := netip.MustParseAddrPort("198.51.100.1:40000")
	for text, want := range map[string]string{
		invite: "198.51.100.1:5060", // the port in Via, the address it came from
		strings.Replace(invite, ":5060;branch", ":5070;branch", 1): "198.51.100.1:5070",
		strings.Replace(invite, ":5060;branch", ";branch", 1):      "198.51.100.1:5060",
		rport.Replace(invite): "198.51.100.1:40000",
	} {
		if got := ResponseFlow(message(t, text), transport.Flow{Remote: from}).Remote.String(); got != want {
			t.Errorf("got %s, want %s", got, want)
		}
		if got := ResponseFlow(message(t, text), transport.Flow{Network: transport.TCP, Remote: from}).Remote; got != from {
			t.Errorf("on a connection: %s", got)
		}
	}
}
