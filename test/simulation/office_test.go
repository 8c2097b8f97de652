package simulation

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/test/simtest"
)

var officeDays = flag.Float64("office.days", 0.1, "how many simulated days the office is open")

const (
	officePhones  = 50
	officeExpires = 600 * time.Second
	natForgets    = time.Minute // a mapping that nothing has come through
	rings         = time.Second // within which a phone is called
	showsWithin   = 2 * time.Second
)

// office is fifty phones behind one NAT that forgets. They restart, lose power, move to another
// address, and lose their mappings; meanwhile they call each other, and what their keys show is
// changed all the time.
//
// A phone is up while the server could reach it: it has registered, by the mapping that it still
// has. Whatever happened to it before, each call to it then arrives once, within a second; what is
// to be shown is shown within two; and it is registered once, as it is now.
type office struct {
	t      *testing.T
	server *simtest.Server
	start  time.Time
	luck   *rand.Rand

	mu    sync.Mutex // of all that follows
	nat   *simnet.Host
	desks []*desk
	rung  map[string]map[*desk]int // who got the INVITE of a call, by Call-ID
	want  map[string]string        // labels, by "user/key"
	set   map[string]time.Time     // since when
	over  bool
	fails int
	done  map[string]int
}

// desk is a phone of the office.
type desk struct {
	o       *office
	n       int
	user    string
	powered bool
	boots   int
	inside  string // the address that it knows of itself
	port    int
	callID  string
	cseq    int

	mapping    *simnet.UDPConn // in the NAT
	used       time.Time       // when something last came through it
	registered *simnet.UDPConn // the mapping that it has registered by
	reachable  time.Time       // since when it has been registered by it
	shows      map[string]string
	final      map[string]func(m *message) // by branch
}

// TestOffice runs the office, as it says at office. The week that docs/simulation.md tells of is
// -office.days=7.
func TestOffice(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		net := simnet.New(1)
		net.SetPaths(simnet.Path{Delay: 3 * time.Millisecond, Jitter: 4 * time.Millisecond})
		o := &office{t: t, start: time.Now(), luck: net.Seeded("office"), nat: net.Host("203.0.113.1"),
			rung: map[string]map[*desk]int{},
			want: map[string]string{}, set: map[string]time.Time{}, done: map[string]int{}}
		host := net.Host("192.0.2.10")
		o.server = simtest.Quiet(t, host, simtest.Caddyfile(host, "domain example.com",
			"keepalive 25s\nregister\nproxy"))
		o.mu.Lock()
		for i := range officePhones {
			d := &desk{o: o, n: i + 1, user: fmt.Sprint(101 + i)}
			o.desks = append(o.desks, d)
			o.after(o.upTo(5*time.Minute), func() { d.boot(); d.lives() })
		}
		o.after(5*time.Minute, o.calls)
		o.after(5*time.Minute, o.changes)
		o.after(5*time.Minute, o.checks)
		o.mu.Unlock()
		chance := net.Seeded("trouble")
		for end := o.start.Add(time.Duration(*officeDays * 24 * float64(time.Hour))); time.Now().Before(end); {
			time.Sleep(time.Duration(chance.Int64N(int64(6 * time.Hour))))
			if chance.IntN(2) == 0 {
				o.natRestarts()
			} else if err := o.server.Reload(); err != nil {
				t.Error(err)
			}
		}
		o.mu.Lock()
		o.over = true
		for _, d := range o.desks {
			d.drop()
		}
		t.Logf("%v: %v", time.Since(o.start), o.done)
		o.mu.Unlock()
		time.Sleep(time.Minute)
	})
}

func (o *office) upTo(d time.Duration) time.Duration { return time.Duration(o.luck.Int64N(int64(d))) }

// after calls f with the lock.
func (o *office) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		o.mu.Lock()
		defer o.mu.Unlock()
		if !o.over {
			f()
		}
	})
}

func (o *office) fail(format string, args ...any) {
	if o.fails++; o.fails <= maxFailures {
		o.t.Errorf("at %v: %s", time.Since(o.start), fmt.Sprintf(format, args...))
	}
}

// natRestarts makes the NAT forget all mappings.
func (o *office) natRestarts() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.done["NAT restarted"]++
	for _, d := range o.desks {
		d.drop()
	}
}

