// Package reflector tests that the server is useless for amplification attacks: what one datagram
// with a forged source makes it send is little, and goes only to that source.
package reflector

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddysip/caddysip/handler/digestauth"
	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/proxy"
	_ "github.com/caddysip/caddysip/handler/register"
	_ "github.com/caddysip/caddysip/handler/snomlrc"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/module"
)

func init() {
	caddy.RegisterModule(fastTimers{})
}

// t1 is T1, the unit of the timers of RFC 3261, instead of 500 ms.
const t1 = 40 * time.Millisecond

// fastTimers is a handler that passes every request on, but shortens the timers of its server.
type fastTimers struct{}

func (fastTimers) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_fast_timers", New: func() caddy.Module { return new(fastTimers) }}
}

func (*fastTimers) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*fastTimers) Provision(ctx caddy.Context) error {
	app, err := module.AppFrom(ctx)
	if err != nil {
		return err
	}
	e := inside.AppOf(app).Engine
	e.Transactions.Close()
	e.Transactions = transaction.NewTable(transaction.Options{T1: t1, T2: 8 * t1, T4: 10 * t1, Validated: e.Validated, MarkValidated: e.MarkValidated})
	e.UAC.Transactions = e.Transactions
	return nil
}

func (*fastTimers) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	return next(w, r)
}

func start(t *testing.T, directives string) *handlertest.Server {
	return handlertest.Start(t, "test_fast_timers\n"+directives)
}

// request returns about the shortest request possible, as for an amplification attack. Extra header
// lines replace its own of the same name.
func request(method, uri string, extra ...string) string {
	lines := []string{method + " " + uri + " SIP/2.0", "v:SIP/2.0/UDP {me};branch={branch}", "f:<sip:a@b>;tag=1", "t:<sip:a@b>", "i:1", "CSeq:1 " + method}
	for _, x := range extra {
		name, _, _ := strings.Cut(x, ":")
		i := slices.IndexFunc(lines, func(line string) bool { return strings.HasPrefix(line, name+":") })
		if i < 0 {
			lines = append(lines, x)
		} else {
			lines[i] = x
		}
	}
	return strings.Join(lines, "\n") + "\n\n"
}

// send sends a request with the peer's address filled in and CRLF line ends, and returns its
// length.
func send(p *handlertest.Peer, text string) int {
	branch := fmt.Sprintf("z9hG4bK%d", p.Addr.Port())
	text = strings.NewReplacer("{me}", p.Addr.String(), "{branch}", branch, "\n", "\r\n").Replace(text)
	p.SendRaw([]byte(text))
	return len(text)
}

// register returns a registered phone.
func register(s *handlertest.Server, user string) *handlertest.Peer {
	p := s.UDP()
	p.Send("REGISTER sip:" + s.Addr.String() + " SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch}\nMax-Forwards: 70\nFrom: <sip:" + user + "@" + s.Addr.String() +
		">;tag=r\nTo: <sip:" + user + "@" + s.Addr.String() + ">\nCall-ID: r" + user + "\nCSeq: 1 REGISTER\nContact: <sip:" + user + "@{me}>\n\n")
	p.Expect("SIP/2.0 200")
	return p
}

// registerMany registers as many contacts as a user may have, all of them long.
func registerMany(s *handlertest.Server, user string) {
	p := s.UDP()
	for i := range 10 {
		p.Send(fmt.Sprintf("REGISTER sip:%s SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch}\nMax-Forwards: 70\nFrom: <sip:%s@%s>;tag=r\nTo: <sip:%s@%s>\nCall-ID: r%d\n"+
			"CSeq: 1 REGISTER\nContact: <sip:%d@{me};x=%s>\n\n", s.Addr, user, s.Addr, user, s.Addr, i, i, strings.Repeat("x", 990)))
		if m := p.Expect("SIP/2.0 200"); !strings.Contains(m.Text, fmt.Sprintf("<sip:%d@", i)) {
			panic("one who registers doesn't see his contact")
		}
	}
}

// settle waits until every transaction has timed out, 64*T1 and T4.
func settle(s *handlertest.Server) {
	over := make(chan struct{})
	inside.AppOf(s.App()).Engine.Transactions.AfterFunc(80*t1, func() { close(over) })
	<-over
}

