package delivery

import (
	"slices"
	"strconv"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/snom"
	"github.com/caddysip/caddysip/wire"
)

// PhoneStatus is what is known of a phone of an address-of-record.
type PhoneStatus struct {
	Contact   string      `json:"contact"`
	Source    string      `json:"source"`
	UserAgent string      `json:"user_agent,omitempty"`
	Model     string      `json:"model,omitempty"`
	Firmware  string      `json:"firmware,omitempty"`
	State     string      `json:"state"`
	Keys      []KeyStatus `json:"keys,omitempty"`

	Binding *location.Binding `json:"-"`
}

// The states of a phone.
const (
	StateCurrent     = "current"     // it has acknowledged every key
	StateRefused     = "refused"     // it has answered for every key, and refused some
	StatePending     = "pending"     // there is something to send
	StateSending     = "sending"     // a message is on its way
	StateRetrying    = "retrying"    // it did not answer, and will be asked again
	StateUnreachable = "unreachable" // its connection has gone; it has to register again
	StateOverwritten = "overwritten" // another user on the same device has set one of its keys
	StateUnsupported = "unsupported" // it has no such keys
	StateOther       = "other"       // it is neither a Snom phone nor in the configured phones
)

// States returns all states.
func States() []string {
	return []string{
		StateCurrent, StateRefused, StateOverwritten, StatePending, StateSending, StateRetrying,
		StateUnreachable, StateUnsupported, StateOther,
	}
}

// KeyStatus is what is known of a key of a phone.
type KeyStatus struct {
	Key          int       `json:"key"`
	Wanted       bool      `json:"wanted"`       // a layer has a record; otherwise it is to be off
	Acknowledged bool      `json:"acknowledged"` // the phone has acknowledged the newest record
	Status       int       `json:"status,omitempty"`
	Error        string    `json:"error,omitempty"`
	At           time.Time `json:"at,omitzero"` // when the phone answered last

	Refused     bool   `json:"-"` // the phone has refused the newest record
	Overwritten bool   `json:"-"` // the phone shows what another user has set
	OtherUser   string `json:"-"` // another user on the same device who has this key as well
}

// Outcome is what a phone has answered for a key.
type Outcome struct {
	Contact      string `json:"contact"`
	Acknowledged bool   `json:"acknowledged"`
	Status       int    `json:"status,omitempty"`
	Error        string `json:"error,omitempty"`
}

// Status returns what is known of the phones that are registered for an address-of-record.
func (d *Delivery) Status(aor string) []PhoneStatus {
	var room [8]*location.Binding
	bindings := d.options.Location.Lookup([]byte(aor), room[:0])
	all := make([]PhoneStatus, 0, len(bindings))
	d.mu.Lock()
	defer d.mu.Unlock()
	u := d.users[aor]
	for _, b := range bindings {
		s := PhoneStatus{
			Contact:   string(wire.WithoutPassword([]byte(b.Contact()))),
			Source:    b.Source().String(),
			UserAgent: b.UserAgent(),
			State:     StateOther,
			Binding:   b,
		}
		agent, _ := snom.ParseUserAgent(s.UserAgent)
		s.Model, s.Firmware = agent.Model, agent.Firmware
		id := textHash(b.Contact())
		hasKeys := d.hasKeys(s.UserAgent)
		if hasKeys && b != d.bindingOf(bindings, id) {
			continue // another flow of the same phone
		}
		if hasKeys {
			p := u.phoneOf(id)
			s.Keys = d.keyStatus(aor, b, p)
			s.State = stateOf(p, s.Keys)
		}
		all = append(all, s)
	}
	return all
}

// keyStatus returns the keys that the phone should show, and those that it should not and may. The
// caller holds the lock.
func (d *Delivery) keyStatus(aor string, b *location.Binding, p *phone) []KeyStatus {
	var all []KeyStatus
	otherUsers := d.otherUsers(p, b.UserAgent())
	for _, w := range d.want(aor, b.UserAgent()) {
		k := KeyStatus{Key: int(w.key), Wanted: true, OtherUser: otherUsers[w.key]}
		d.describe(p, &k, w.hash)
		all = append(all, k)
	}
	n := len(all)
	if p != nil {
		for _, state := range p.keys {
			key := int(state.key)
			if !slices.ContainsFunc(all[:n], func(k KeyStatus) bool { return k.Key == key }) {
				k := KeyStatus{Key: key}
				d.describe(p, &k, off(state.key).hash)
				all = append(all, k)
			}
		}
	}
	slices.SortFunc(all, func(a, b KeyStatus) int { return a.Key - b.Key })
	return all
}

// otherUsers returns the keys that other users on the device of a phone have, and who has them. The
// phone may be nil. The caller holds the lock.
func (d *Delivery) otherUsers(p *phone, userAgent string) (list map[uint16]string) {
	if p == nil {
		return nil
	}
	for _, q := range d.others(p) {
		if q.displaced != 0 {
			continue
		}
		for _, w := range d.want(q.user.aor, userAgent) {
			if list == nil {
				list = make(map[uint16]string)
			}
			list[w.key] = q.user.aor
		}
	}
	return list
}

