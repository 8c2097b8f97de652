package allowance

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"github.com/caddysip/caddysip/test/simnet"
)

// run is one server with its cast, in a bubble.
type run struct {
	t      testingT
	config configuration
	model  *model
	actors [cast]*actor

	sent     []datagram // what was sent to the server, for again and mutate
	dialogs  []seen     // what Record-Route tokens were seen with
	mu       sync.Mutex
	left     []simnet.Packet // what the server has sent; guarded by mu
	react    reaction
	depth    int
	received int    // bytes that were sent to the server
	before   int    // bytes in use before the first step
	refresh  uint32 // work of a plain refresh
	looked   looked
	lenient  bool       // nothing is judged
	heard    []*message // responses that came since this was last emptied
	worst    uint32
}

// testingT is what a run needs of a test.
type testingT interface {
	Helper()
	Fatalf(format string, args ...any)
	Logf(format string, args ...any)
}

var _ testingT = (*rapid.T)(nil)

// datagram is a message that somebody has sent.
type datagram struct {
	by   who
	tcp  bool
	data []byte
}

// seen is what an eavesdropper knows of a dialog.
type seen struct {
	callID, from, to string // the whole From and To
	routes           []string
	caller, callee   who
	contact          string
}

// settle is how long the server has for what it does at once.
const settle = time.Millisecond

// send sends bytes to the server, and checks all that comes of it.
func (r *run) send(a *actor, tcp bool, data []byte, authenticated string) {
	r.t.Helper()
	if len(data) > 65507 {
		data = data[:65507]
	}
	before, counted := Work()
	c := &cause{by: a.who, from: a.addr, tcp: tcp, m: parse(data), size: len(data), user: authenticated}
	if tcp {
		conn, err := r.stream(a)
		if err != nil {
			return // the server doesn't want it
		}
		c.from = addrPort(conn.LocalAddr())
		a.unread += len(data)
		c.size = a.unread
		r.model.in(c)
		go conn.Write(data) // it waits while the server doesn't read
	} else {
		r.model.in(c)
		if _, err := a.udp.WriteTo(data, net.UDPAddrFromAddrPort(server)); err != nil {
			r.t.Fatalf("%s sends %d bytes: %v", a, len(data), err)
		}
	}
	r.received += len(data)
	r.sent = append(r.sent, datagram{a.who, tcp, data})
	time.Sleep(settle)
	synctest.Wait()
	after, _ := Work()
	if counted {
		r.worked(c, after-before)
	}
	if tcp && r.answers(c.from) {
		a.unread = 0
	}
	r.collect()
}

// answers reports whether the server has just answered what came down a stream.
func (r *run) answers(to netip.AddrPort) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	return slices.ContainsFunc(r.left, func(p simnet.Packet) bool {
		return p.TCP && p.To == to && (bytes.HasPrefix(p.Data, []byte("SIP/2.0 ")) || string(p.Data) == "\r\n")
	})
}

// worked checks what a message has cost to compute.
func (r *run) worked(c *cause, n uint32) {
	r.t.Helper()
	r.worst = max(r.worst, n)
	if r.refresh == 0 {
		return
	}
	requests := 0
	r.mu.Lock()
	left := slices.Clone(r.left)
	r.mu.Unlock()
	for _, p := range left {
		for _, p := range messages(p) {
			if parse(p.Data).request() {
				requests++
			}
		}
	}
	if cost := float64(n) / float64(r.refresh); cost > float64(c.allowed(requests)) {
		r.t.Logf("this message of %d bytes from %s costs %.1f plain refreshes, and %d requests are sent:\n%s", c.size, c.by, cost, requests, shorten(c.m.text))
		r.t.Fatalf("a message costs more to compute than it may")
	}
}

// take returns what the server has sent since the last time.
func (r *run) take() []simnet.Packet {
	r.mu.Lock()
	defer r.mu.Unlock()
	left := r.left
	r.left = nil
	return left
}

