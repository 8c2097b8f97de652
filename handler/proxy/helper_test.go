package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/register"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(new(trust))
	caddy.RegisterModule(new(hurry))
	caddy.RegisterModule(new(calm))
}

// trust takes the header field X-User for credentials that were checked.
type trust struct{}

func (*trust) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_trust", New: func() caddy.Module { return new(trust) }}
}

func (*trust) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*trust) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if user := r.Header("X-User"); user != nil {
		r.SetAuthUser(string(user))
	}
	return next(w, r)
}

// hurry makes the timers of RFC 3261 fast: T1 is 20 ms, so that a transaction times out after 1.3
// s, time enough for whoever answers at all.
type hurry struct{ trust }

func (*hurry) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_hurry", New: func() caddy.Module { return new(hurry) }}
}

func (*hurry) Provision(ctx caddy.Context) error {
	return setTimers(ctx, transaction.Options{T1: 20 * time.Millisecond, T4: 20 * time.Millisecond})
}

// calm makes them slow, so that nothing is repeated when the machine is busy.
type calm struct{ trust }

func (*calm) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_calm", New: func() caddy.Module { return new(calm) }}
}

func (*calm) Provision(ctx caddy.Context) error {
	return setTimers(ctx, transaction.Options{T1: time.Minute})
}

// setTimers works before anything was sent.
func setTimers(ctx caddy.Context, o transaction.Options) error {
	app, err := module.AppFrom(ctx)
	if err != nil {
		return err
	}
	e := inside.AppOf(app).Engine
	e.Transactions.Close()
	e.Transactions = transaction.NewTable(o)
	e.UAC.Transactions = e.Transactions
	return nil
}

// start starts a server that repeats nothing, unless the directives say test_hurry.
func start(t *testing.T, directives string) *handlertest.Server {
	t.Helper()
	if !strings.Contains(directives, "test_hurry") {
		directives = "test_calm\n" + directives
	}
	return handlertest.Start(t, directives)
}

// phone is a peer with a user's name.
type phone struct {
	*handlertest.Peer
	t    *testing.T
	s    *handlertest.Server
	user string
	cseq int
}

func newPhone(t *testing.T, s *handlertest.Server, p *handlertest.Peer, user string) *phone {
	return &phone{Peer: p, t: t, s: s, user: user}
}

// udp makes a phone that speaks UDP and has not registered.
func udp(t *testing.T, s *handlertest.Server, user string) *phone {
	return newPhone(t, s, s.UDP(), user)
}

// contact is the phone's own URI.
func (p *phone) contact() string {
	uri := fmt.Sprintf("sip:%s@%s", p.user, p.Addr)
	if p.Transport() == "TCP" {
		uri += ";transport=tcp"
	}
	return uri
}

// request sends a request with what every request has, and these header fields: one of the same
// name is replaced, "Name:" alone takes it away. It returns the branch.
func (p *phone) request(method, uri string, headers ...string) string {
	p.t.Helper()
	p.cseq++
	branch := fmt.Sprintf("z9hG4bK-%s-%d", p.user, p.cseq)
	lines := []string{
		fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s;rport", p.Transport(), p.Addr, branch),
		"Max-Forwards: 70",
		fmt.Sprintf("From: <sip:%s@%s>;tag=tag-%s", p.user, p.s.Addr.Addr(), p.user),
		fmt.Sprintf("To: <%s>", uri),
		"Call-ID: " + p.t.Name(),
		fmt.Sprintf("CSeq: %d %s", p.cseq, method),
		fmt.Sprintf("Contact: <%s>", p.contact()),
	}
	for _, h := range headers {
		name, value, _ := strings.Cut(h, ":")
		i := slices.IndexFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
		if i < 0 || name == "Route" || name == "Proxy-Require" {
			i = len(lines)
			lines = append(lines, h)
		}
		lines[i] = h
		if value == "" {
			lines = slices.Delete(lines, i, i+1)
		}
	}
	p.Send(method + " " + uri + " SIP/2.0\n" + strings.Join(lines, "\n") + "\n\n")
	return branch
}