// drop removes a phone's mapping.
func (d *desk) drop() {
	if d.mapping != nil {
		d.mapping.Close()
		d.mapping = nil
	}
}

// up reports whether the server can reach the phone.
func (d *desk) up() bool {
	return d.powered && d.mapping != nil && d.registered == d.mapping && time.Since(d.used) < natForgets
}

// lives makes something happen to the phone every few hours.
func (d *desk) lives() {
	o := d.o
	o.after(time.Minute+o.upTo(4*time.Hour), func() {
		defer d.lives()
		switch what := o.luck.IntN(6); {
		case !d.powered:
		case what < 2:
			o.done["restarted"]++
			d.boot()
		case what == 2:
			o.done["lost power"]++
			d.powered, d.registered = false, nil
			o.after(o.upTo(time.Hour), d.boot)
		case what == 3: // it goes on at another address, as from cable to Wi-Fi
			o.done["moved"]++
			d.inside = fmt.Sprintf("10.0.%d.%d", 1+o.luck.IntN(200), d.n)
			d.drop()
			d.register()
		case what == 4: // another port, of its own
			o.done["another port"]++
			d.port++
			d.drop()
			d.register()
		default:
			o.done["lost its mapping"]++
			d.drop()
		}
	})
}

// boot turns the phone on as one that knows nothing.
func (d *desk) boot() {
	d.boots++
	d.powered = true
	d.inside, d.port = fmt.Sprintf("10.0.0.%d", d.n), 1024+d.o.luck.IntN(50_000)
	d.callID, d.cseq = fmt.Sprintf("boot-%d-%d", d.n, d.boots), 0
	d.shows, d.final = map[string]string{}, map[string]func(*message){}
	d.registered = nil
	d.drop()
	d.register()
	d.refresh(d.boots)
}

// refresh registers again, until the phone is turned off.
func (d *desk) refresh(boot int) {
	d.o.after(officeExpires/2, func() {
		if d.powered && d.boots == boot {
			d.register()
			d.refresh(boot)
		}
	})
}

func (d *desk) contact() string {
	return fmt.Sprintf("<sip:%s@%s:%d;line=%d>", d.user, d.inside, d.port, d.boots)
}

func (d *desk) register() {
	boot, call := d.boots, d.callID
	first := d.cseq == 0
	d.ask("REGISTER", "sip:example.com", func(m *message) {
		if d.boots != boot || m.status() != 200 {
			return
		}
		if d.registered != d.mapping {
			d.registered, d.reachable = d.mapping, time.Now()
		}
		if first {
			d.o.after(showsWithin, func() {
				if d.boots == boot {
					d.shown("registering")
				}
			})
		}
	}, "To: <sip:"+d.user+"@example.com>", "Call-ID: "+call,
		fmt.Sprintf("Contact: %s;+sip.instance=\"<urn:uuid:00000000-0000-4000-8000-%012d>\";reg-id=1", d.contact(),
			d.n),
		fmt.Sprintf("Expires: %d", int(officeExpires.Seconds())))
}

// ask sends a request outside a dialog.
func (d *desk) ask(method, uri string, final func(*message), more ...string) (branch string) {
	d.cseq++
	branch = fmt.Sprintf("z9hG4bK-%d-%d-%d", d.n, d.boots, d.cseq)
	d.final[branch+method] = final
	d.send(build("", append([]string{
		method + " " + uri + " SIP/2.0", d.via(branch), "Max-Forwards: 70",
		"From: <sip:" + d.user + "@example.com>;tag=" + d.callID,
		fmt.Sprintf("CSeq: %d %s", d.cseq, method), "User-Agent: snomD785/10.1.184.15"}, more...)...))
	return branch
}

func (d *desk) via(branch string) string {
	return fmt.Sprintf("Via: SIP/2.0/UDP %s:%d;branch=%s;rport", d.inside, d.port, branch)
}