// describe says what the phone, which may be unknown, has answered for a key.
func (d *Delivery) describe(p *phone, k *KeyStatus, hash uint64) {
	if p == nil {
		return
	}
	if state, ok := p.answer(uint16(k.Key), hash); ok {
		k.Status, k.At = int(state.status), time.Unix(int64(d.toWall(state.at)), 0).UTC()
		switch {
		case state.status == overwritten:
			k.Status, k.Overwritten = 0, true
			k.Error = "another user on the same phone has set this key"
			if k.OtherUser != "" {
				k.Error = k.OtherUser + " is on the same phone and has set this key"
			}
		case state.status < 300:
			k.Acknowledged = true
		default:
			k.Refused, k.Error = true, problem(k.Status, false)
		}
		return
	}
	if problem := p.problem(); problem != "" {
		k.Status, k.Error = int(p.status), problem
	}
}

// problem says why the phone gets nothing now, if there is a reason.
func (p *phone) problem() string {
	switch {
	case p.displaced != 0:
		return "another user has logged on at this phone: it gets its keys when it registers again"
	case p.unsupported && p.status == 0:
		return "the phone has never answered such a message: it seems to have no such keys"
	case p.unsupported:
		return "the phone answered " + strconv.Itoa(int(p.status)) + ": it has no such keys"
	case p.unreachable:
		return "the phone's connection has gone; it gets its keys when it registers again"
	case p.failures > 0:
		return problem(int(p.status), p.status == 0)
	}
	return ""
}

// problem says what an outcome means.
func problem(status int, timeout bool) string {
	switch {
	case status == 401 || status == 407:
		return "the phone wants a password for this: give the right one in credentials of keys, " +
			"or turn that off there"
	case status != 0:
		return "the phone answered " + strconv.Itoa(status)
	case timeout:
		return "the phone did not answer"
	}
	return "the phone could not be reached"
}

func stateOf(p *phone, keys []KeyStatus) string {
	switch {
	case p == nil && len(keys) == 0:
		return StateCurrent
	case p == nil:
		return StatePending
	case p.displaced != 0:
		return StateOverwritten
	case p.unsupported:
		return StateUnsupported
	case p.unreachable:
		return StateUnreachable
	case p.flight != nil:
		return StateSending
	case p.heapIndex != 0 && p.failures > 0:
		return StateRetrying
	case slices.ContainsFunc(keys, func(k KeyStatus) bool { return !k.Acknowledged && k.Error == "" }):
		return StatePending
	case slices.ContainsFunc(keys, func(k KeyStatus) bool { return k.Overwritten }):
		return StateOverwritten
	case slices.ContainsFunc(keys, func(k KeyStatus) bool { return !k.Acknowledged }):
		return StateRefused
	}
	return StateCurrent
}

// outcomes returns what the phones of an address-of-record have answered for the newest record of a
// key, and whether nothing more is to be expected of them. The caller holds the lock.
func (d *Delivery) outcomes(aor string, key int) (all []Outcome, done bool) {
	var room [8]*location.Binding
	bindings := d.options.Location.Lookup([]byte(aor), room[:0])
	u := d.users[aor]
	done = true
	for _, b := range bindings {
		id := textHash(b.Contact())
		if b != d.bindingOf(bindings, id) {
			continue
		}
		o := Outcome{Contact: string(wire.WithoutPassword([]byte(b.Contact())))}
		o.Acknowledged, o.Status, o.Error = d.outcome(aor, key, b, u.phoneOf(id))
		done = done && (o.Acknowledged || o.Error != "")
		all = append(all, o)
	}
	return all, done
}

// outcome returns what a phone has answered. Neither acknowledged nor an error: it may still
// answer.
func (d *Delivery) outcome(aor string, key int, b *location.Binding, p *phone) (
	acknowledged bool, status int, err string,
) {
	hash, isOff := off(uint16(key)).hash, true
	for _, w := range d.want(aor, b.UserAgent()) {
		if int(w.key) == key {
			hash, isOff = w.hash, false
		}
	}
	if p != nil {
		if _, ok := p.answer(uint16(key), hash); ok {
			k := KeyStatus{Key: key}
			d.describe(p, &k, hash)
			return k.Acknowledged, k.Status, k.Error
		}
		if p.unsupported || p.unreachable || p.displaced != 0 {
			return false, int(p.status), p.problem()
		}
	}
	if isOff {
		// Of a key that was off and acknowledged nothing is left.
		if p == nil {
			return true, 0, ""
		}
		_, found := findKey(p.keys, uint16(key))
		return !found, 0, ""
	}
	return false, 0, ""
}
