package simulation

import (
	"fmt"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/caddysip/caddysip/test/simnet"
)

// slack is how long something may take that happens "at once": packets are on their way.
const slack = 2 * time.Second

// oracle sees every packet and says what must not be. It has a lock of its own, since it is called
// while the network has its.
type oracle struct {
	w *world

	mu     sync.Mutex
	owner  map[netip.AddrPort]string          // the user whose phone has an address
	places map[string][]*place                // where users have registered from
	acked  map[string]*place                  // the latest registration that was acknowledged; nil: unregistered, or not known
	calls  map[string][2]string               // the users of a call
	lights map[string]netip.AddrPort          // where a light was dialled
	lately map[netip.AddrPort]time.Time       // when one was, the last time
	pushes map[string]map[int][]string        // branches of the MESSAGEs for a light, by the server's life
	seen   map[string]bool                    // branches of the server's requests, and their address
	asked  map[netip.AddrPort]map[string]bool // branches of an address's requests
	keys   map[string]*keyState               // what was acknowledged of keys
	told   map[string]*telling                // what was sent to phones of a key
	risky  time.Time                          // since when changes may not be on the disk; zero: it keeps up
	cut    time.Time                          // when the server ended the last time
	down   time.Time                          // when the server was last not there, or something was wrong
	epoch  int                                // the server's lives
}

// place is where a user has registered from, and for how long.
type place struct {
	user        string
	addr        netip.AddrPort
	first, ends time.Time
	acked       time.Time
	left        time.Time // since when it is another's or nobody's; zero: it isn't
	expires     time.Duration
	unsure      bool      // the server may have forgotten it meanwhile, so that the next REGISTER is a new registration
	fresh       time.Time // when it was one at the latest
}

// lapsed reports whether a REGISTER may be a new registration.
func (l *place) lapsed() bool { return l.unsure || time.Since(l.acked) > l.expires-slack }

// telling is one MESSAGE with keys to a phone.
type telling struct {
	branch, body string
	sent         time.Time
	answered     time.Time // when the 200 was sent that was not lost
	epoch        int
}

func newOracle(w *world) *oracle {
	return &oracle{
		w: w, owner: map[netip.AddrPort]string{}, places: map[string][]*place{}, acked: map[string]*place{},
		calls: map[string][2]string{}, lights: map[string]netip.AddrPort{}, lately: map[netip.AddrPort]time.Time{},
		pushes: map[string]map[int][]string{},
		seen:   map[string]bool{}, asked: map[netip.AddrPort]map[string]bool{}, keys: map[string]*keyState{},
		told: map[string]*telling{},
	}
}

func (o *oracle) owns(a netip.AddrPort, user string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.owner[a] = user
}

// registering notes that a phone is about to register from an address.
func (o *oracle) registering(p *phone, from netip.AddrPort, d time.Duration) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.acked[p.user] = nil // until we know
	for _, l := range o.places[p.user] {
		if l.addr == from {
			if ends := time.Now().Add(d + timeout + slack); ends.After(l.ends) {
				l.ends = ends
			}
			l.unsure = l.unsure || d == 0
			if !l.left.IsZero() && d > 0 {
				l.left, l.first = time.Time{}, time.Now()
			}
			return
		}
	}
	if d > 0 {
		o.places[p.user] = append(o.places[p.user], &place{user: p.user, addr: from, first: time.Now(), ends: time.Now().Add(d + timeout + slack)})
	}
}

// registered notes that the server has said so. It has forgotten the phone's other addresses then.
func (o *oracle) registered(p *phone, from netip.AddrPort, d time.Duration, sent time.Time) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.cut.After(sent) { // the answer may be of a server that has gone since, with what it had not written
		for _, l := range o.places[p.user] {
			l.unsure = true
		}
		return
	}
	for _, l := range o.places[p.user] {
		if l.addr == from && d > 0 {
			if l.lapsed() {
				l.fresh = time.Now()
			}
			l.unsure = false
			l.acked, l.expires = time.Now(), d-time.Since(sent)
			o.acked[p.user] = l
		} else if l.left.IsZero() && (p.nat || l.addr == from) {
			l.left = time.Now() // one Contact is in one place; another one may stay until it expires
		}
	}
}

// lit notes that a light is about to be dialled.
func (o *oracle) lit(p *phone, id string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.lights[id], o.lately[p.addr()] = p.addr(), time.Now()
}

func (o *oracle) calling(p *phone, id, number string) {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.calls[id] = [2]string{p.user, number}
}

// wrong notes that something is wrong outside the server from now on, so that requests may be lost;
// right that it's over.
func (o *oracle) wrong() {
	o.mu.Lock()
	defer o.mu.Unlock()
	o.down = time.Now()
}

// disk notes whether the disk is bad from now on.
func (o *oracle) disk(bad bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	switch {
	case bad && o.risky.IsZero():
		o.risky = now.Add(-time.Second)
	case !bad && !o.risky.IsZero():
		since := o.risky
		o.w.after(3*time.Second, func() {
			o.mu.Lock()
			defer o.mu.Unlock()
			if o.risky == since && o.w.diskGood {
				o.risky = time.Time{}
			}
		})
	}
}

