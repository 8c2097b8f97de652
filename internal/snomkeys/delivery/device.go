package delivery

import (
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// A device is a telephone. Several users may be registered on one, at a time or one after the other:
// its keys show what was set last, whoever set it. What a user's phone leaves behind when it goes is
// put out for whoever registers there next.

const (
	// strongDevice is the bit of a device's hash that says it is made of an instance, which names
	// one device wherever it is. Else it is made of where the device is.
	strongDevice = 1 << 63

	// maxIdentities is how many users may be on one device. Where there are more, it is no
	// telephone but something that many of them are behind.
	maxIdentities = 12

	// maxLeftovers is of how many devices it is remembered what a user left behind there.
	maxLeftovers = 10

	// togetherTime is within which time the identities of one phone register when it starts.
	togetherTime = time.Minute
)

// leftover is what a device may still show of a user whose phone there has gone.
type leftover struct {
	device uint64
	at     uint32 // since when, in seconds since 1970
	keys   []uint16
}

// deviceOf returns the hash of the device that a binding is on.
func deviceOf(b *location.Binding) uint64 {
	agent, _ := snom.ParseUserAgent(b.UserAgent())
	// A DECT base has many phones behind one instance and one socket.
	base := len(agent.Model) > 1 && agent.Model[0] == 'M' && agent.Model[1] >= '0' && agent.Model[1] <= '9'
	switch {
	case base:
		return addHash(textHash(b.Contact()), b.AOR()) | strongDevice
	case b.Instance() != "":
		return textHash(b.Instance()) | strongDevice
	case b.Path() != "":
		return max(addHash(addHash(textHash(b.Path()), b.Contact()), b.AOR())&^strongDevice, 1)
	}
	return max(addHash(flowOf(b), agent.Model)&^strongDevice, 1)
}

// apart reports whether two devices are certainly not the same.
func apart(a, b uint64) bool { return a != b && a&b&strongDevice != 0 }

// link notes that a phone is on a device. The caller holds the lock.
func (d *Delivery) link(p *phone, device uint64) {
	if p.linked && device == p.device {
		return
	}
	d.unlink(p)
	p.device = device
	n := 0
	for q := d.devices[device]; q != nil; q = q.next {
		n++
	}
	if n <= maxIdentities {
		p.next, p.linked = d.devices[device], true
		d.devices[device] = p
		d.linked.Add(1)
	}
}

// unlink undoes link. The caller holds the lock.
func (d *Delivery) unlink(p *phone) {
	if !p.linked {
		return
	}
	p.linked = false
	d.linked.Add(-1)
	first := d.devices[p.device]
	switch {
	case first == p && p.next == nil:
		delete(d.devices, p.device)
	case first == p:
		d.devices[p.device] = p.next
	default:
		for first.next != p {
			first = first.next
		}
		first.next = p.next
	}
	p.next = nil
}

// others returns the phones of other users on the same device. The caller holds the lock.
func (d *Delivery) others(p *phone) (list []*phone) {
	if p.next == nil && d.devices[p.device] == p || d.crowded(p) {
		return nil // as nearly all
	}
	for q := d.devices[p.device]; q != nil; q = q.next {
		if q.user != p.user {
			list = append(list, q)
		}
	}
	return list
}

// crowded reports whether more users than one telephone has are where a phone is. The caller holds
// the lock.
func (d *Delivery) crowded(p *phone) bool {
	n := 0
	for q := d.devices[p.device]; q != nil; q = q.next {
		n++
	}
	return !p.linked || n > maxIdentities
}

// leave records what the device of a phone that goes may still show. The caller holds the lock.
func (d *Delivery) leave(p *phone) {
	others, crowded := d.others(p), d.crowded(p)
	d.unlink(p)
	if len(p.keys) == 0 || p.superseded || !p.known && !p.inherits {
		return // it has never shown anything
	}
	l := leftover{device: p.device, at: d.clock.Unix()}
	if crowded {
		l.device = max(textHash(p.user.aor)&^strongDevice, 1)
	}
	for q := d.devices[l.device]; q != nil; q = q.next {
		if q.user == p.user {
			return // it has been taken for this one
		}
	}
	there := false
	for _, q := range others {
		if q.displaced == 0 {
			there = true
			q.inherit(p.keys)
			d.changedBeside(q)
		}
	}
	if there {
		return // whoever is there puts it out
	}
	for _, k := range p.keys {
		l.keys = append(l.keys, k.key)
	}
	d.leaveBehind(p.user, l)
}

// inherit has a phone put out, or set again, what another one on its device has set.
func (p *phone) inherit(keys []keyState) {
	for _, k := range keys {
		i, found := findKey(p.keys, k.key)
		switch {
		case !found:
			p.keys = slices.Insert(p.keys, i, keyState{key: k.key})
		case p.keys[i].status == overwritten:
			p.keys[i] = keyState{key: k.key}
		}
	}
}

// changedBeside queues a phone since something has changed on its device. The caller holds the lock.
func (d *Delivery) changedBeside(p *phone) {
	d.account(p.user)
	d.behind.Mark(p.user.aor)
	d.enqueue(p)
	d.wakeWaiters(p.user.aor)
	d.wakeUp()
}

// leaveBehind records a leftover of a user. What somebody else has left there before belongs to it.
// The caller holds the lock.
func (d *Delivery) leaveBehind(u *user, l leftover) {
	for _, key := range d.takeLeftover(l.device) {
		if !slices.Contains(l.keys, key) {
			l.keys = append(l.keys, key)
		}
	}
	slices.Sort(l.keys)
	if len(u.left) >= maxLeftovers {
		d.forgetLeftover(u, 0)
	}
	u.left = append(u.left, l)
	d.left[l.device] = u
}

// takeLeftover returns what is left on a device, which is not remembered any more. The caller holds
// the lock.
func (d *Delivery) takeLeftover(device uint64) []uint16 {
	u := d.left[device]
	if u == nil {
		return nil
	}
	i := slices.IndexFunc(u.left, func(l leftover) bool { return l.device == device })
	keys := u.left[i].keys
	d.forgetLeftover(u, i)
	d.behind.Mark(u.aor)
	if len(u.phones)+len(u.left) == 0 {
		d.forgetUser(u)
	}
	d.account(u)
	return keys
}

// forgetLeftover forgets one of a user's leftovers. The caller holds the lock.
func (d *Delivery) forgetLeftover(u *user, i int) {
	if device := u.left[i].device; d.left[device] == u {
		delete(d.left, device)
	}
	u.left = slices.Delete(u.left, i, i+1)
}

// overwritten is the status of a key that a phone has acknowledged, and that another user has set
// on the same device after that. It is no status of SIP.
const overwritten = 1

// shown notes what the device of a phone shows since that has acknowledged keys. The caller holds
// the lock.
func (d *Delivery) shown(p *phone, keys []sentKey) {
	for _, q := range d.others(p) {
		changed := false
		for _, k := range keys {
			i, found := findKey(q.keys, k.key)
			if !found || q.keys[i].hash == 0 || q.keys[i].status >= 300 {
				continue
			}
			switch {
			case k.off:
				q.keys[i] = keyState{key: k.key}
			case q.keys[i].hash == k.hash:
				q.keys[i].status = 200
			default:
				q.keys[i].status = overwritten
			}
			changed = true
		}
		if changed {
			d.changedBeside(q)
		}
	}
}

// yield has a phone say nothing of keys that it has no more and another user has set on the device:
// they are his. The caller holds the lock and has called want for the phone.
func (d *Delivery) yield(p *phone) {
	for _, q := range d.others(p) {
		changed := false
		p.keys = slices.DeleteFunc(p.keys, func(k keyState) bool {
			if d.wants(k.key) {
				return false
			}
			i, found := findKey(q.keys, k.key)
			if !found || q.keys[i].hash == 0 {
				return false
			}
			if q.keys[i].status == overwritten {
				q.keys[i] = keyState{key: k.key}
				changed = true
			}
			return true
		})
		if changed {
			d.changedBeside(q)
		}
	}
}

// displace has a user who logs on at a device take it over from the one user who was there, unless
// they are two identities that register together. If the other one registers again he is there as
// well. The caller holds the lock.
func (d *Delivery) displace(p *phone, here *location.Binding) {
	others := d.others(p)
	if len(others) != 1 || others[0].displaced != 0 || slices.ContainsFunc(p.user.phones, func(o *phone) bool { return o != p && o.device == p.device }) {
		return
	}
	q := others[0]
	var room [8]*location.Binding
	b := d.bindingOf(d.options.Location.Lookup([]byte(q.user.aor), room[:0]), q.id)
	if b == nil || here.Updated().Sub(b.Updated()) < togetherTime {
		return
	}
	q.displaced = uint32(b.Updated().Unix())
	p.inherit(q.keys)
	q.keys = nil
	if q.flight != nil {
		q.flight.stale = true
	}
	q.queue = 0
	d.retries.remove(q)
	d.retryAt(q, d.clock.Now().Add(togetherTime))
	d.behind.Mark(q.user.aor)
	d.wakeWaiters(q.user.aor)
}

// back reports whether a phone that was displaced is there again. Otherwise it is looked for later.
// The caller holds the lock.
func (d *Delivery) back(p *phone, b *location.Binding, now time.Time) bool {
	if uint32(b.Updated().Unix()) <= p.displaced {
		d.retryAt(p, now.Add(togetherTime))
		return false
	}
	d.replace(p)
	return true
}

// replace undoes displace. The caller holds the lock.
func (d *Delivery) replace(p *phone) {
	p.displaced = 0
	d.forget(p)
	p.mayHave(d.takeLeftover(p.device))
}
