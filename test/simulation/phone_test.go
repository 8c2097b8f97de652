package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/test/simnet"
)

const (
	t1      = 500 * time.Millisecond
	t2      = 4 * time.Second
	timeout = 64 * t1
	expires = 180 * time.Second
)

// phone is a phone with one line. What it does is decided by chance; everything it does is done
// with the world's lock.
type phone struct {
	w    *world
	n    int
	user string
	host *simnet.Host
	luck *rand.Rand
	nat  bool // its Contact is an address that nobody else can reach

	sock   *simnet.UDPConn // nil while it is off
	port   uint16
	callID string // of its registration
	cseq   int
	ids    int

	wants   bool               // to be registered
	asking  *client            // the latest REGISTER
	next    *time.Duration     // what to ask for when that has ended
	clients map[string]*client // by branch
	servers map[string]string  // the latest response, by branch and method
	calls   []*call
	shows   map[string]buttons.Button
}

// client is a client transaction.
type client struct {
	p        *phone
	sock     *simnet.UDPConn // that it was sent from
	request  string
	method   string
	interval time.Duration
	proceed  bool // a provisional response has come
	over     bool
	sent     time.Time
	final    func(m *message) // nil when there is none in time
	early    func(m *message)
}

func (p *phone) id() string {
	p.ids++
	return fmt.Sprintf("%d-%d", p.n, p.ids)
}

func (p *phone) addr() netip.AddrPort { return netip.AddrPortFrom(p.host.Addr(), p.port) }

// contact is where the phone says that it is.
func (p *phone) contact(params string) string {
	host := p.addr().String()
	if p.nat {
		host = fmt.Sprintf("10.0.0.%d:5060", p.n)
	}
	return "<sip:" + p.user + "@" + host + params + ">"
}

// on turns the phone on, at a port that nobody has had.
func (p *phone) on() {
	p.port++
	sock, err := p.host.ListenUDP(p.addr())
	if err != nil {
		panic(err)
	}
	p.sock = sock
	p.w.oracle.owns(p.addr(), p.user)
	go p.receive(sock)
}

// off turns it off, without a word.
func (p *phone) off() {
	if p.sock != nil {
		p.sock.Close()
		p.sock = nil
	}
}

// boot turns it on as one that knows nothing.
func (p *phone) boot() {
	p.off()
	p.on()
	for _, c := range p.clients {
		c.over = true
	}
	p.clients, p.servers = map[string]*client{}, map[string]string{}
	p.calls, p.shows = nil, map[string]buttons.Button{}
	p.callID, p.cseq = p.id(), 0
	p.wants = true
	p.register(expires)
}

func (p *phone) receive(sock *simnet.UDPConn) {
	buf := make([]byte, 64<<10)
	for {
		n, _, _, err := sock.ReadDatagram(buf)
		if err != nil {
			return
		}
		p.w.mu.Lock()
		if p.sock == sock {
			p.handle(parse(string(buf[:n])))
		}
		p.w.mu.Unlock()
	}
}

func (p *phone) send(raw string) {
	if p.sock != nil {
		_ = p.sock.WriteDatagram([]byte(raw), p.w.server.Addr, netip.AddrPort{})
	}
}

// later calls f with the lock, unless the phone has been turned off meanwhile.
func (p *phone) later(d time.Duration, f func()) {
	sock := p.sock
	p.w.after(d, func() {
		if p.sock == sock && sock != nil {
			f()
		}
	})
}

func (p *phone) via(branch string) string {
	return "Via: SIP/2.0/UDP " + p.addr().String() + ";branch=" + branch + ";rport"
}

// ask sends a request and sends it again until there is an answer.
func (p *phone) ask(c *client, branch string) {
	c.p, c.sock, c.interval, c.sent = p, p.sock, t1, time.Now()
	p.clients[branch] = c
	p.send(c.request)
	p.again(c)
	p.w.after(timeout, func() {
		if !c.over && (c.method != "INVITE" || !c.proceed) {
			p.end(c, nil)
		}
	})
}

func (p *phone) again(c *client) {
	p.later(c.interval, func() {
		if c.over || c.proceed && c.method == "INVITE" {
			return
		}
		p.send(c.request)
		if c.interval *= 2; c.method != "INVITE" || c.proceed {
			c.interval = min(c.interval, t2)
		}
		p.again(c)
	})
}

// end is the end of a client transaction.
func (p *phone) end(c *client, m *message) {
	c.over = true
	p.w.count(c.method, m)
	if m == nil && c.sock == p.sock {
		p.w.oracle.timedOut(p, c)
	}
	if c.final != nil {
		c.final(m)
	}
}