// ended notes that the server has ended. What it had not written is not known any more:
// registrations of the last second, or since the disk is bad (docs/performance.md).
func (o *oracle) ended(killed bool) {
	o.mu.Lock()
	defer o.mu.Unlock()
	now := time.Now()
	o.down, o.cut = now, now
	o.epoch++
	since := now.Add(-time.Second)
	if !killed {
		since = now
	}
	if !o.risky.IsZero() && o.risky.Before(since) {
		since = o.risky
	}
	for user, list := range o.places {
		for _, l := range list {
			if l.left.After(since) {
				l.left = time.Time{} // it may be registered again
			}
			if o.acked[user] == l && l.acked.After(since) {
				o.acked[user] = nil
			}
			l.unsure = l.unsure || l.acked.After(since)
		}
	}
}

// timedOut judges a request without an answer.
func (o *oracle) timedOut(p *phone, c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.healthy(c.sent) && c.method != "BYE" { // whose other end may be off, and 32 seconds are not over there sooner
		o.w.fail("%s got no answer within %s:\n%s", p.user, time.Since(c.sent), c.request)
	}
}

// hangs judges a call that was cancelled and has no end.
func (o *oracle) hangs(p *phone, c *client) {
	o.mu.Lock()
	defer o.mu.Unlock()
	if o.healthy(c.sent) {
		o.w.fail("a cancelled call of %s has no end after %s:\n%s", p.user, time.Since(c.sent), c.request)
	}
}

// healthy reports whether everything has worked since then.
func (o *oracle) healthy(since time.Time) bool { return o.w.healthy && o.down.Before(since) }

// packet is the tap.
func (o *oracle) packet(pk simnet.Packet) {
	o.mu.Lock()
	defer o.mu.Unlock()
	server := o.w.server.Addr
	o.w.trace(pk)
	m := parse(string(pk.Data))
	switch {
	case pk.TCP:
		o.w.fail("TCP from %s to %s", pk.From, pk.To)
	case pk.To == server && m.status() == 0:
		if o.asked[pk.From] == nil {
			o.asked[pk.From] = map[string]bool{}
		}
		o.asked[pk.From][m.branch()] = true
	case pk.To == server:
		if t := o.told[pk.From.String()+m.branch()]; t != nil && m.status() == 200 && !pk.Lost && t.answered.IsZero() {
			t.answered = time.Now()
		}
	case pk.From != server:
		o.w.fail("a packet from %s to %s", pk.From, pk.To)
	case m.status() == 0:
		o.request(pk.To, m)
	case !o.asked[pk.To][m.branch()]:
		o.w.fail("%s got a response to a request that it has not sent:\n%s", pk.To, pk.Data)
	}
}

// request judges a request of the server.
func (o *oracle) request(to netip.AddrPort, m *message) {
	method, id := m.method(), m.get("Call-ID")
	key := to.String() + " " + m.branch() + method
	if o.seen[key] {
		return // sent again
	}
	o.seen[key] = true
	user := o.owner[to]
	ends, known := o.calls[id]
	switch x := param(m.uri(), "x"); {
	case user == "":
		o.w.fail("%s, where no phone has been, got\n%s", to, m.start)
	case method == "MESSAGE" && x != "":
		if o.lights[x] != to {
			o.w.fail("the MESSAGE for a light that was dialled from %s went to %s", o.lights[x], to)
		}
		if o.pushes[x] == nil {
			o.pushes[x] = map[int][]string{}
		}
		if o.pushes[x][o.epoch] = append(o.pushes[x][o.epoch], m.branch()); len(o.pushes[x][o.epoch]) > 1 {
			o.w.fail("%s got a second MESSAGE for the INVITE %s", to, x)
		}
	case method == "MESSAGE":
		o.registeredAt(to, userOf(m.uri()), m)
		o.keysTold(to, m)
	case method == "INVITE" && param(m.get("To"), "tag") == "":
		o.registeredAt(to, userOf(m.uri()), m)
		if !known || ends[1] != user {
			o.w.fail("%s (%s) got the INVITE of a call to %s", to, user, ends[1])
		}
	case !known || user != ends[0] && user != ends[1]:
		o.w.fail("%s (%s) got a request of a call between %v\n%s", to, user, ends, m.start)
	}
}

// maybeAt reports whether a user may be registered at an address.
func (o *oracle) maybeAt(to netip.AddrPort, user string) bool {
	now := time.Now()
	return slices.ContainsFunc(o.places[user], func(l *place) bool {
		return l.addr == to && !now.Before(l.first) && !now.After(l.ends) && (l.left.IsZero() || !now.After(l.left))
	})
}

// registeredAt judges a request for who is registered at an address.
func (o *oracle) registeredAt(to netip.AddrPort, user string, m *message) {
	if o.maybeAt(to, user) {
		return
	}
	var was []string
	for _, l := range o.places[user][max(0, len(o.places[user])-3):] {
		was = append(was, fmt.Sprintf("%s from %s to %s, left %s", l.addr, o.w.at(l.first), o.w.at(l.ends), o.w.at(l.left)))
	}
	o.w.fail("%s is not registered at %s any more, and got\n%s\n%s", user, to, m.start, strings.Join(was, "\n"))
}