// collect judges what the server has sent, and gives it to those whom it was sent to.
func (r *run) collect() {
	r.t.Helper()
	var left []simnet.Packet
	for _, p := range r.take() {
		left = append(left, messages(p)...)
	}
	for _, p := range left {
		if fault, detail := r.model.out(p); fault != "" && !r.lenient {
			r.t.Logf("%s", detail)
			r.t.Fatalf("%s", fault)
		}
	}
	for _, p := range left {
		r.arrive(p)
	}
}

// messages returns the messages in a segment, each as a packet.
func messages(p simnet.Packet) (all []simnet.Packet) {
	for p.TCP {
		end := bytes.Index(p.Data, []byte("\r\n\r\n"))
		if end < 0 {
			break
		}
		n, err := strconv.Atoi(parse(p.Data[:end+4]).get("content-length"))
		end += 4 + max(0, n)
		if err != nil || end >= len(p.Data) {
			break
		}
		one := p
		one.Data, p.Data = p.Data[:end:end], p.Data[end:]
		all = append(all, one)
	}
	return append(all, p)
}

// stream returns an actor's connection.
func (r *run) stream(a *actor) (net.Conn, error) {
	if a.stream != nil {
		return a.stream, nil
	}
	c, err := r.config.dial(a)
	if err != nil {
		return nil, err
	}
	a.stream, a.unread = c, 0
	go func() {
		_, _ = discard(c)
		a.stream = nil
	}()
	return c, nil
}

// arrive has an actor take a packet.
func (r *run) arrive(p simnet.Packet) {
	a := r.at(p.To)
	m := parse(p.Data)
	switch {
	case a == nil:
	case m.response():
		r.heard = append(r.heard, m)
		a.challenged(m)
		r.acknowledge(a, p.TCP, m)
	case m.request():
		r.learn(a, m)
		rec := received{m: m}
		if p.TCP {
			rec.tcp = a.stream
		}
		a.waiting = append(a.waiting, rec)
		if n := len(a.waiting); n > 20 {
			a.waiting = a.waiting[n-20:]
		}
		if m.first[0] != "ACK" {
			r.reply(a, rec)
		}
	}
}

// at returns the actor with an address.
func (r *run) at(addr netip.AddrPort) *actor {
	for _, a := range r.actors {
		if a.addr.Addr() == addr.Addr() {
			return a
		}
	}
	return nil
}

// learn keeps what an eavesdropper at the callee's sees of a new dialog.
func (r *run) learn(callee *actor, m *message) {
	routes := m.all("record-route")
	if routes == nil || m.tag("to") != "" {
		return
	}
	d := seen{callID: m.get("call-id"), from: m.get("from"), to: m.get("to") + ";tag=of-" + callee.String(), routes: routes, callee: callee.who, contact: m.get("contact")}
	for i := len(r.sent) - 1; i >= 0; i-- {
		if s := parse(r.sent[i].data); s.get("call-id") == d.callID {
			d.caller = r.sent[i].by
			break
		}
	}
	r.dialogs = append(r.dialogs, d)
}

