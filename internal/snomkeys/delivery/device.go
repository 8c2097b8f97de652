package delivery

import (
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
)

// A device is a telephone. Several users may be registered on one, at the same time or one after
// the other. Its keys show what was set last, for whichever user. When a user has left a device,
// the keys that it still shows for him are put out as soon as another user registers there.

const (
	// strongDevice is the bit of a device's hash that is set if the hash is made of an instance,
	// which identifies a device wherever it is. Otherwise it is made of the device's address.
	strongDevice = 1 << 63

	// maxIdentities is how many users one device may have. An address with more is no telephone,
	// but a gateway or proxy in front of many.
	maxIdentities = 12

	// maxLeftovers is for how many devices a user's leftovers are remembered.
	maxLeftovers = 10

	// startWindow is the time within which all identities of a phone register when it starts.
	startWindow = time.Minute
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
	model := agent.Model
	base := len(model) > 1 && model[0] == 'M' && model[1] >= '0' && model[1] <= '9'
	switch {
	case base:
		return addHash(textHash(b.Contact()), b.AOR()) | strongDevice
	case b.Instance() != "":
		return textHash(b.Instance()) | strongDevice
	case b.Path() != "":
		return max(addHash(addHash(textHash(b.Path()), b.Contact()), b.AOR())&^strongDevice, 1)
	}
	return max(addHash(flowOf(b), model)&^strongDevice, 1)
}

// differentDevices reports whether two devices are certainly not the same.
func differentDevices(a, b uint64) bool { return a != b && a&b&strongDevice != 0 }

// link adds a phone to those of its device. The caller holds the lock.
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
		return nil // the usual case
	}
	for q := d.devices[p.device]; q != nil; q = q.next {
		if q.user != p.user {
			list = append(list, q)
		}
	}
	return list
}

// crowded reports whether a phone's device has more users than a telephone can have. The caller
// holds the lock.
func (d *Delivery) crowded(p *phone) bool {
	n := 0
	for q := d.devices[p.device]; q != nil; q = q.next {
		n++
	}
	return !p.linked || n > maxIdentities
}

// recordLeftover records what the device of a phone that is dropped may still show. The caller
// holds the lock.
func (d *Delivery) recordLeftover(p *phone) {
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
			return // the user's phone there is this one, with another Contact
		}
	}
	there := false
	for _, q := range others {
		if q.displaced == 0 {
			there = true
			q.takeOver(p.keys)
			d.deviceChanged(q)
		}
	}
	if there {
		return // their phones put the keys out
	}
	for _, k := range p.keys {
		l.keys = append(l.keys, k.key)
	}
	d.addLeftover(p.user, l)
}

// takeOver makes the phone put out, or set again, the keys that another user's phone on its device
// has set.
func (p *phone) takeOver(keys []keyState) {
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

// deviceChanged queues a phone whose keys another phone on its device has changed. The caller holds
// the lock.
func (d *Delivery) deviceChanged(p *phone) {
	d.account(p.user)
	d.behind.Mark(p.user.aor)
	d.enqueue(p)
	d.wakeWaiters(p.user.aor)
	d.wakeUp()
}

// addLeftover records a leftover of a user. What another user had left there before is added to it.
// The caller holds the lock.
func (d *Delivery) addLeftover(u *user, l leftover) {
	for _, key := range d.takeLeftover(l.device) {
		if !slices.Contains(l.keys, key) {
			l.keys = append(l.keys, key)
		}
	}
	slices.Sort(l.keys)
	if len(u.leftovers) >= maxLeftovers {
		d.forgetLeftover(u, 0)
	}
	u.leftovers = append(u.leftovers, l)
	d.leftovers[l.device] = u
}

// takeLeftover returns the keys that are left on a device, and forgets them. The caller holds the
// lock.
func (d *Delivery) takeLeftover(device uint64) []uint16 {
	u := d.leftovers[device]
	if u == nil {
		return nil
	}
	i := slices.IndexFunc(u.leftovers, func(l leftover) bool { return l.device == device })
	keys := u.leftovers[i].keys
	d.forgetLeftover(u, i)
	d.behind.Mark(u.aor)
	if len(u.phones)+len(u.leftovers) == 0 {
		d.forgetUser(u)
	}
	d.account(u)
	return keys
}

// forgetLeftover forgets one of a user's leftovers. The caller holds the lock.
func (d *Delivery) forgetLeftover(u *user, i int) {
	if device := u.leftovers[i].device; d.leftovers[device] == u {
		delete(d.leftovers, device)
	}
	u.leftovers = slices.Delete(u.leftovers, i, i+1)
}

// overwritten is the status of a key that a phone has acknowledged and that another user has set on
// the same device since. It is no SIP status.
const overwritten = 1

// updateOthers updates the other phones on a device after one has acknowledged keys. The caller
// holds the lock.
func (d *Delivery) updateOthers(p *phone, keys []sentKey) {
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
			d.deviceChanged(q)
		}
	}
}

// releaseKeys removes from a phone the keys that no layer sets any more and that another user has
// set on the device: those are not put out. The caller holds the lock and has called want for the
// phone.
func (d *Delivery) releaseKeys(p *phone) {
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
			d.deviceChanged(q)
		}
	}
}

// displace is called when a user logs on at a device. It takes the device from the one user who was
// there, unless the two are identities of one phone, which register together. A displaced user who
// registers again is there as well. The caller holds the lock.
func (d *Delivery) displace(p *phone, here *location.Binding) {
	others := d.others(p)
	sameDevice := func(o *phone) bool { return o != p && o.device == p.device }
	if len(others) != 1 || others[0].displaced != 0 ||
		slices.ContainsFunc(p.user.phones, sameDevice) {
		return
	}
	q := others[0]
	var room [8]*location.Binding
	b := d.bindingOf(d.options.Location.Lookup([]byte(q.user.aor), room[:0]), q.id)
	if b == nil || here.Updated().Sub(b.Updated()) < startWindow {
		return
	}
	q.displaced = uint32(b.Updated().Unix())
	p.takeOver(q.keys)
	q.keys = nil
	if q.flight != nil {
		q.flight.stale = true
	}
	q.queue = 0
	d.retries.remove(q)
	d.retryAt(q, d.clock.Now().Add(startWindow))
	d.behind.Mark(q.user.aor)
	d.wakeWaiters(q.user.aor)
}

// returned reports whether the user of a phone that was displaced has registered again. If not, it
// is checked again later. The caller holds the lock.
func (d *Delivery) returned(p *phone, b *location.Binding, now time.Time) bool {
	if uint32(b.Updated().Unix()) <= p.displaced {
		d.retryAt(p, now.Add(startWindow))
		return false
	}
	d.reinstate(p)
	return true
}

// reinstate undoes displace. The caller holds the lock.
func (d *Delivery) reinstate(p *phone) {
	p.displaced = 0
	d.forget(p)
	p.inherit(d.takeLeftover(p.device))
}
