package delivery

import (
	"encoding/binary"
	"slices"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/glob"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// user is an address-of-record whose phones have keys.
type user struct {
	aor       string
	phones    []*phone
	leftovers []leftover // what phones that have gone may still show, the oldest first
	cost      int        // the bytes taken from the budget
	absent    uint64     // its number among those without a phone; 0: it has some
	logged    condition  // of the phone that was dropped last
	recent    []uint16   // keys that have just changed, the newest first
}

// phone is one Contact of a user. There may be a hundred thousand of them, so it is packed, and
// keeps no binding: a refresh puts another one in its place.
type phone struct {
	user   *user
	flight *flight // the message that has no outcome yet
	// What it has answered, sorted by key. Also the keys that it may show for another reason.
	keys      []keyState
	id        uint64 // hash of the Contact
	since     uint64 // hash of Call-ID and time of registration; changes when the phone restarts
	flow      uint64 // hash of network and address
	device    uint64 // hash of the device that it is on
	next      *phone // the next one on that device
	retry     int64  // when it is sent to again, in nanoseconds since 1970 by Delivery.clock
	agent     uint32 // hash of the User-Agent
	heapIndex int32  // in the heap of retries, from 1 on; 0: it isn't there

	failures uint8  // messages without success, one after the other
	silent   uint8  // of those, the last ones that got no answer at all
	status   uint16 // the last answer that was neither a success nor about one record; 0: none
	queue    uint8  // the queue it is in, from 1 on; 0: none
	logged   condition
	linked   bool // it is among those of its device

	superseded bool // it has another Contact now

	// When it had last registered before another user logged on at its device, in seconds since
	// 1970 by Delivery.clock; 0: nobody has.
	displaced uint32

	known       bool // it has acknowledged something
	inherits    bool // another phone has, which is or may be the same device
	unsupported bool
	unreachable bool // its connection has gone
	urgent      bool // a key has changed; otherwise the phone has only registered
	gone        bool
}

// keyState is what a phone has answered for a key.
type keyState struct {
	hash   uint64 // of the button it answered for; 0: none since it registered
	at     uint32 // when, in seconds since 1970
	key    uint16
	status uint16 // 0: none
}

// FNV-1a, which is stable over restarts, as what is stored has to be. Collisions that somebody
// constructs do no harm: whoever can choose the texts of a phone can also make it show what he
// likes.
const (
	hashStart = 14695981039346656037
	hashPrime = 1099511628211
)

func addHash[T string | []byte](h uint64, text T) uint64 {
	for i := range len(text) {
		h = (h ^ uint64(text[i])) * hashPrime
	}
	return h
}

// textHash is never 0, which stands for nothing.
func textHash[T string | []byte](text T) uint64 { return max(addHash(hashStart, text), 1) }

func sinceOf(b *location.Binding) uint64 {
	var room [8]byte
	at := binary.BigEndian.AppendUint64(room[:0], uint64(b.Registered().Unix()))
	return addHash(textHash(b.CallID()), at)
}

func flowOf(b *location.Binding) uint64 {
	var room [64]byte
	source, _ := b.Source().AppendBinary(append(room[:0], byte(b.Network()))) // has no errors
	return textHash(source)
}

// phoneOf returns the phone of a Contact, nil when it isn't known.
func (u *user) phoneOf(id uint64) *phone {
	if u != nil {
		for _, p := range u.phones {
			if p.id == id {
				return p
			}
		}
	}
	return nil
}

// bindingOf returns the binding of a phone, nil when there is none. Of a phone that is registered
// over several flows (RFC 5626) it is the first one. The caller holds the lock.
func (d *Delivery) bindingOf(bindings []*location.Binding, id uint64) (b *location.Binding) {
	for _, other := range bindings {
		if textHash(other.Contact()) == id && (b == nil || other.RegID() < b.RegID()) {
			b = other
		}
	}
	if b == nil || !d.hasKeys(b.UserAgent()) {
		return nil
	}
	return b
}

// first reports whether b is the one that bindingOf returns for its Contact. It doesn't hash them
// all, which are long for some.
func first(bindings []*location.Binding, b *location.Binding) bool {
	before := true
	for _, other := range bindings {
		if other == b {
			before = false
			continue
		}
		if other.Contact() == b.Contact() &&
			(other.RegID() < b.RegID() || before && other.RegID() == b.RegID()) {
			return false
		}
	}
	return true
}

// hasKeys reports whether a phone with this User-Agent has such keys. The caller holds the lock.
func (d *Delivery) hasKeys(userAgent string) bool {
	matches := func(pattern string) bool { return glob.Match(pattern, []byte(userAgent), true) }
	return snom.IsSnom(userAgent) || slices.ContainsFunc(d.settings.Phones, matches)
}

// usableBinding returns the binding to send by.
func usableBinding(bindings []*location.Binding, b *location.Binding) *location.Binding {
	if !b.FlowFailed() {
		return b
	}
	for _, other := range bindings {
		if other.Contact() == b.Contact() && !other.FlowFailed() {
			return other
		}
	}
	return b
}

// reconcile compares the phones of an address-of-record with its bindings, and queues those to
// which something may have to be sent.
func (d *Delivery) reconcile(aor string, c cause, recent ...uint16) {
	var room [8]*location.Binding
	bindings := d.options.Location.All([]byte(aor), room[:0])
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.users[aor]
	if u != nil {
		u.updateContacts(bindings)
		d.dropGone(u, bindings)
		d.supersede(u, bindings)
	}
	for _, b := range bindings {
		if b.Superseded() || !d.hasKeys(b.UserAgent()) || !first(bindings, b) {
			continue
		}
		id := textHash(b.Contact())
		p := u.phoneOf(id)
		if p == nil {
			if u == nil && len(d.want(aor, b.UserAgent())) == 0 {
				if device := deviceOf(b); d.leftovers[device] == nil && d.devices[device] == nil {
					continue // most phones have no keys
				}
			}
			if u == nil {
				u = &user{aor: strings.Clone(aor)} // not a part of the binding
				d.users[u.aor] = u
			}
			p = d.add(u, id, b)
		}
		d.observe(p, b)
		u.recent = addRecent(recent, u.recent)
		if c == again {
			d.forget(p)
			p.unsupported, p.displaced = false, 0
		}
		p.urgent = p.urgent || c > registered
		if c == registered {
			d.enqueueLater(p)
		} else {
			d.enqueue(p)
		}
	}
	if u != nil {
		d.clean(u, d.clock.Now())
	}
	d.wakeWaiters(aor)
}

// updateContacts finds the phones that continue with another Contact without a restart: they still
// show what they have shown. A phone with a message on its way is left out: that is for the old
// Contact, and whether it arrives isn't known.
func (u *user) updateContacts(bindings []*location.Binding) {
	for _, p := range u.phones {
		if p.flight != nil {
			continue
		}
		var next *location.Binding
		for _, b := range bindings {
			id := textHash(b.Contact())
			if id == p.id {
				next = nil
				break
			}
			if sinceOf(b) == p.since && u.phoneOf(id) == nil {
				next = b
			}
		}
		if next != nil {
			p.id = textHash(next.Contact())
		}
	}
}

// supersede stops sending to phones whose Contact is superseded. What they have acknowledged is
// kept in case they come back.
func (d *Delivery) supersede(u *user, bindings []*location.Binding) {
	for _, b := range bindings {
		if !b.Superseded() || !first(bindings, b) {
			continue
		}
		if p := u.phoneOf(textHash(b.Contact())); p != nil && !p.superseded {
			p.superseded = true
			d.retries.remove(p)
			d.unlink(p)
			if p.logged != healthy {
				u.logged, p.logged = p.logged, healthy
			}
		}
	}
}

// dropGone drops the phones that have no binding any more. One that has not answered yet stays
// until it does: when it is back meanwhile, it must not get a second message beside the first.
func (d *Delivery) dropGone(u *user, bindings []*location.Binding) {
	u.phones = slices.DeleteFunc(u.phones, func(p *phone) bool {
		if p.flight != nil || d.bindingOf(bindings, p.id) != nil {
			return false
		}
		d.drop(p)
		return true
	})
}

// drop forgets a phone, but not which keys it had. The caller removes it from its user.
func (d *Delivery) drop(p *phone) {
	p.gone, p.queue = true, 0
	if p.logged != healthy {
		p.user.logged = p.logged
	}
	d.retries.remove(p)
	d.recordLeftover(p)
	d.behind.Mark(p.user.aor)
}

// leftoverTime is how long a leftover is remembered.
const leftoverTime = 30 * 24 * time.Hour

// clean drops a user without phones and keys.
func (d *Delivery) clean(u *user, now time.Time) {
	before := len(u.leftovers)
	for len(u.leftovers) > 0 && now.Sub(time.Unix(int64(u.leftovers[0].at), 0)) > leftoverTime {
		d.forgetLeftover(u, 0)
	}
	if len(u.phones)+len(u.leftovers) == 0 {
		d.forgetUser(u)
	}
	d.account(u)
	if len(u.leftovers) != before {
		d.behind.Mark(u.aor)
	}
}

// add adds a new phone. It may show the leftover of its device, whoever left it. It may also be
// another phone of the user that has got another Contact or address, and show what that has shown.
// The caller holds the lock.
func (d *Delivery) add(u *user, id uint64, b *location.Binding) *phone {
	p := &phone{
		user: u, id: id, since: sinceOf(b), agent: uint32(textHash(b.UserAgent())),
		logged: u.logged,
	}
	u.logged = healthy // the entry that says so is logged for this phone
	device := deviceOf(b)
	u.recent = nil // all of it is new to the phone
	u.phones = append(u.phones, p)
	p.inherit(d.takeLeftover(device))
	for i := range u.leftovers {
		if !differentDevices(u.leftovers[i].device, device) {
			p.inherit(u.leftovers[i].keys)
		}
	}
	for _, other := range u.phones {
		if other != p && !differentDevices(other.device, device) {
			for _, k := range other.keys {
				p.inherit([]uint16{k.key})
			}
		}
	}
	d.link(p, device)
	d.displace(p, b)
	return p
}

// inherit adds keys that the phone may show already.
func (p *phone) inherit(keys []uint16) {
	p.inherits = p.inherits || len(keys) > 0
	for _, key := range keys {
		if i, found := findKey(p.keys, key); !found {
			p.keys = slices.Insert(p.keys, i, keyState{key: key})
		}
	}
}

func findKey(keys []keyState, key uint16) (int, bool) {
	return slices.BinarySearchFunc(keys, key, func(k keyState, key uint16) int {
		return int(k.key) - int(key)
	})
}

// observe updates the phone from its binding.
func (d *Delivery) observe(p *phone, b *location.Binding) {
	if agent := uint32(textHash(b.UserAgent())); agent != p.agent {
		p.agent, p.unsupported, p.silent = agent, false, 0
	}
	if since := sinceOf(b); since != p.since {
		p.since, p.unsupported = since, false
		p.user.recent = nil // all of it is new to the phone
		d.forget(p)
	}
	if flow := flowOf(b); flow != p.flow || p.unreachable && !b.FlowFailed() {
		if flow != p.flow {
			d.abandon(p)
		}
		if p.flow != 0 && p.unsupported && p.status == 0 {
			p.unsupported, p.silent = false, 0 // it may not have been at the old address any more
		}
		p.flow, p.unreachable = flow, false
		d.retries.remove(p)
		d.link(p, deviceOf(b))
	} else if p.superseded {
		d.link(p, deviceOf(b))
	}
	p.superseded = false
}

// forget makes everything be sent to the phone again, as soon as its turn comes.
func (d *Delivery) forget(p *phone) {
	for i := range p.keys {
		p.keys[i] = keyState{key: p.keys[i].key}
	}
	if p.flight != nil {
		p.flight.stale = true
	}
	p.failures, p.silent, p.unreachable = 0, 0, false
	d.retries.remove(p)
}