// got returns all messages that a peer has received.
func got(p *handlertest.Peer) (all []handlertest.Message) {
	const probe = "probe"
	p.Send("OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:p@h>;tag=p\nTo: <sip:p@h>\nCall-ID: " + probe + "\nCSeq: 1 OPTIONS\n\n")
	for {
		m := p.Receive()
		if m.Header("Call-ID") == probe {
			return all
		}
		all = append(all, m)
	}
}

// kinds counts messages by their method or status.
func kinds(all []handlertest.Message) string {
	count := make(map[string]int)
	for _, m := range all {
		word, rest, _ := strings.Cut(m.Line(), " ")
		if word == "SIP/2.0" {
			word = rest[:3]
		}
		count[word]++
	}
	var list []string
	for _, k := range slices.Sorted(maps.Keys(count)) {
		list = append(list, fmt.Sprintf("%d × %s", count[k], k))
	}
	return strings.Join(list, ", ")
}

// How many bytes a response may be longer than its request: for header fields that the standard
// demands, and for compact forms in the request.
const (
	mostAnswer    = 200
	mostChallenge = 400     // a 401 or 407 with two challenges
	mostContacts  = 1 << 10 // the contacts in a 200 to REGISTER
)

// TestCost sends each kind of request once, from a source that stays silent afterwards, and counts
// everything that ever comes back. docs/security.md has this as a table.
func TestCost(t *testing.T) {
	s := start(t, "snom_lrc\nregister\nproxy")
	self, user := "sip:"+s.Addr.String(), s.URI
	register(s, "silent")
	registerMany(s, "many")
	many := "X:y" + strings.Repeat("\nX:y", 130)
	tests := []struct {
		name, text, want string
	}{
		{"a number of snom_lrc", request("INVITE", user("433"), "m:<sip:a@b>", "User-Agent:snom"), "1 × 404, 4 × MESSAGE"},
		{"a user who is unknown", request("INVITE", user("nobody")), "1 × 404"},
		{"a phone that doesn't answer", request("INVITE", user("silent")), "1 × 100, 4 × 408"},
		{"another domain", request("INVITE", "sip:a@192.0.2.1"), "1 × 403"},
		{"another domain by Route", request("INVITE", user("silent"), "Route:<sip:192.0.2.1;lr>"), "1 × 403"},
		{"REGISTER", request("REGISTER", self, "t:<"+user("x")+">", "m:<sip:x@{me}>"), "1 × 200"},
		{"a query for contacts", request("REGISTER", self, "t:<"+user("x")+">"), "1 × 200"},
		{"a query for many contacts", request("REGISTER", self, "t:<"+user("many")+">"), "1 × 200"},
		{"a foreign REGISTER", request("REGISTER", self), "1 × 404"},
		{"OPTIONS", request("OPTIONS", self), "1 × 200"},
		{"OPTIONS for a phone that doesn't answer", request("OPTIONS", user("silent")), "" /* the 100 after 3.5 s is not made faster here */},
		{"MESSAGE", request("MESSAGE", self), "1 × 405"},
		{"MESSAGE for a user who is unknown", request("MESSAGE", user("nobody")), "1 × 404"},
		{"MESSAGE for a phone that doesn't answer", request("MESSAGE", user("silent")), ""},
		{"a method that nobody knows", request("FROB", self), "1 × 501"},
		{"a scheme that nobody knows", request("INVITE", "x:y"), "1 × 416"},
		{"BYE", request("BYE", self), "1 × 405"},
		{"BYE in no dialog", request("BYE", self, "t:<sip:a@b>;tag=2"), "1 × 481"},
		{"CANCEL", request("CANCEL", self), "1 × 481"},
		{"ACK", request("ACK", user("nobody")), ""},
		{"an extension", request("INVITE", user("silent"), "Proxy-Require:a,b,c,d"), "1 × 420"},
		{"a malformed request", request("INVITE", self, "CSeq:x"), "1 × 400"},
		{"another version", strings.Replace(request("INVITE", self), "SIP/2.0\n", "SIP/3.0\n", 1), "1 × 505"},
		{"too many header fields", request("INVITE", self, many), "1 × 400"},
		{"a response", strings.Replace(request("INVITE", self), "INVITE "+self+" SIP/2.0", "SIP/2.0 200 OK", 1), ""},
		{"garbage", strings.Repeat("\x00\xff garbage \n", 20), ""},
		{"a keep-alive", "\n\n", ""},
	}
	var sources []*handlertest.Peer
	var sizes []int
	for _, test := range tests {
		p := s.UDP()
		sources = append(sources, p)
		sizes = append(sizes, send(p, test.text))
	}
	settle(s)
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			all := got(sources[i])
			if k := kinds(all); k != test.want {
				t.Errorf("came %s, want %s", k, test.want)
			}
			cost(t, sizes[i], all)
		})
	}
}

