package location

import (
	"bytes"
	"slices"

	"github.com/caddysip/caddysip/wire"
)

// A phone that has restarted, moved or changed its transport registers a new Contact, and cannot
// remove the old one (RFC 3261 §10.2.2 leaves it to expire). Until then each call would also go to
// an address where no phone is. So a Contact that is new, or registered under a new Call-ID,
// supersedes the bindings that seem to be of the same device.
//
// That is a guess: real devices share instances, sockets and addresses. So the old binding is
// superseded, not removed, and a device that is still there comes back with its next refresh. From
// then on the two are known to be two devices.

// sameInstance reports whether the update's Contact is from the phone that b is from, as far as
// instance and reg-id say. known is false when one of the two has no instance.
func (c *ContactUpdate) sameInstance(b *Binding) (same, known bool) {
	if len(c.Instance) == 0 || b.Instance() == "" {
		return false, false
	}
	return string(c.Instance) == b.Instance() && !c.otherFlow(b), true
}

// otherFlow reports whether both are flows to one phone, which are kept side by side (RFC 5626
// §4.2).
func (c *ContactUpdate) otherFlow(b *Binding) bool {
	return c.RegID > 0 && b.regID > 0 && c.RegID != b.regID && string(c.Instance) == b.Instance()
}

// otherSite reports whether an equal URI means another phone: one at another site whose network has
// the same private addresses. What a proxy has relayed may be from any site.
func (c *ContactUpdate) otherSite(u *Update, b *Binding) bool {
	return len(c.Instance) > 0 && b.Instance() != "" && string(c.Instance) != b.Instance() &&
		(u.Relayed || b.qFlags&relayed != 0 || u.Flow.Remote.Addr() != b.Source().Addr())
}

// continues reports whether the phone that has registered b continues with another Contact, if the
// request is the later one. It then uses the same Call-ID, as it should for all that it registers
// until it restarts (RFC 3261 §10.2).
func (c *ContactUpdate) continues(u *Update, b *Binding) bool {
	if b.CallID() != string(u.CallID) || b.Owner() != string(u.Owner) || c.otherFlow(b) {
		return false
	}
	if same, known := c.sameInstance(b); known {
		return same
	}
	other := b.uri()
	return b.UserAgent() == string(u.UserAgent) && bytes.Equal(c.URI.User, other.User)
}

// supersedes reports whether the device that has registered b is now at the update's Contact and no
// longer at b's. The instance decides, unless several devices are known to have it. Without one the
// socket decides, as long as User-Agent, user, host and port are the same too: they tell two
// phones, or two lines, apart.
func (c *ContactUpdate) supersedes(u *Update, b *Binding) bool {
	if b.Owner() != string(u.Owner) {
		return false
	}
	if same, known := c.sameInstance(b); known && (!same || b.qFlags&confirmed == 0) {
		return same
	}
	if u.Relayed || b.qFlags&relayed != 0 || u.Flow.Network != b.Network() ||
		u.Flow.Remote != b.Source() || b.UserAgent() != string(u.UserAgent) {
		return false
	}
	other := b.uri()
	return bytes.Equal(c.URI.User, other.User) && c.URI.Port == other.Port &&
		wire.EqualFold(c.URI.Host, other.Host)
}

// uri returns the Contact's URI. It was parsed without error before.
func (b *Binding) uri() wire.URI {
	u, _ := wire.ParseURI([]byte(b.Contact()))
	return u
}

// updateOthers supersedes or confirms the other bindings of the address-of-record, after an update
// has been applied. Contacts of one request say nothing about each other.
func (r *Result) updateOthers(u *Update) {
	set := len(r.Changes)
	for i := range set {
		switch c := &r.Changes[i]; {
		case c.New == nil:
		case c.Old == nil || c.Old.CallID() != string(u.CallID):
			r.supersede(u, i, set)
		case c.Old.Superseded():
			r.confirm(u, i, set)
		}
	}
}

