package allowance

import (
	"fmt"
	"net/netip"
	"strings"
	"time"

	"github.com/caddysip/caddysip/test/simnet"
)

// model knows from the messages alone who may be sent what: who has registered from where, what is
// configured, whom an authenticated user has named, and who is at the two ends of which call.
type model struct {
	config    configuration
	causes    []*cause
	places    map[netip.AddrPort]map[string]time.Time // where somebody has registered, as whom, and until when
	calls     map[string]*call                        // by Call-ID and the caller's tag
	groups    map[string]*group                       // by transaction
	asked     map[string]netip.AddrPort               // where the server's requests went, by branch
	validated map[netip.AddrPort]bool                 // who receives what is sent there
}

// cause is a message that was sent to the server.
type cause struct {
	by   who
	from netip.AddrPort
	tcp  bool
	m    *message
	size int
	user string // who has authenticated with it; "": nobody
	sender
	group *group
	at    time.Time
}

// call is a dialog that was begun through the server, and its two ends.
type call struct {
	caller  netip.AddrPort
	callees map[netip.AddrPort]bool
	over    time.Time // when it has ended; zero: it has not
}

// group is the messages of one transaction, on both sides of the server.
type group struct {
	causes  []*cause
	answers int // responses that came for it
	sent    map[sending]int
}

// forwarded reports whether the server has sent a request of the transaction on.
func (g *group) forwarded() bool {
	for s := range g.sent {
		if !s.response {
			return true
		}
	}
	return false
}

// sending is what is counted.
type sending struct {
	to       netip.AddrPort
	response bool
	method   string
	uri      string // of a request: a phone may have several contacts at one address
}

const (
	// linger is how long the server may go on with what has ended: no transaction outlives it
	// (64*T1, and a second).
	linger = 33 * time.Second
)

func newModel(c configuration) *model {
	return &model{config: c, places: make(map[netip.AddrPort]map[string]time.Time), calls: make(map[string]*call), groups: make(map[string]*group),
		asked: make(map[string]netip.AddrPort), validated: make(map[netip.AddrPort]bool)}
}

func (o *model) group(key string) *group {
	g, ok := o.groups[key]
	if !ok {
		g = &group{sent: make(map[sending]int)}
		o.groups[key] = g
	}
	return g
}

// in takes note of a message to the server.
func (o *model) in(c *cause) {
	c.at = time.Now()
	o.causes = append(o.causes, c)
	switch {
	case c.user != "":
		c.sender = authenticated
		o.validated[c.from] = true
	case o.config.trusts(c.from.Addr()):
		c.sender = trusted
	case o.registered(c.from):
		c.sender = registered
	}
	if c.m.response() && o.asked[c.m.branch()] == c.from {
		o.validated[c.from] = true
	}
	c.group = o.group(c.m.transaction())
	if c.m.response() {
		c.group.answers++
		return
	}
	c.group.causes = append(c.group.causes, c)
}

// out judges a packet that the server has sent. It returns what is wrong with it, in words that
// don't change from run to run, and the packet.
func (o *model) out(p simnet.Packet) (fault, detail string) {
	m := parse(p.Data)
	g := o.group(m.transaction())
	switch {
	case p.TCP && len(p.Data) == 0:
		fault = o.dials(p.To)
	case m.response():
		g, fault = o.responds(p, m)
	case m.request():
		fault = o.requests(p, m)
	case strings.Trim(string(p.Data), "\r\n\x00") == "":
		if !p.TCP && !o.registered(p.To) {
			fault = "a keep-alive to an address that nobody registered from"
		}
	default:
		return "", "" // more of what one write did not take
	}
	if fault == "" {
		fault = o.count(g, p, m)
	}
	if fault == "" {
		return "", ""
	}
	kind := "datagram"
	if p.TCP {
		kind = "segment"
	}
	return fault, fmt.Sprintf("a %s of %d bytes to %s:\n%s", kind, len(p.Data), p.To, shorten(m.text))
}

// registered reports whether somebody has registered from an address.
func (o *model) registered(a netip.AddrPort) bool {
	for _, until := range o.places[a] {
		if time.Now().Before(until) {
			return true
		}
	}
	return false
}

// dials judges that the server connects to an address.
func (o *model) dials(to netip.AddrPort) string {
	if o.registered(to) || o.config.has(to) || o.atEnd(to) {
		return ""
	}
	for _, c := range o.causes {
		if time.Since(c.at) < linger && o.named(c, to) {
			return ""
		}
	}
	return "the server connects to an address that neither registered, nor is configured, nor was named by a user"
}