// reply answers a request as the step says.
func (r *run) reply(a *actor, rec received) {
	if r.depth > 5 {
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	invite := rec.m.first[0] == "INVITE"
	switch r.react {
	case accept:
		if invite {
			r.respond(a, rec, 180, own, "", 0)
		}
		r.respond(a, rec, 200, own, "", 0)
	case ring:
		r.respond(a, rec, 180, own, "", 0)
	case refuse:
		r.respond(a, rec, 486, own, "", 0)
	case redirect:
		r.respond(a, rec, 302, elsewhere, "", 0)
	case demand:
		r.respond(a, rec, 401, own, `WWW-Authenticate: Digest realm="victim", nonce="n`+strconv.Itoa(a.count)+`", algorithm=MD5, qop="auth"`, 0)
	case demandProxy:
		r.respond(a, rec, 407, own, `Proxy-Authenticate: Digest realm="victim", nonce="n`+strconv.Itoa(a.count)+`", algorithm=MD5, qop="auth"`, 0)
	case flood:
		r.respond(a, rec, 200, own, "", 60000)
	case busy:
		r.respond(a, rec, 503, own, "Retry-After: 1", 0)
	}
}

// respond sends a response to a request that an actor has got, from that actor.
func (r *run) respond(a *actor, rec received, status int, contact contact, more string, body int) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %d Whatever\r\n", status)
	for _, f := range rec.m.fields {
		switch f[0] {
		case "via", "record-route", "from", "call-id", "cseq":
			fmt.Fprintf(&b, "%s: %s\r\n", f[0], f[1])
		case "to":
			if f[1] += ";tag=of-" + a.String(); rec.m.tag("to") != "" || status == 100 {
				f[1] = strings.TrimSuffix(f[1], ";tag=of-"+a.String())
			}
			fmt.Fprintf(&b, "To: %s\r\n", f[1])
		}
	}
	fmt.Fprintf(&b, "Contact: <%s>\r\n", a.contact(contact, rec.tcp != nil, 0))
	if more != "" {
		b.WriteString(more + "\r\n")
	}
	if status == 302 {
		b.WriteString("Record-Route: <sip:" + victimIP + ";lr>\r\n")
	}
	r.send(a, rec.tcp != nil, finish(&b, body), "")
}