// supersede marks the bindings that the Contact of the i-th change supersedes. It leaves alone what
// the first set changes have set.
//
// Of several devices, or several lines of one, that cannot be told apart, a new one supersedes only
// the one that has not been refreshed for longest.
func (r *Result) supersede(u *Update, i, set int) {
	b, c := r.Changes[i].New, &u.Contacts[r.Changes[i].contact]
	var oldest *Binding
	for j := 0; j < len(r.Bindings); j++ {
		other := r.Bindings[j]
		if other.Superseded() || r.hasSet(other, set) {
			continue
		}
		same, _ := c.sameInstance(other)
		supersedes := c.supersedes(u, other)
		switch {
		case u.CSeq > other.cseq && c.continues(u, other):
			b.registered = min(b.registered, other.registered)
			r.remove(j)
			j--
		case other.qFlags&confirmed != 0:
			if same || supersedes {
				b.qFlags |= confirmed
			}
			if supersedes && (oldest == nil || other.updated <= oldest.updated) {
				oldest = other
			}
		case supersedes:
			r.markSuperseded(j)
			j--
		}
	}
	if oldest != nil && r.Changes[i].Old == nil {
		r.markSuperseded(slices.Index(r.Bindings, oldest))
	}
}

// confirm records that the binding of the i-th change, which was superseded, belongs to another
// device than those that seemed to be its new Contacts.
func (r *Result) confirm(u *Update, i, set int) {
	b, c := r.Changes[i].New, &u.Contacts[r.Changes[i].contact]
	b.qFlags |= confirmed
	for j, other := range r.Bindings {
		if other.qFlags&confirmed == 0 && !other.Superseded() && !r.hasSet(other, set) &&
			c.supersedes(u, other) {
			r.Bindings[j] = other.withFlag(confirmed)
			r.Changes = append(r.Changes, Change{Old: other, New: r.Bindings[j]})
		}
	}
}

// markSuperseded marks the j-th binding, whose device has another Contact now. One whose connection
// has gone is of no use any more, and is removed.
func (r *Result) markSuperseded(j int) {
	b := r.Bindings[j]
	if b.FlowFailed() {
		r.remove(j)
		return
	}
	r.Bindings = slices.Delete(r.Bindings, j, j+1)
	other := b.withFlag(superseded)
	r.Bindings = slices.Insert(r.Bindings, position(r.Bindings, other), other)
	r.Changes = append(r.Changes, Change{Old: b, New: other})
}

// remove removes the j-th binding, which another one has replaced.
func (r *Result) remove(j int) {
	b := r.Bindings[j]
	r.Bindings = slices.Delete(r.Bindings, j, j+1)
	for i := range r.Changes {
		if r.Changes[i].New == b { // this update has superseded it
			r.Changes[i].New, r.Changes[i].Replaced = nil, true
			return
		}
	}
	r.Changes = append(r.Changes, Change{Old: b, Replaced: true})
}

// makeRoom removes bindings until there are no more than max: those that are superseded first, then
// those that cannot be reached, and of these the one that has not been refreshed for longest. With
// refuse it removes only superseded ones. It reports whether there is room now.
func (r *Result) makeRoom(max int, refuse bool) bool {
	set := len(r.Changes)
	for len(r.Bindings) > max {
		victim := -1
		for j, b := range r.Bindings {
			if refuse && !b.Superseded() || r.hasSet(b, set) && !b.Superseded() {
				continue
			}
			if victim < 0 || b.evictedBefore(r.Bindings[victim]) {
				victim = j
			}
		}
		if victim < 0 {
			return false
		}
		r.remove(victim)
	}
	return true
}

// evictedBefore reports whether b is removed before other to make room.
func (b *Binding) evictedBefore(other *Binding) bool {
	if b.Superseded() != other.Superseded() {
		return b.Superseded()
	}
	if gone := b.FlowFailed(); gone != other.FlowFailed() {
		return gone
	}
	return b.updated <= other.updated // of one second, the last in the list came first
}

// hasSet reports whether one of the first n changes has set b.
func (r *Result) hasSet(b *Binding, n int) bool {
	return slices.ContainsFunc(r.Changes[:n], func(c Change) bool { return c.New == b })
}