// cost checks the length of responses.
func cost(t *testing.T, in int, all []handlertest.Message) {
	t.Helper()
	out, longest := 0, 0
	for _, m := range all {
		n := len(m.Text)
		out += n
		longest = max(longest, n)
		limit := mostAnswer
		if m.Headers("WWW-Authenticate") != nil || m.Headers("Proxy-Authenticate") != nil {
			limit = mostChallenge
		}
		if m.Headers("Contact") != nil {
			limit += mostContacts
		}
		if n > in+limit {
			t.Errorf("a request of %d bytes is answered with %d:\n%s", in, n, m.Text)
		}
	}
	t.Logf("%s for %d bytes: %d bytes, %+d in the longest, %.1f times as many", kinds(all), in, out, longest-in, float64(out)/float64(in))
}

// TestCallAnswered calls phones that answer, from a source that stays silent.
func TestCallAnswered(t *testing.T) {
	s := start(t, "proxy\nregister")
	for _, test := range []struct{ answer, want string }{
		{"486 Busy Here", "1 × 100, 1 × 180, 4 × 486"},
		{"200 OK", "1 × 100, 1 × 180, 4 × 200"},
	} {
		bob := register(s, "bob")
		p := s.UDP()
		long := strings.NewReplacer("\nv:", "\nVia:", "\nf:", "\nFrom:", "\nt:", "\nTo:", "\ni:", "\nCall-ID:") // what the phone's answer copies
		in := send(p, long.Replace(request("INVITE", s.URI("bob"), "m:<sip:a@{me}>")))
		invite := bob.Expect("INVITE")
		bob.Ignore(invite)
		bob.Answer(invite, "180 Ringing", "b")
		for range 11 { // as a phone does that waits for its ACK
			bob.Answer(invite, test.answer, "b")
		}
		settle(s)
		all := got(p)
		if k := kinds(all); k != test.want {
			t.Errorf("%s: came %s, want %s", test.answer, k, test.want)
		}
		cost(t, in+200, all) // an answer that is relayed has our Record-Route and what the phone says
	}
}

// TestValidated validates the address of a phone: from then on it gets all retransmissions of RFC
// 3261.
func TestValidated(t *testing.T) {
	s := start(t, "snom_lrc\nproxy\nregister")
	invite := request("INVITE", s.URI("433"), "m:<sip:a@b>", "User-Agent:snom")
	again := func(branch string, callID string) string {
		return strings.NewReplacer("{branch}", branch, "i:1", "i:"+callID).Replace(invite)
	}
	p, q, other := s.UDP(), s.UDP(), s.UDP()
	send(p, again("z9hG4bKa", "a"))
	p.Expect("SIP/2.0 404")
	p.Answer(p.Expect("MESSAGE"), "200 OK", "t")
	got(p)
	// A binding from the same address validates it too, if it is of the user in From.
	registered := strings.NewReplacer("f:<sip:a@b>", "f:<"+s.URI("carol")+">").Replace(invite)
	q.Send("REGISTER sip:" + s.Addr.String() + " SIP/2.0\nVia: SIP/2.0/UDP {me};branch={branch}\nMax-Forwards: 70\nFrom: <" + s.URI("carol") +
		">;tag=r\nTo: <" + s.URI("carol") + ">\nCall-ID: r\nCSeq: 1 REGISTER\nContact: <sip:carol@{me}>\n\n")
	q.Expect("SIP/2.0 200")

	send(p, again("z9hG4bKb", "b"))
	send(q, strings.NewReplacer("{branch}", "z9hG4bKc", "i:1", "i:c").Replace(registered))
	send(q, again("z9hG4bKd", "d"))
	send(other, registered)
	settle(s)
	count := func(p *handlertest.Peer) (n int) {
		for _, m := range got(p) {
			if strings.HasPrefix(m.Text, "MESSAGE") {
				n++
			}
		}
		return n
	}
	// A busy machine may omit one of the eleven.
	if n := count(p); n < 9 || n > 11 {
		t.Errorf("one who has answered gets %d", n)
	}
	if n := count(q); n < 4+9 || n > 4+11 {
		t.Errorf("one who has registered gets %d, for a call of his own and one as somebody else", n)
	}
	if n := count(other); n != 4 {
		t.Errorf("one who says he is somebody registered gets %d", n)
	}

	// Long messages go to a validated address, too.
	registerMany(s, "many")
	query := request("REGISTER", "sip:"+s.Addr.String(), "t:<"+s.URI("many")+">")
	for _, test := range []struct {
		p    *handlertest.Peer
		want int
	}{{p, 10}, {q, 0}, {s.TCP(), 10}} { // a binding of another user shows nothing here
		p := test.p
		p.SendRaw([]byte(strings.NewReplacer("{me}", p.Addr.String(), "{branch}", "z9hG4bKq", "\n\n", "\r\nl:0\r\n\r\n", "\n", "\r\n").Replace(query)))
		if n := len(p.Expect("SIP/2.0 200").Headers("Contact")); n != test.want {
			t.Errorf("%s: %d contacts, want %d", p.Transport(), n, test.want)
		}
	}
}