// send sends through the NAT, which gives the phone another port when it has forgotten the last one.
func (d *desk) send(raw string) {
	o := d.o
	if !d.powered || o.over {
		return
	}
	if d.mapping != nil && time.Since(d.used) >= natForgets {
		o.done["mapping forgotten"]++
		d.drop()
	}
	if d.mapping == nil {
		sock, err := o.nat.ListenUDP(netip.AddrPortFrom(o.nat.Addr(), 0))
		if err != nil {
			panic(err)
		}
		d.mapping = sock
		go d.receive(sock)
	}
	d.used = time.Now()
	_ = d.mapping.WriteDatagram([]byte(raw), o.server.Addr, netip.AddrPort{})
}

func (d *desk) receive(sock *simnet.UDPConn) {
	buf := make([]byte, 64<<10)
	for {
		n, _, _, err := sock.ReadDatagram(buf)
		if err != nil {
			return
		}
		text := string(buf[:n])
		d.o.mu.Lock()
		if d.mapping == sock && d.powered && time.Since(d.used) < natForgets {
			d.used = time.Now()
			if strings.TrimSpace(text) != "" {
				d.handle(parse(text))
			}
		}
		d.o.mu.Unlock()
	}
}

func (d *desk) handle(m *message) {
	if status := m.status(); status != 0 {
		key := m.branch() + m.method()
		if f := d.final[key]; f != nil && status >= 200 {
			delete(d.final, key)
			f(m)
		}
		return
	}
	answer := func(status string, more ...string) { d.send(respond(m, status, fmt.Sprint("t", d.n), more...)) }
	switch m.method() {
	case "ACK":
	case "INVITE":
		d.called(m, answer)
	case "CANCEL":
		answer("200 OK")
		if f := d.final["cancel"+m.get("Call-ID")]; f != nil {
			f(m)
		}
	case "MESSAGE":
		list, err := buttons.ParseDocument([]byte(m.body))
		if err != nil {
			d.o.fail("%s got a MESSAGE that it can't read: %v", d.user, err)
		}
		for _, b := range list {
			if b.Label != "" {
				d.shows[b.Key] = b.Label
			} else {
				delete(d.shows, b.Key)
			}
		}
		answer("200 OK")
	default:
		answer("200 OK")
	}
}

// called handles a call: the phone rings, and then is busy, answers, or waits until the caller
// gives up.
func (d *desk) called(m *message, answer func(string, ...string)) {
	o, call := d.o, m.get("Call-ID")
	if o.rung[call] == nil {
		o.rung[call] = map[*desk]int{}
	}
	o.rung[call][d]++
	answer("180 Ringing", "Contact: "+d.contact())
	over := false
	d.final["cancel"+call] = func(*message) {
		if !over {
			over = true
			answer("487 Request Terminated")
		}
	}
	what := o.luck.IntN(3)
	o.after(200*time.Millisecond+o.upTo(2*time.Second), func() {
		if over || what == 2 {
			return
		}
		over = true
		if what == 0 {
			answer("486 Busy Here")
		} else {
			answer("200 OK", "Contact: "+d.contact())
		}
	})
	o.after(time.Minute, func() { delete(d.final, "cancel"+call) })
}