func (p *phone) handle(m *message) {
	if m.status() == 0 {
		p.serve(m)
		return
	}
	key := m.branch()
	if m.method() == "CANCEL" {
		key += "\x00cancel" // it has its INVITE's branch
	}
	c := p.clients[key]
	if c == nil || c.method != m.method() {
		return
	}
	if m.status() < 200 {
		c.proceed = true
		if c.early != nil && !c.over {
			c.early(m)
		}
		return
	}
	if c.method == "INVITE" && m.status() >= 300 {
		p.send(build("", "ACK "+parse(c.request).uri()+" SIP/2.0", "Via: "+m.get("Via"), "Max-Forwards: 70",
			"From: "+m.get("From"), "To: "+m.get("To"), "Call-ID: "+m.get("Call-ID"), "CSeq: "+fmt.Sprint(number(m))+" ACK"))
	}
	if !c.over {
		p.end(c, m)
	} else if c.method == "INVITE" && m.status() < 300 && c.final != nil {
		c.final(m) // the answer again, or another one
	}
}

func number(m *message) (n int) {
	fmt.Sscan(m.get("CSeq"), &n)
	return n
}

// register registers, or with 0 unregisters, one after the other (RFC 3261 §10.2).
func (p *phone) register(d time.Duration) {
	if p.asking != nil && !p.asking.over && p.asking.sock == p.sock {
		p.next = &d
		return
	}
	p.next = nil
	p.cseq++
	branch, from := "z9hG4bK-r"+p.id(), p.addr()
	sent := time.Now()
	c := &client{method: "REGISTER"}
	p.asking = c
	c.request = build("", "REGISTER sip:"+p.w.domain+" SIP/2.0", p.via(branch), "Max-Forwards: 70",
		"From: <sip:"+p.user+"@"+p.w.domain+">;tag="+p.id(), "To: <sip:"+p.user+"@"+p.w.domain+">", "Call-ID: "+p.callID,
		fmt.Sprintf("CSeq: %d REGISTER", p.cseq),
		"Contact: "+p.contact("")+fmt.Sprintf(`;+sip.instance="<urn:uuid:00000000-0000-4000-8000-%012d>";reg-id=1`, p.n),
		"Supported: path, outbound",
		fmt.Sprintf("Expires: %d", int(d.Seconds())), "User-Agent: snom370/8.7.5.48")
	cseq, callID := p.cseq, p.callID
	c.final = func(m *message) {
		if p.callID != callID || p.cseq != cseq {
			return // another one has been sent meanwhile
		}
		if next := p.next; next != nil {
			defer p.register(*next)
		}
		if m != nil && m.status() == 200 {
			p.w.oracle.registered(p, from, d, sent)
			if d > 0 {
				p.later(d/2, func() {
					if p.wants && p.callID == callID && p.cseq == cseq {
						p.register(expires)
					}
				})
			}
			return
		}
		if p.wants == (d > 0) {
			p.later(5*time.Second, func() {
				if p.callID == callID && p.cseq == cseq {
					p.register(d)
				}
			})
		}
	}
	p.w.oracle.registering(p, from, d)
	p.ask(c, branch)
}

// serve handles a request.
func (p *phone) serve(m *message) {
	method := m.method()
	key := m.branch() + method
	if last, ok := p.servers[key]; ok {
		if method != "ACK" {
			p.send(last)
		}
		return
	}
	if method == "ACK" {
		p.acknowledged(m)
		return
	}
	answer := func(status string, more ...string) {
		p.servers[key] = respond(m, status, "t"+p.id(), more...)
		p.send(p.servers[key])
	}
	switch method {
	case "MESSAGE":
		p.message(m, answer)
	case "INVITE":
		p.called(m)
	case "CANCEL":
		p.cancelled(m, answer)
	case "BYE":
		p.bye(m, answer)
	default:
		answer("200 OK")
	}
}

// message takes what a key shows.
func (p *phone) message(m *message, answer func(string, ...string)) {
	list, err := buttons.ParseDocument([]byte(m.body))
	if err != nil {
		p.w.fail("%s got a MESSAGE that it can't read: %v\n%s", p.user, err, m.body)
		answer("400 Bad Request")
		return
	}
	answer("200 OK")
	for _, b := range list {
		if param(m.uri(), "x") == "" {
			p.shows[b.Key] = b
		}
	}
}