// TestThirdParty names a third party in every header field that can name one: nothing goes there.
func TestThirdParty(t *testing.T) {
	s := start(t, "snom_lrc\nregister\nproxy")
	third := s.UDP()
	they := third.Addr.String()
	host, port := third.Addr.Addr().String(), third.Addr.Port()
	for name, via := range map[string]string{
		"maddr":           "v:SIP/2.0/UDP {me};branch={branch};maddr=" + they,
		"maddr and port":  fmt.Sprintf("v:SIP/2.0/UDP {me};branch={branch};maddr=%s;rport", host),
		"received, rport": fmt.Sprintf("v:SIP/2.0/UDP {me};branch={branch};received=%s;rport=%d", host, port),
		"sent-by":         fmt.Sprintf("v:SIP/2.0/UDP %s;branch={branch};rport", they),
		"two":             fmt.Sprintf("v:SIP/2.0/UDP {me};branch={branch},SIP/2.0/UDP %s", they),
	} {
		for _, text := range []string{
			request("INVITE", s.URI("433"), "m:<sip:a@"+they+">", "User-Agent:snom", via),
			request("INVITE", s.URI("nobody"), via),
			request("OPTIONS", "sip:"+s.Addr.String(), via),
			request("REGISTER", "sip:"+s.Addr.String(), "t:<"+s.URI("x")+">", via),
			request("FROB", "x:y", via),
			request("MESSAGE", "sip:a@"+they, via),
			request("MESSAGE", s.URI("x"), "Route:<sip:"+they+";lr>", via),
			request("MESSAGE", s.URI("x"), "Route:<sip:"+s.Addr.String()+";lr>,<sip:"+they+";lr>", via),
		} {
			p := s.UDP()
			send(p, text)
			p.Expect("SIP/2.0 ")
		}
		if all := got(third); len(all) > 0 {
			t.Errorf("%s: somebody else gets %s:\n%s", name, kinds(all), all[0].Text)
		}
	}
	settle(s)
	if all := got(third); len(all) > 0 {
		t.Errorf("somebody else gets %s later:\n%s", kinds(all), all[0].Text)
	}
}

// TestChallenge runs the server with digest_auth.
func TestChallenge(t *testing.T) {
	s := start(t, "digest_auth {\n realm "+strings.Repeat("long.", 5)+"example.com\n user 101 \"a password of 101\"\n}\nsnom_lrc\nregister\nproxy")
	var sources []*handlertest.Peer
	for _, test := range []struct{ text, want string }{
		{request("INVITE", s.URI("433"), "m:<sip:a@b>", "User-Agent:snom"), "1 × 407"},
		{request("REGISTER", "sip:"+s.Addr.String(), "t:<"+s.URI("101")+">"), "1 × 401"},
		{request("OPTIONS", "sip:"+s.Addr.String()), "1 × 401"},
		{request("MESSAGE", s.URI("101")), "1 × 407"},
		{request("MESSAGE", s.URI("101"), `Proxy-Authorization:Digest username="101",realm="x",nonce="y",uri="z",response="0"`), "1 × 407"},
	} {
		p := s.UDP()
		in := send(p, test.text)
		all := got(p)
		if k := kinds(all); k != test.want {
			t.Errorf("%.30s: came %s, want %s", test.text, k, test.want)
		}
		cost(t, in, all)
		sources = append(sources, p)
	}
	settle(s)
	for _, p := range sources {
		if all := got(p); len(all) > 0 {
			t.Errorf("later came %s", kinds(all))
		}
	}
}