// atEnd reports whether an address is at the end of a call that goes on.
func (o *model) atEnd(a netip.AddrPort) bool {
	for _, c := range o.calls {
		if c.on() && (c.caller == a || c.callees[a]) {
			return true
		}
	}
	return false
}

func (c *call) on() bool { return c.over.IsZero() || time.Since(c.over) < linger }

// responds judges a response: it must go where its request came from. It returns the transaction's
// messages.
func (o *model) responds(p simnet.Packet, m *message) (*group, string) {
	for i := len(o.causes) - 1; i >= 0; i-- {
		c := o.causes[i]
		if c.m.response() || (c.m.first[0] == "CANCEL") != (m.method() == "CANCEL") || c.tcp != p.TCP || c.from.Addr() != p.To.Addr() || !strings.Contains(c.m.text, m.branch()) {
			continue
		}
		if c.from.Port() == p.To.Port() || !c.tcp && (place{host: p.To.Addr().String(), port: p.To.Port()}).is(c.m.sentBy()) {
			o.answered(c, p, m)
			if len(p.Data) > o.longest(c, m) {
				return c.group, "a response that is longer than its request allows"
			}
			return c.group, ""
		}
	}
	return nil, "a response to an address that its request did not come from"
}

// longest returns how long a response of the server's own may be; what was relayed is as long as it
// was made.
func (o *model) longest(c *cause, m *message) int {
	switch {
	case c.group.answers > 0:
		return 1 << 20
	case m.status() == 401 || m.status() == 407:
		return c.size + 200 + 400
	case m.method() == "REGISTER" && m.status()/100 == 2:
		if c.tcp || o.validated[c.from] {
			return 1 << 20
		}
		return c.size + 200 + max(1<<10, c.size)
	}
	return c.size + 200
}

// is reports whether a sent-by names the place's port.
func (p place) is(sentBy string) bool {
	_, port, ok := strings.Cut(sentBy, ":")
	if i := strings.IndexFunc(port, func(c rune) bool { return c < '0' || c > '9' }); i > 0 {
		port = port[:i] // what follows is malformed
	}
	return ok && port == fmt.Sprint(p.port) || !ok && p.port == 5060
}

// answered takes note of what a response has done.
func (o *model) answered(c *cause, p simnet.Packet, m *message) {
	switch method := m.method(); {
	case method == "REGISTER" && m.status()/100 == 2:
		o.registers(c, m)
	case method == "BYE" && m.status() >= 200 && c.group.forwarded():
		o.ends(m)
	case method == "INVITE" && m.status() >= 300 && m.tag("to") != "" && c.m.tag("to") == "":
		o.ends(m)
	case (method == "SUBSCRIBE" || method == "REFER" || method == "NOTIFY") && m.status() >= 300 && c.m.tag("to") == "":
		o.ends(m)
	}
}

func (o *model) ends(m *message) {
	for _, tag := range []string{m.tag("from"), m.tag("to")} {
		if call, ok := o.calls[m.get("call-id")+" "+tag]; ok && call.over.IsZero() {
			call.over = time.Now()
		}
	}
}

// lifetime is the longest that a registration lasts.
const lifetime = 7200 * time.Second

// registers takes note of where somebody may be sent requests from now on: where the REGISTER came
// from, on the same host the port that its Contact names, and the trusted neighbours in a Path that
// came from one. Removed bindings count for a while.
func (o *model) registers(c *cause, m *message) {
	user := c.m.get("to")
	if len(m.all("contact")) == 0 {
		for _, users := range o.places {
			if until, ok := users[user]; ok && time.Until(until) > linger {
				users[user] = time.Now().Add(linger)
			}
		}
		return
	}
	o.place(c.from, user)
	trusted := o.config.trusts(c.from.Addr())
	for _, field := range []string{"contact", "path"} {
		for _, uri := range c.m.uris(field) {
			for _, pl := range placesOf(uri) {
				a, ok := pl.addr()
				if ok && (field == "contact" && a.Addr() == c.from.Addr() || field == "path" && trusted && o.config.trusts(a.Addr())) {
					o.place(a, user)
				}
			}
		}
	}
}

func (o *model) place(a netip.AddrPort, user string) {
	if o.places[a] == nil {
		o.places[a] = make(map[string]time.Time)
	}
	o.places[a][user] = time.Now().Add(lifetime)
}

