package hostile

import (
	"fmt"
	"io"
	"net"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/respond"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(new(fastTimers))
	caddy.RegisterModule(new(slowTimers))
}

// patience is how long a test waits for a message that must come.
const patience = 20 * time.Second

// fastTimers is a directive that sets T1 to 10 ms, so that a transaction times out after 0.64 s.
type fastTimers struct{ directive }

func (*fastTimers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.hostile_fast_timers", New: func() caddy.Module { return new(fastTimers) }}
}

func (*fastTimers) Provision(ctx caddy.Context) error {
	return setTimers(ctx, transaction.Options{T1: 10 * time.Millisecond, T2: 80 * time.Millisecond, T4: 20 * time.Millisecond})
}

// slowTimers is a directive that sets T1 to a minute, so that nothing is retransmitted on a busy
// machine.
type slowTimers struct{ directive }

func (*slowTimers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.hostile_slow_timers", New: func() caddy.Module { return new(slowTimers) }}
}

func (*slowTimers) Provision(ctx caddy.Context) error {
	return setTimers(ctx, transaction.Options{T1: time.Minute})
}

// setTimers replaces the transaction table. It must be called before anything was sent.
func setTimers(ctx caddy.Context, o transaction.Options) error {
	app, err := module.AppFrom(ctx)
	if err != nil {
		return err
	}
	e := inside.AppOf(app).Engine
	o.Validated, o.MarkValidated = e.Validated, e.MarkValidated
	e.Transactions.Close()
	e.Transactions = transaction.NewTable(o)
	e.UAC.Transactions = e.Transactions
	return nil
}

// directive is a handler that passes every request on.
type directive struct{}

func (*directive) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*directive) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	return next(w, r)
}

// phone is a peer of a user.
type phone struct {
	*handlertest.Peer
	t    testing.TB
	s    *handlertest.Server
	user string
	cseq int
}

func udp(t testing.TB, s *handlertest.Server, user string) *phone {
	return &phone{Peer: s.UDP(), t: t, s: s, user: user}
}

func tcp(t testing.TB, s *handlertest.Server, user string) *phone {
	return &phone{Peer: s.TCP(), t: t, s: s, user: user}
}

// contact returns the phone's Contact URI.
func (p *phone) contact() string {
	uri := fmt.Sprintf("sip:%s@%s", p.user, p.Addr)
	if p.Transport() == "TCP" {
		uri += ";transport=tcp"
	}
	return uri
}

// request sends a request with the mandatory header fields and the given ones: a given field
// replaces one of the same name, and "Name:" alone removes it. It returns the topmost Via.
func (p *phone) request(method, uri string, headers ...string) (via string) {
	p.t.Helper()
	p.cseq++
	lines := []string{
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=z9hG4bK-%s-%d;rport", p.Transport(), p.Addr, p.user, p.cseq),
		"Max-Forwards: 70",
		fmt.Sprintf("From: <sip:%s@%s>;tag=tag-%s", p.user, p.s.Addr.Addr(), p.user),
		fmt.Sprintf("To: <%s>", uri),
		fmt.Sprintf("Call-ID: %s-%s-%d", p.t.Name(), p.user, p.cseq),
		fmt.Sprintf("CSeq: %d %s", p.cseq, method),
		fmt.Sprintf("Contact: <%s>", p.contact()),
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if i < 0 {
			i = len(lines)
			lines = append(lines, h)
		}
		lines[i] = h
		if value == "" {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, "Via:") })
	p.Send(method + " " + uri + " SIP/2.0\n" + strings.Join(lines, "\n") + "\n\n")
	return lines[i]
}

// again sends the CANCEL or ACK of the latest INVITE.
func (p *phone) again(method, uri string, headers ...string) {
	p.t.Helper()
	p.cseq--
	p.request(method, uri, append([]string{"Contact:"}, headers...)...)
}

// register registers the phone's own Contact, or the given ones.
func (p *phone) register(headers ...string) {
	p.t.Helper()
	p.request("REGISTER", "sip:"+p.s.Addr.Addr().String(), append([]string{
		fmt.Sprintf("To: <sip:%s@%s>", p.user, p.s.Addr.Addr()), "Call-ID: reg-" + p.user, "Expires: 600"}, headers...)...)
	p.Expect("SIP/2.0 200")
}

// registered returns a registered UDP phone.
func registered(t testing.TB, s *handlertest.Server, user string) *phone {
	t.Helper()
	p := udp(t, s, user)
	p.register()
	return p
}

// eventually waits until done returns true. done must not change anything.
func eventually(t testing.TB, what string, done func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !done(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatalf("gave up waiting for: %s", what)
		}
	}
}

// nothingLeft waits until no transaction is left.
func nothingLeft(t testing.TB, s *handlertest.Server) {
	t.Helper()
	eventually(t, "all transactions to end", func() bool { return inside.AppOf(s.App()).Engine.Transactions.Len() == 0 })
}

func listenTCP(t testing.TB) net.Listener {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	return l
}

// accepted is a connection that the server has made.
type accepted struct {
	net.Conn
	t testing.TB
}

func accept(t testing.TB, l net.Listener) accepted {
	t.Helper()
	if err := l.(*net.TCPListener).SetDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close() })
	return accepted{c, t}
}

// expect reads the next message, which must begin with start.
func (a accepted) expect(start string) {
	a.t.Helper()
	if err := a.SetReadDeadline(time.Now().Add(patience)); err != nil {
		a.t.Fatal(err)
	}
	got := make([]byte, len(start))
	if _, err := io.ReadFull(a, got); err != nil || string(got) != start {
		a.t.Fatalf("got %q, %v, want %q", got, err, start)
	}
}
