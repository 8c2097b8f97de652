package module_test

import (
	"fmt"
	"net/netip"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/module/moduletest"
)

func init() {
	caddy.RegisterModule(transact{})
}

// transact is a handler that answers by a server transaction.
type transact struct{}

func (transact) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.transact", New: func() caddy.Module { return new(transact) }}
}

func (*transact) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }

func (*transact) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if r.Is("OPTIONS") {
		return next(w, r)
	}
	if err := r.Transaction(nil); err != nil {
		return err
	}
	return module.Respond(w, 200, "")
}

// pair are two servers in one process with limits of their own.
type pair struct {
	*handlertest.Server
	t     *testing.T
	addrs [2]netip.AddrPort
}

func startPair(t *testing.T, limits ...string) *pair {
	p := &pair{t: t, addrs: [2]netip.AddrPort{handlertest.FreeAddr(t), handlertest.FreeAddrOf(t, "127.0.0.2")}}
	p.Server = handlertest.StartCaddyfile(t, p.addrs[0], p.caddyfile(limits))
	return p
}

func (p *pair) caddyfile(limits []string) string {
	var blocks []any
	for i, l := range limits {
		if l != "" {
			l = "limits {\n" + l + "\n}\n"
		}
		blocks = append(blocks, p.addrs[i], l+"transact")
	}
	return servers(blocks...)
}

// at is a server whose peers speak to one of the two.
func (p *pair) at(i int) *handlertest.Server {
	s := *p.Server
	s.Addr = p.addrs[i]
	return &s
}

// counts makes sure that a counter has moved by n while f ran.
func (p *pair) counts(n float64, reason string, f func()) {
	p.t.Helper()
	before := p.Metric("caddy_sip_dropped_total", "reason="+reason)
	f()
	if got := p.Metric("caddy_sip_dropped_total", "reason="+reason) - before; got != n {
		p.t.Errorf("%v counted as %s, want %v", got, reason, n)
	}
}

var messages int

// sized returns a request that has so many bytes, most of them in its body or, with inHeader, in
// its header.
func sized(p *handlertest.Peer, n int, inHeader bool) []byte {
	messages++
	head := fmt.Sprintf("MESSAGE sip:bob@example.com SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bKs%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:alice@example.com>;tag=f\r\nTo: <sip:bob@example.com>\r\nCall-ID: c%d\r\nCSeq: 1 MESSAGE\r\n", p.Transport(), p.Addr, messages, messages)
	if inHeader {
		tail := "\r\nContent-Length: 0\r\n\r\n"
		return []byte(head + "X: " + strings.Repeat("x", n-len(head)-3-len(tail)) + tail)
	}
	for body := n - len(head); ; body-- {
		text := fmt.Sprintf("%sContent-Length: %d\r\n\r\n", head, body)
		if len(text)+body == n {
			return []byte(text + strings.Repeat("x", body))
		}
	}
}

func TestLimitDatagram(t *testing.T) {
	p := startPair(t, "datagram 1000B", "datagram 3KiB")
	peers := []*handlertest.Peer{p.at(0).UDP(), p.at(1).UDP()}
	try := func(limits ...int) {
		t.Helper()
		for i, limit := range limits {
			for _, n := range []int{limit - 1, limit} {
				peers[i].SendRaw(sized(peers[i], n, false))
				peers[i].Expect("SIP/2.0 200")
			}
			p.counts(1, "too_large", func() {
				peers[i].SendRaw(sized(peers[i], limit+1, false))
				peers[i].Nothing()
			})
		}
	}
	try(1000, 3072)
	p.Load(p.caddyfile([]string{"datagram 2KiB", "datagram 1KB"}))
	try(2048, 1000)
	p.Load(p.caddyfile([]string{"", ""}))
	for _, peer := range peers {
		peer.SendRaw(sized(peer, 65_507, false)) // there is no larger one
		peer.Expect("SIP/2.0 200")
	}
}

func TestLimitMessage(t *testing.T) {
	p := startPair(t, "message 1000B", "message 64KiB")
	try := func(i, limit int, peer *handlertest.Peer) {
		t.Helper()
		for _, n := range []int{limit - 1, limit} {
			peer.SendRaw(sized(peer, n, n == limit))
			peer.Expect("SIP/2.0 200")
		}
		p.counts(1, "too_large", func() {
			peer.SendRaw(sized(peer, limit+1, false))
			peer.Expect("SIP/2.0 413")
			peer.Closed()
		})
		peer = p.at(i).TCP()
		p.counts(0, "malformed", func() {
			p.counts(1, "too_large", func() {
				peer.SendRaw(sized(peer, limit+1, true))
				peer.Expect("SIP/2.0 513")
				peer.Closed()
			})
		})
	}
	try(0, 1000, p.at(0).TCP())
	try(1, 65_535, p.at(1).TCP())
	open := p.at(0).TCP()
	open.SendRaw(sized(open, 900, false))
	open.Expect("SIP/2.0 200")
	p.Load(p.caddyfile([]string{"message 4KiB", "message 500B"}))
	try(0, 4096, open)
	try(1, 500, p.at(1).TCP())
}