// acknowledge sends the ACK that a caller owes a final response to INVITE.
func (r *run) acknowledge(a *actor, tcp bool, m *message) {
	if m.method() != "INVITE" || m.status() < 200 || r.depth > 5 {
		return
	}
	r.depth++
	defer func() { r.depth-- }()
	var invite *message
	for i := len(r.sent) - 1; i >= 0 && invite == nil; i-- {
		if s := parse(r.sent[i].data); s.request() && s.first[0] == "INVITE" && s.transaction() == m.transaction() {
			invite = s
		}
	}
	if invite == nil {
		return
	}
	uri, branch := invite.uri(), m.branch()
	var routes []string
	if m.status() < 300 {
		a.count++
		branch = fmt.Sprintf("z9hG4bKack%s%d", a, a.count)
		routes = m.all("record-route")
		if c := m.uris("contact"); c != nil {
			uri = c[0]
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "ACK %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=%s;rport\r\nMax-Forwards: 70\r\n", uri, transport(tcp), a.addr, branch)
	for i := len(routes) - 1; i >= 0; i-- {
		fmt.Fprintf(&b, "Route: %s\r\n", routes[i])
	}
	number, _, _ := strings.Cut(m.get("cseq"), " ")
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s ACK\r\n", m.get("from"), m.get("to"), m.get("call-id"), number)
	r.send(a, tcp, finish(&b, 0), "")
}

// finish ends a message with a body of so many bytes.
func finish(b *strings.Builder, body int) []byte {
	fmt.Fprintf(b, "Content-Length: %d\r\n\r\n%s", body, strings.Repeat("b", body))
	return []byte(b.String())
}

func transport(tcp bool) string {
	if tcp {
		return "TCP"
	}
	return "UDP"
}

// contact returns the i-th URI for a place, as an actor writes it.
func (a *actor) contact(c contact, tcp bool, i int) string {
	user, suffix := a.user(), ""
	if i > 0 {
		user += "-" + strconv.Itoa(i)
	}
	if tcp {
		suffix = ";transport=tcp"
	}
	switch c {
	case ownPort:
		return fmt.Sprintf("sip:%s@%s:%d%s", user, a.addr.Addr(), 5070+i, suffix)
	case elsewhere:
		return fmt.Sprintf("sip:%s@%s:%d", user, victimIP, 5060+i)
	case elsewhereIn:
		return fmt.Sprintf("sip:%s@%s:%d;transport=tcp", user, victimIP, 5060+i)
	case byName:
		return "sip:" + user + "@many.example"
	case atPhone:
		return fmt.Sprintf("sip:%s@%s", user, casting[phone2].addr)
	case atServer:
		return fmt.Sprintf("sip:%s@%s", user, server)
	}
	return fmt.Sprintf("sip:%s@%s%s", user, a.addr, suffix)
}

// request makes one outside a dialog. The credentials, if any, are for the latest challenge.
func (r *run) request(a *actor, s *step, method, uri string, authorize bool) ([]byte, string) {
	a.count++
	from := s.As
	if from == "" {
		from = a.user()
	}
	to := uri
	callID := fmt.Sprintf("%s-%s", a, method)
	if s.New || method != "REGISTER" {
		callID += strconv.Itoa(a.count)
	}
	if s.CallID > 0 {
		callID += strings.Repeat("i", s.CallID)
	}
	if method == "REGISTER" {
		uri = "sip:" + serverIP
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%d;rport\r\n", method, uri, transport(s.TCP), a.addr, a, a.count)
	if !strings.HasPrefix(extras[s.Extra], "Max-Forwards") {
		b.WriteString("Max-Forwards: 70\r\n")
	}
	fmt.Fprintf(&b, "From: <sip:%s@%s>;tag=tag-%s\r\nTo: <%s>\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", from, serverIP, a, to, callID, a.count, method)
	for _, v := range r.routeOf(s) {
		fmt.Fprintf(&b, "Route: %s\r\n", v)
	}
	r.contactsOf(&b, a, s, method)
	agent := "Tester/1.0"
	if s.Snom {
		agent = "snomD785/10.1.175.16"
	}
	fmt.Fprintf(&b, "User-Agent: %s%s\r\n", agent, strings.Repeat("u", s.Agent))
	if extras[s.Extra] != "" {
		b.WriteString(extras[s.Extra] + "\r\n")
	}
	user := a.user()
	if s.Creds == another {
		user = "102"
	}
	if authorize {
		pass := password(user)
		if s.Creds == wrong || casting[a.who].user == "" {
			pass = "guess" // strangers know no password
		}
		b.WriteString(a.authorize(user, pass, method, uri) + "\r\n")
		if pass == "guess" || !r.config.digest {
			user = ""
		}
	} else {
		user = ""
	}
	return finish(&b, s.Body), user
}

func (r *run) contactsOf(b *strings.Builder, a *actor, s *step, method string) {
	if method != "REGISTER" {
		fmt.Fprintf(b, "Contact: <%s>\r\n", a.contact(s.Contact, s.TCP, 0))
		return
	}
	expires := s.Expires
	switch {
	case expires == 0:
		expires = 600
	case expires < 0 || s.Star:
		expires = 0
	}
	fmt.Fprintf(b, "Expires: %d\r\n", expires)
	if s.Star {
		b.WriteString("Contact: *\r\n")
		return
	}
	for i := range max(1, s.N) {
		params := ""
		for k := range s.Params {
			params += fmt.Sprintf(";%s%02d=1", strings.Repeat("a", s.Long/max(1, s.Params)), k)
		}
		if s.Params == 0 && s.Long > 0 {
			params = ";x=" + strings.Repeat("l", s.Long)
		}
		outside := ""
		if s.Inst {
			outside = fmt.Sprintf(`;+sip.instance="<urn:uuid:00000000-0000-1000-8000-%012d>";reg-id=1`, i+int(a.who)*100)
		}
		fmt.Fprintf(b, "Contact: <%s%s>%s\r\n", a.contact(s.Contact, s.TCP, i), params, outside)
		if b.Len() > 66000 {
			break
		}
	}
	if s.Path != own {
		fmt.Fprintf(b, "Supported: path\r\nPath: <%s;lr>\r\n", a.contact(s.Path, false, 0))
	}
}

// routeOf returns the values of Route.
func (r *run) routeOf(s *step) []string {
	victim := "<sip:" + victimIP + ":5060;lr>"
	var d *seen
	if len(r.dialogs) > 0 {
		d = &r.dialogs[s.Which%len(r.dialogs)]
	}
	switch {
	case s.Route == viaVictim:
		return []string{victim}
	case s.Route == viaServer:
		return []string{"<sip:" + serverIP + ";lr>", victim}
	case s.Route == strictVictim:
		return []string{"<sip:" + victimIP + ">"}
	case d == nil || s.Route == none:
		return nil
	case s.Route == recordedVictim:
		return append(d.route(s.Swap), victim)
	case s.Route == foreign:
		d = &r.dialogs[(s.Which+1)%len(r.dialogs)]
	}
	return d.route(s.Swap)
}

// route returns the dialog's route set, of the callee or of the caller.
func (d *seen) route(callee bool) (values []string) {
	for _, v := range d.routes {
		if callee {
			values = append(values, v)
		} else {
			values = append([]string{v}, values...)
		}
	}
	return values
}

// do does a step.
func (r *run) do(s step) {
	r.t.Helper()
	a := r.actors[s.Who%cast]
	r.react, r.depth = s.React, 0
	switch s.Kind {
	case register:
		s.Method = "REGISTER"
		r.asked(a, &s)
	case ask:
		r.asked(a, &s)
	case within:
		r.within(a, &s)
	case answer:
		r.answered(a, &s)
	case again:
		if n := len(r.sent); n > 0 {
			r.send(a, s.TCP, r.sent[n-1-s.Which%n].data, "")
		}
	case mutate:
		if n := len(r.sent); n > 0 {
			r.send(a, s.TCP, mutated(r.sent[n-1-s.Which%n].data, s.Seed), "")
		}
	case garbage:
		r.send(a, s.TCP, random(s.Seed, s.Body), "")
	case cancel:
		r.cancel(a, &s)
	case keepalive:
		r.send(a, s.TCP, []byte("\r\n\r\n"), "")
	}
	r.pass(s.Wait)
}

// pass has time pass, and checks what the server sends by itself.
func (r *run) pass(d time.Duration) {
	r.t.Helper()
	for end := time.Now().Add(d); time.Now().Before(end); {
		time.Sleep(min(time.Second, time.Until(end)))
		synctest.Wait()
		r.collect()
	}
}

// asked sends a request outside a dialog; if it wants credentials and there is no challenge yet, it
// gets itself one.
func (r *run) asked(a *actor, s *step) {
	method, uri := s.Method, targets[s.To]
	if a.challenge == "" && s.Creds != without && r.config.digest {
		data, _ := r.request(a, &step{TCP: s.TCP}, "OPTIONS", "sip:"+serverIP, false)
		r.send(a, s.TCP, data, "")
	}
	data, user := r.request(a, s, method, uri, s.Creds != without && a.challenge != "")
	r.send(a, s.TCP, data, user)
}

// within sends a request within a dialog that was seen.
func (r *run) within(a *actor, s *step) {
	if len(r.dialogs) == 0 {
		return
	}
	d := &r.dialogs[s.Which%len(r.dialogs)]
	from, to := d.from, d.to
	if s.Swap {
		from, to = to, from
	}
	a.count++
	uri := targets[s.To]
	if s.Contact == own {
		uri = r.actors[d.callee].contact(own, false, 0)
		if s.Swap {
			uri = r.actors[d.caller].contact(own, false, 0)
		}
	}
	var b strings.Builder
	fmt.Fprintf(&b, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK%s%d;rport\r\nMax-Forwards: 70\r\n", s.Method, uri, transport(s.TCP), a.addr, a, a.count)
	fmt.Fprintf(&b, "From: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %d %s\r\n", from, to, d.callID, 100+a.count, s.Method)
	for _, v := range r.routeOf(s) {
		fmt.Fprintf(&b, "Route: %s\r\n", v)
	}
	fmt.Fprintf(&b, "Contact: <%s>\r\n", a.contact(own, s.TCP, 0))
	if extras[s.Extra] != "" {
		b.WriteString(extras[s.Extra] + "\r\n")
	}
	r.send(a, s.TCP, finish(&b, s.Body), "")
}

// answered sends a response to a request that waits: the actor's own, or somebody else's.
func (r *run) answered(a *actor, s *step) {
	waiting := a.waiting
	if s.Seed%4 == 3 || len(waiting) == 0 {
		waiting = nil
		for _, other := range r.actors {
			waiting = append(waiting, other.waiting...)
		}
	}
	if len(waiting) == 0 {
		return
	}
	rec := waiting[s.Which%len(waiting)]
	if s.TCP {
		rec.tcp = a.stream
	}
	r.respond(a, rec, s.Status, s.Contact, extras[s.Extra], s.Body)
}

// cancel sends a CANCEL for an INVITE that was sent, as whoever sent it would.
func (r *run) cancel(a *actor, s *step) {
	n := 0
	for i := len(r.sent) - 1; i >= 0; i-- {
		m := parse(r.sent[i].data)
		if !m.request() || m.first[0] != "INVITE" {
			continue
		}
		if n++; n <= s.Which%4 {
			continue
		}
		number, _, _ := strings.Cut(m.get("cseq"), " ")
		var b strings.Builder
		fmt.Fprintf(&b, "CANCEL %s SIP/2.0\r\nVia: %s\r\nMax-Forwards: 70\r\nFrom: %s\r\nTo: %s\r\nCall-ID: %s\r\nCSeq: %s CANCEL\r\n",
			m.uri(), m.get("via"), m.get("from"), m.get("to"), m.get("call-id"), number)
		r.send(a, s.TCP, finish(&b, 0), "")
		return
	}
}

// mutated returns a message with a few changes.
func mutated(data []byte, seed uint64) []byte {
	chance := rand.New(rand.NewPCG(seed, 0))
	b := bytes.Clone(data)
	for range 1 + chance.IntN(4) {
		if len(b) < 2 {
			break
		}
		i := chance.IntN(min(len(b)-1, 600))
		switch chance.IntN(5) {
		case 0:
			b[i] = byte(chance.IntN(256))
		case 1:
			b = append(b[:i:i], b[i+1:]...)
		case 2:
			n := min(len(b)-i, chance.IntN(200))
			b = bytes.Join([][]byte{b[:i], b[i : i+n], b[i:]}, nil)
		case 3: // a line twice
			lines := bytes.SplitAfter(b, []byte("\r\n"))
			k := chance.IntN(len(lines))
			lines = append(lines[:k:k], append([][]byte{lines[k]}, lines[k:]...)...)
			b = bytes.Join(lines, nil)
		case 4:
			b = bytes.Replace(b, []byte(serverIP), []byte(victimIP), 1)
		}
	}
	return b
}

// random returns bytes that are no message, or begin like one.
func random(seed uint64, n int) []byte {
	chance := rand.New(rand.NewPCG(seed, 1))
	b := make([]byte, max(1, n))
	for i := range b {
		b[i] = byte(chance.Uint32())
	}
	switch chance.IntN(4) {
	case 0:
		return append([]byte("INVITE sip:101@"+serverIP+" SIP/2.0\r\nVia: "), b...)
	case 1:
		line := "Via: SIP/2.0/UDP " + victimIP + ";branch=z9hG4bK1\r\n"
		return []byte("OPTIONS sip:101@" + serverIP + " SIP/2.0\r\n" + strings.Repeat(line, n/len(line)) + "\r\n")
	case 2:
		return bytes.Repeat([]byte("a: b\r\n"), n/6+1)
	}
	return b
}

// addrPort returns the address that a net.Addr is.
func addrPort(a net.Addr) netip.AddrPort {
	switch a := a.(type) {
	case *net.TCPAddr:
		return unmap(a.AddrPort())
	case *net.UDPAddr:
		return unmap(a.AddrPort())
	}
	return netip.AddrPort{}
}

func unmap(a netip.AddrPort) netip.AddrPort { return netip.AddrPortFrom(a.Addr().Unmap(), a.Port()) }

var repeated = regexp.MustCompile(strings.Repeat("[bgilnu]", 30) + "+")

// shorten shows the beginning of a text, and long runs of one letter by their length.
func shorten(text string) string {
	text = repeated.ReplaceAllStringFunc(text, func(run string) string { return fmt.Sprintf("%s…(%d)", run[:3], len(run)) })
	if len(text) > 1500 {
		return text[:1500] + fmt.Sprintf("… (%d bytes)", len(text))
	}
	return text
}