// calls has somebody call somebody, again and again.
func (o *office) calls() {
	o.after(o.upTo(20*time.Second), o.calls)
	a, b := o.desks[o.luck.IntN(officePhones)], o.desks[o.luck.IntN(officePhones)]
	if !a.powered || a == b {
		return
	}
	call := fmt.Sprintf("call-%d-%d-%d", a.n, a.boots, a.cseq)
	uri := "sip:" + b.user + "@example.com"
	up, boot, mapping := b.up(), b.boots, b.mapping
	var branch string
	branch = a.ask("INVITE", uri, func(m *message) {
		ack := build("", "ACK "+uri+" SIP/2.0", a.via(branch), "Max-Forwards: 70", "From: "+m.get("From"),
			"To: "+m.get("To"),
			"Call-ID: "+call, fmt.Sprintf("CSeq: %d ACK", number(m)))
		if m.status() >= 300 {
			a.send(ack)
			return
		}
		target := uriOf(m.get("Contact"))
		lines := func(method string, cseq int) string {
			all := []string{method + " " + target + " SIP/2.0", a.via(branch + method), "Max-Forwards: 70",
				"From: " + m.get("From"), "To: " + m.get("To"),
				"Call-ID: " + call, fmt.Sprintf("CSeq: %d %s", cseq, method)}
			for _, r := range m.all("Record-Route") {
				all = append(all, "Route: "+r)
			}
			return build("", all...)
		}
		a.send(lines("ACK", number(m)))
		o.after(o.upTo(time.Minute), func() { a.send(lines("BYE", number(m)+1)) })
	}, "To: <"+uri+">", "Call-ID: "+call, "Contact: "+a.contact())
	o.after(3*time.Second, func() {
		if a.final[branch+"INVITE"] != nil {
			a.send(build("", "CANCEL "+uri+" SIP/2.0", a.via(branch), "Max-Forwards: 70",
				"From: <sip:"+a.user+"@example.com>;tag="+a.callID, "To: <"+uri+">",
				"Call-ID: "+call, fmt.Sprintf("CSeq: %s CANCEL", branch[strings.LastIndexByte(branch, '-')+1:])))
		}
	})
	rang := func(when string) {
		who := o.rung[call]
		for other := range who {
			if other != b {
				o.fail("%s: %s rings for %s", when, other.user, b.user)
			}
		}
		switch n := who[b]; {
		case n > 1:
			o.fail("%s: %s was called %d times by one call", when, b.user, n)
		case n == 0 && up && b.up() && b.boots == boot && b.mapping == mapping:
			o.fail("%s: %s was not called", when, b.user)
		case n == 1:
			o.done["called"]++
		}
	}
	o.after(rings, func() { rang("after a second") })
	o.after(2*time.Minute, func() {
		rang("in the end")
		delete(o.rung, call)
	})
}

// changes changes what a key shows, again and again.
func (o *office) changes() {
	o.after(o.upTo(30*time.Second), o.changes)
	d, key := o.desks[o.luck.IntN(officePhones)], 1+o.luck.IntN(4)
	label := fmt.Sprintf("label %d", o.luck.IntN(1000))
	name := fmt.Sprintf("%s/%d", d.user, key)
	method, body := "PUT", fmt.Sprintf(`{"label": %q, "light": "on"}`, label)
	if o.luck.IntN(4) == 0 {
		method, body, label = "DELETE", "", ""
	}
	o.want[name], o.set[name] = label, time.Now()
	go func() {
		if status, answer := o.server.Admin(method, "/sip/keys/"+name, body); status >= 300 && status != 404 {
			o.t.Errorf("%s %s: %d %s", method, name, status, answer)
		}
	}()
	boot := d.boots
	o.after(showsWithin, func() {
		if d.boots == boot {
			d.shown("a change of key " + name)
		}
	})
}

// shown checks that the phone shows what it should have shown for two seconds now.
func (d *desk) shown(after string) {
	o := d.o
	if !d.up() || time.Since(d.reachable) < showsWithin {
		return
	}
	for key := 1; key <= 4; key++ {
		name := fmt.Sprintf("%s/%d", d.user, key)
		if time.Since(o.set[name]) < showsWithin {
			continue
		}
		if got, want := d.shows[fmt.Sprint(key)], o.want[name]; got != want {
			_, status := o.server.Admin("GET", "/sip/keys/"+d.user, "")
			o.fail("two seconds after %s, key %s shows %q, want %q; it has been reachable for %v\n%s", after, name, got,
				want, time.Since(d.reachable), status)
		}
		o.done["shown"]++
	}
}

// checks makes sure every minute that each phone that is up is registered once, at its present
// address.
func (o *office) checks() {
	o.after(time.Minute, o.checks)
	for _, d := range o.desks {
		if !d.up() {
			continue
		}
		all := o.server.Engine().Location.Lookup([]byte(d.user+"@example.com"), nil)
		if len(all) != 1 || all[0].CallID() != d.callID || "<"+all[0].Contact()+">" != d.contact() ||
			all[0].Source() != d.mapping.AddrPort() {
			var list []string
			for _, b := range all {
				list = append(list, fmt.Sprintf("%s %s from %s", b.CallID(), b.Contact(), b.Source()))
			}
			o.fail("%s is %s at %s, from %s, and is registered as %q", d.user, d.callID, d.contact(),
				d.mapping.AddrPort(), list)
		}
		o.done["registered"]++
	}
}