func TestLimitHeaders(t *testing.T) {
	p := startPair(t, "headers 10", "")
	all := [][]*handlertest.Peer{{p.at(0).UDP(), p.at(0).TCP()}, {p.at(1).UDP(), p.at(1).TCP()}}
	try := func(i, limit int) {
		t.Helper()
		for _, peer := range all[i] {
			lines := func(n int) string {
				text := request("MESSAGE", "sip:bob@example.com")
				head, _, _ := strings.Cut(text, "\n\n")
				has := strings.Count(head, "\n") + 1 // with the Content-Length that is added
				return head + strings.Repeat("\nX: y", n-has) + "\n\n"
			}
			for _, n := range []int{limit - 1, limit} {
				peer.Send(lines(n))
				peer.Expect("SIP/2.0 200")
			}
			p.counts(1, "headers", func() {
				p.counts(0, "malformed", func() {
					peer.Send(lines(limit + 1))
					peer.Expect("SIP/2.0 400 Too Many Headers")
				})
			})
		}
	}
	try(0, 10)
	try(1, 128)
	p.Load(p.caddyfile([]string{"headers 240", "headers 20"}))
	try(0, 240)
	try(1, 20)
}

func TestLimitTimeouts(t *testing.T) {
	p := startPair(t, "message_timeout 50ms", "")
	ask := func(peer *handlertest.Peer) {
		t.Helper()
		peer.SendRaw(sized(peer, 500, false))
		peer.Expect("SIP/2.0 200")
	}
	begin := func(peer *handlertest.Peer) (rest []byte) {
		text := sized(peer, 500, false)
		peer.SendRaw(text[:100])
		return text[100:]
	}
	slow, late := p.at(1).TCP(), p.at(0).TCP()
	ask(late)
	rest := begin(slow)
	p.counts(1, "message_timeout", func() {
		begin(late)
		late.Closed()
	})
	slow.SendRaw(rest)
	slow.Expect("SIP/2.0 200")

	p.Load(p.caddyfile([]string{"idle_timeout none", "idle_timeout 50ms\nmessage_timeout 1h"}))
	late = p.at(0).TCP()
	rest = begin(late)
	ask(slow)
	p.counts(1, "idle_timeout", func() { slow.Closed() })
	late.SendRaw(rest)
	late.Expect("SIP/2.0 200")
}

func TestLimitConnections(t *testing.T) {
	p := startPair(t, "connections 2", "connections_per_source 3")
	try := func(i int) {
		t.Helper()
		peer := p.at(i).TCP()
		peer.SendRaw(sized(peer, 500, false))
		peer.Expect("SIP/2.0 200")
	}
	refuse := func(i int, reason string) {
		t.Helper()
		p.counts(1, reason, func() { p.at(i).TCP().Closed() })
	}
	try(0)
	try(0)
	refuse(0, "connections")
	for range 3 {
		try(1)
	}
	refuse(1, "source_connection")
	p.Load(p.caddyfile([]string{"connections 3", "connections_per_source 2"}))
	try(0)
	refuse(0, "connections")
	refuse(1, "source_connection")
	// The connections of all of a server's addresses count together.
	p.Load(servers(fmt.Sprintf("%s, tcp/%s", p.addrs[0], p.addrs[1]), "limits {\n connections 7\n}\ntransact"))
	try(0)
	refuse(1, "connections")
	refuse(0, "connections")
}

func TestLimitTransactions(t *testing.T) {
	p := startPair(t, "transactions 2", "transactions 10")
	full := func() float64 { return p.Metric("caddy_sip_transaction_events_total", "event=full") }
	before := full()
	a, b := p.at(0).UDP(), p.at(1).UDP()
	try := func(peer *handlertest.Peer, n int) (first []byte) {
		t.Helper()
		for i := range n {
			text := sized(peer, 400, false)
			peer.SendRaw(text)
			peer.Expect("SIP/2.0 200")
			if i == 0 {
				first = text
			}
		}
		return first
	}
	refuse := func(peer *handlertest.Peer) {
		t.Helper()
		peer.SendRaw(sized(peer, 400, false))
		if m := peer.Expect("SIP/2.0 503"); m.Header("Retry-After") == "" {
			t.Errorf("it says nothing about when to come again:\n%s", m.Text)
		}
	}
	first := try(a, 2)
	refuse(a)
	a.SendRaw(first) // what is held is served
	a.Expect("SIP/2.0 200")
	a.Nothing() // and so is what needs no transaction
	try(b, 1)
	p.Load(p.caddyfile([]string{"transactions 5", "transactions 4"}))
	try(b, 1)
	refuse(b)
	try(a, 1)
	refuse(a)
	if got := full() - before; got != 3 {
		t.Errorf("%v refusals were counted", got)
	}
	if n := inside.AppOf(p.App()).Engine.Transactions.Len(); n != 5 {
		t.Errorf("%d transactions", n)
	}
}

func TestLimitsValidate(t *testing.T) {
	for limits, want := range map[string]string{
		`{"datagram": 255}`:              "server s: limits: datagram 255: it must be 256 to 65536 bytes",
		`{"datagram": 65537}`:            "limits: datagram 65537: it must be 256 to 65536 bytes",
		`{"message": -1}`:                "limits: message -1: it must be 256 to 65536 bytes",
		`{"headers": 7}`:                 "limits: headers 7: it must be 8 to 240",
		`{"headers": 241}`:               "limits: headers 241: it must be 8 to 240",
		`{"connections": -1}`:            "limits: connections -1: it must be at least 1",
		`{"connections_per_source": -5}`: "limits: connections_per_source -5: it must be at least 1",
		`{"transactions": -1}`:           "limits: transactions -1: it must be at least 1",
		`{"message_timeout": "-1s"}`:     "limits: message_timeout -1s and idle_timeout 0s must not be negative",
		`{"idle_timeout": "-1s"}`:        "must not be negative",
		`{"conections": 5}`:              "conections",
	} {
		_, err := moduletest.Load(t, `{"servers": {"s": {"listen": ["127.0.0.1:5060"], "limits": `+limits+`}}}`)
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want %s", limits, err, want)
		}
	}
}