// requests judges a request that the server sends.
func (o *model) requests(p simnet.Packet, m *message) string {
	o.asked[m.branch()] = p.To
	key := m.transaction()
	if m.first[0] == "ACK" || m.first[0] == "CANCEL" {
		key = m.invitation()
	}
	g := o.group(key)
	if own := o.group(m.transaction()); own != g {
		g = &group{causes: append(own.causes[:len(own.causes):len(own.causes)], g.causes...)}
	}
	if len(g.causes) == 0 {
		return o.originates(p, m)
	}
	for _, c := range g.causes {
		if o.registered(p.To) || o.config.has(p.To) || o.named(c, p.To) || o.withinCall(c, p.To) {
			o.begins(c, p.To)
			return ""
		}
	}
	return "a request to an address that neither registered, nor is configured, nor was named by the request's user"
}

// hasCalled reports whether somebody has just called whom a lamp's MESSAGE is in the name of.
func (o *model) hasCalled(from netip.AddrPort, to string) bool {
	for _, c := range o.causes {
		if c.from == from && c.m.request() && c.m.first[0] == "INVITE" && c.m.get("to") == to && time.Since(c.at) < linger {
			return true
		}
	}
	return false
}

// originates judges a request of the server's own: keys for phones that have registered, and the
// lamp of a phone that calls.
func (o *model) originates(p simnet.Packet, m *message) string {
	if o.registered(p.To) {
		return ""
	}
	for _, c := range o.causes {
		if c.from == p.To && c.m.request() && c.m.first[0] == "INVITE" && m.first[0] == "MESSAGE" && time.Since(c.at) < linger {
			return ""
		}
	}
	return "a request of the server's own to an address that neither registered nor asked"
}

// named reports whether an authenticated user has named an address in a request.
func (o *model) named(c *cause, to netip.AddrPort) bool {
	if c.user == "" || !c.m.request() {
		return false
	}
	uris := append(c.m.uris("route"), c.m.uri())
	for _, uri := range uris {
		for _, pl := range placesOf(uri) {
			if a, ok := pl.addr(); ok && a == to {
				return true
			}
			for _, ip := range names[strings.ToLower(strings.TrimSuffix(pl.host, "."))+"."] {
				if a, _ := (place{ip, pl.port}).addr(); a == to {
					return true
				}
			}
		}
	}
	return false
}

// begins takes note of the two ends of a dialog.
func (o *model) begins(c *cause, to netip.AddrPort) {
	switch c.m.first[0] {
	case "INVITE", "SUBSCRIBE", "REFER", "NOTIFY":
		if c.m.tag("to") != "" {
			return
		}
		key := c.m.get("call-id") + " " + c.m.tag("from")
		d, ok := o.calls[key]
		if !ok || !d.on() {
			d = &call{caller: c.from, callees: make(map[netip.AddrPort]bool)}
			o.calls[key] = d
		}
		d.callees[to] = true
	}
}

// withinCall reports whether a request comes from one end of a call that goes on, or from somebody
// there who has moved and shows who it is, and leads to the other.
func (o *model) withinCall(c *cause, to netip.AddrPort) bool {
	if c.m.tag("to") == "" {
		return false
	}
	id := c.m.get("call-id") + " "
	if d := o.calls[id+c.m.tag("from")]; d != nil && d.on() && d.callees[to] && o.speaksFor(c, d.caller) {
		return true
	}
	d := o.calls[id+c.m.tag("to")]
	if d == nil || !d.on() || d.caller != to {
		return false
	}
	for callee := range d.callees {
		if o.speaksFor(c, callee) {
			return true
		}
	}
	return false
}

// speaksFor reports whether a message comes from the end of a call, or from somebody who is
// believed to be there now.
func (o *model) speaksFor(c *cause, end netip.AddrPort) bool {
	return c.from.Addr() == end.Addr() || c.sender != stranger
}

// count counts what was sent because of the messages of a transaction, and says when it is too
// much.
func (o *model) count(g *group, p simnet.Packet, m *message) string {
	if p.TCP && len(p.Data) == 0 {
		return ""
	}
	if !m.request() && !m.response() {
		return ""
	}
	s := sending{to: p.To, response: m.response(), method: m.method()}
	if m.request() {
		s.uri = m.uri()
	}
	g.sent[s]++
	if most, why := o.most(g, p, m); g.sent[s] > most {
		return fmt.Sprintf("more packets to an address than the messages allow: %s", why)
	}
	return ""
}