// register registers the phone's own Contact, or the given ones.
func (p *phone) register(headers ...string) {
	p.t.Helper()
	p.request("REGISTER", "sip:"+p.s.Addr.Addr().String(), append([]string{
		fmt.Sprintf("To: <sip:%s@%s>", p.user, p.s.Addr.Addr()), "Call-ID: reg-" + p.user, "Expires: 600"}, headers...)...)
	p.Expect("SIP/2.0 200")
}

// registered makes a phone that has registered.
func registered(t *testing.T, s *handlertest.Server, user string, headers ...string) *phone {
	t.Helper()
	p := udp(t, s, user)
	p.register(headers...)
	return p
}

// invite calls somebody, and waits for the 100.
func (p *phone) invite(uri string, headers ...string) string {
	p.t.Helper()
	branch := p.request("INVITE", uri, headers...)
	p.Expect("SIP/2.0 100")
	return branch
}

// cancel sends the CANCEL of the request that was sent last.
func (p *phone) cancel(branch, uri string, headers ...string) {
	p.t.Helper()
	p.sendCancel(branch, uri, headers...)
	p.Expect("SIP/2.0 200")
}

func (p *phone) sendCancel(branch, uri string, headers ...string) {
	p.cseq--
	p.request("CANCEL", uri, append(headers, fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s;rport", p.Transport(), p.Addr, branch), "Contact:")...)
}

// ack acknowledges a final response other than 2xx.
func (p *phone) ack(branch, uri string, res handlertest.Message) {
	p.t.Helper()
	p.cseq--
	p.request("ACK", uri, fmt.Sprintf("Via: SIP/2.0/%s %s;branch=%s;rport", p.Transport(), p.Addr, branch), "Contact:", "To: "+res.Header("To"))
}

// pickUp answers an INVITE with 200.
func (p *phone) pickUp(invite handlertest.Message, extra ...string) {
	p.t.Helper()
	if !slices.ContainsFunc(extra, func(l string) bool { return strings.HasPrefix(l, "Contact:") }) {
		extra = append(extra, "Contact: <"+p.contact()+">")
	}
	p.Answer(invite, "200 OK", "tag-"+p.user, extra...)
}

// dialog is one side of a call.
type dialog struct {
	*phone
	target        string
	local, remote string // From and To of a request
	callID        string
	routes        []string
}

var uriOf = strings.NewReplacer("<", "", ">", "")

// caller is the side that sent the INVITE, after the 2xx.
func (p *phone) caller(res handlertest.Message) dialog {
	routes := res.Headers("Record-Route")
	slices.Reverse(routes)
	return dialog{p, uriOf.Replace(res.Header("Contact")), res.Header("From"), res.Header("To"), res.Header("Call-ID"), routes}
}

// callee is the side that got it.
func (p *phone) callee(invite handlertest.Message) dialog {
	return dialog{p, uriOf.Replace(invite.Header("Contact")), invite.Header("To") + ";tag=tag-" + p.user, invite.Header("From"),
		invite.Header("Call-ID"), invite.Headers("Record-Route")}
}

// send sends a request within the call.
func (d dialog) send(method string, headers ...string) string {
	d.t.Helper()
	all := []string{"From: " + d.local, "To: " + d.remote, "Call-ID: " + d.callID}
	for _, r := range d.routes {
		all = append(all, "Route: "+r)
	}
	return d.request(method, d.target, append(all, headers...)...)
}

// same fails the test unless the two are equal.
func same[T comparable](t *testing.T, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

// none fails the test when a message has that text.
func none(t *testing.T, m handlertest.Message, text string) {
	t.Helper()
	if strings.Contains(m.Text, text) {
		t.Errorf("%q should not be in:\n%s", text, m.Text)
	}
}

// has fails the test when a message does not have that text.
func has(t *testing.T, m handlertest.Message, text string) {
	t.Helper()
	if !strings.Contains(m.Text, text) {
		t.Errorf("%q should be in:\n%s", text, m.Text)
	}
}
