package location

import (
	"errors"
	"math"
	"slices"
	"strings"
	"unique"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

// Reasons why Update refuses a REGISTER. Nothing has changed then.
var (
	// ErrOutOfOrder: a later REGISTER with the same Call-ID has overtaken this one. RFC 3261 §10.3
	// step 7 demands a 500.
	ErrOutOfOrder = errors.New("a later REGISTER with the same Call-ID was served before this one")
	// ErrTooMany: the update has more Contacts than Update.Max, or with Refuse the
	// address-of-record would have more.
	ErrTooMany = errors.New(
		"the address-of-record has too many contacts: let one expire, remove one, or raise the limit",
	)
	// ErrTooLarge: address-of-record, Contact, Call-ID, instance and Path together exceed 65,535
	// bytes, more than a message may have.
	ErrTooLarge = errors.New("the contact is larger than a message may be")
)

// reorderWindow is for how many seconds a CSeq that is not higher means a request that was
// overtaken or retransmitted: 64*T1, after which its client transaction is over (RFC 3261
// §17.1.2.2, timer F). Later it is a phone that has restarted with its old Call-ID and counts from
// the beginning, as some do; RFC 3261 §10.3 would lock it out until its binding expires.
const reorderWindow = 32

// Update is one REGISTER. The store keeps nothing of it: it and the bytes it points to can be
// reused.
type Update struct {
	AOR    []byte // canonical, as wire.URI.AppendAOR writes it
	CallID []byte
	CSeq   uint32

	// Contacts are set, refreshed or removed, all of them or none. With no Contacts and without
	// RemoveAll, Update only looks up.
	Contacts []ContactUpdate
	// RemoveAll removes all bindings: "Contact: *" with Expires 0. Contacts is ignored then.
	RemoveAll bool

	// Owner is the authenticated user who registers, if he is not the user of the
	// address-of-record; empty: that user.
	Owner []byte

	Path      []byte // the values of Path, separated by commas (RFC 3327)
	Relayed   bool   // a proxy has relayed it
	UserAgent []byte
	Flow      transport.Flow // the flow it came over

	// Max is how many bindings an AOR may have; 0: any number. One that has more already can still
	// refresh and remove them. A Contact beyond that takes the place of one that is superseded,
	// else of one that cannot be reached any more, else of the one that has not been refreshed for
	// longest; with Refuse only of one that is superseded.
	Max    int
	Refuse bool
	// Limits are how much there may be in total.
	Limits Limits

	several bool    // it sets more than one Contact
	shared  *shared // what the bindings it sets have in common; nil: none is set yet
}

// ContactUpdate is one Contact of a REGISTER.
type ContactUpdate struct {
	URI      wire.URI // as wire.ParseURI parsed it, without error
	Expires  uint32   // seconds from now; 0 removes the binding
	Q        uint16   // q in thousandths, 0 to 1000; 1000 if the phone does not say
	Instance []byte   // +sip.instance, always with its quotes or always without; nil: none
	RegID    uint32   // reg-id; 0: none. Without an instance it is ignored (RFC 5626 §6).
}

// Result is what Update did. Its memory is reused when it is passed to Update again; the bindings
// may be kept.
type Result struct {
	// Bindings are what Lookup returns now: the Contacts of the answer.
	Bindings []*Binding
	// Changes are the differences. It is empty for a look-up, for a retransmission, and after an
	// error.
	Changes []Change

	expired []*Binding
	match   matching
}

// Change is a binding that was added (Old is nil), refreshed or superseded (both are set), or
// removed (New is nil). A binding that had expired is added again, not refreshed.
type Change struct {
	Old, New *Binding
	Replaced bool // it was removed because another Contact has taken its place

	contact int // which Contact of the update New is, when it is one
}

func (r *Result) reset() {
	r.Bindings, r.Changes, r.expired = r.Bindings[:0], r.Changes[:0], r.expired[:0]
}

// Update applies a REGISTER as RFC 3261 §10.3 steps 6 to 8 say. A retransmission of the REGISTER
// that set a binding changes nothing and is no error. The error is ErrOutOfOrder, ErrTooMany,
// ErrTooLarge, or that of the limit which was reached.
func (s *Store) Update(u *Update, r *Result) error {
	r.reset()
	if len(u.Contacts) == 0 && !u.RemoveAll {
		r.Bindings = s.Lookup(u.AOR, r.Bindings)
		return nil
	}
	if u.tooLarge() {
		return ErrTooLarge
	}
	u.begin()
	now := s.now()
	sh := s.shard(u.AOR)
	sh.mu.Lock()
	head := sh.bindings[string(u.AOR)]
	r.Bindings, r.expired = split(head, now.floor(), r.Bindings, r.expired)
	if u.compares(r.Bindings) {
		// What the comparison needs is computed without the lock.
		sh.mu.Unlock()
		r.match.prepare(u, r.Bindings)
		r.Bindings, r.expired = r.Bindings[:0], r.expired[:0]
		sh.mu.Lock()
		head = sh.bindings[string(u.AOR)]
		r.Bindings, r.expired = split(head, now.floor(), r.Bindings, r.expired)
	}
	defer r.match.end()
	r.match.begin(r.Bindings)
	before := len(r.Bindings)

	again, err := u.check(r, now.floor())
	if again || err != nil {
		sh.mu.Unlock()
		if err != nil {
			r.reset()
		}
		r.dropSuperseded()
		return err
	}
	s.apply(u, r, now)
	r.updateOthers(u)
	err = nil
	if u.Max > 0 && !r.makeRoom(max(u.Max, before), u.Refuse) {
		err = ErrTooMany
	} else {
		err = s.admit(u, r, before+len(r.expired))
	}
	if err != nil {
		s.undo(r)
		sh.mu.Unlock()
		r.reset()
		return err
	}

	var aor string
	switch {
	case head != nil:
		aor = head.AOR()
	case len(r.Bindings) > 0:
		aor = r.Bindings[0].AOR()
	}
	rekey := len(r.expired) > 0
	for _, b := range r.expired {
		b.next = nil
	}
	for _, c := range r.Changes {
		if c.Old != nil {
			c.Old.next = nil
			rekey = rekey || c.New == nil || c.New.data != c.Old.data ||
				c.New.shared != c.Old.shared
		}
	}
	s.set(sh, aor, r.Bindings, before+len(r.expired), rekey)
	sh.mu.Unlock()
	if len(r.Bindings) == 0 {
		aor = strings.Clone(aor) // keeping it must not keep the binding
	}
	r.dropSuperseded()
	s.notify(aor, r.Changes, r.expired)
	return nil
}

// Remove removes all bindings of a canonical address-of-record, whoever registered them, and
// appends them to dst.
func (s *Store) Remove(aor []byte, dst []*Binding) []*Binding {
	r := Result{Bindings: dst}
	sh := s.shard(aor)
	sh.mu.Lock()
	head := sh.bindings[string(aor)]
	if head == nil {
		sh.mu.Unlock()
		return dst
	}
	r.Bindings, r.expired = split(head, s.now().floor(), dst, nil)
	removed := r.Bindings[len(dst):]
	for _, list := range [...][]*Binding{removed, r.expired} {
		for _, b := range list {
			b.next = nil
			s.releaseBinding(b)
		}
	}
	s.set(sh, head.AOR(), nil, len(removed)+len(r.expired), true)
	sh.mu.Unlock()
	for _, b := range removed {
		r.Changes = append(r.Changes, Change{Old: b})
	}
	s.notify(strings.Clone(head.AOR()), r.Changes, r.expired)
	return r.Bindings
}

// dropSuperseded takes the superseded bindings, which are the last ones, off the list.
func (r *Result) dropSuperseded() {
	if i := slices.IndexFunc(r.Bindings, (*Binding).Superseded); i >= 0 {
		clear(r.Bindings[i:])
		r.Bindings = r.Bindings[:i]
	}
}

// tooLarge reports whether the texts of a Contact would not fit into the offsets of a binding.
func (u *Update) tooLarge() bool {
	rest := math.MaxUint16 - len(u.AOR) - len(u.CallID) - len(u.Path)
	for i := range u.Contacts {
		if c := &u.Contacts[i]; len(c.URI.Raw)+len(c.Instance) > rest {
			return true
		}
	}
	return false
}

// check compares the request's CSeq with that of the bindings it would change (RFC 3261 §10.3 steps
// 6 and 7). again means that this is a retransmission of the REGISTER that set one of them.
func (u *Update) check(r *Result, now uint32) (again bool, err error) {
	later := func(b *Binding) bool {
		return u.CSeq <= b.cseq && b.CallID() == string(u.CallID) && now-b.updated < reorderWindow
	}
	if !slices.ContainsFunc(r.Bindings, later) {
		return false, nil
	}
	if u.RemoveAll {
		return false, ErrOutOfOrder
	}
	for i := range u.Contacts {
		c := &u.Contacts[i]
		bound := c.bound(u, r.Bindings)
		for j, b := range r.Bindings {
			if !later(b) {
				continue
			}
			if !r.match.matches(u, i, r.Bindings, j, bound) {
				// It was overtaken by the one that has replaced its Contact.
				if u.CSeq < b.cseq && u.Flow.Remote == b.Source() && c.Expires > 0 && !bound &&
					c.continues(u, b) {
					return false, ErrOutOfOrder
				}
				continue
			}
			if u.CSeq < b.cseq || c.Expires == 0 {
				return false, ErrOutOfOrder
			}
			again = true
		}
	}
	return again, nil
}

// apply changes r.Bindings to what they become, and records the changes.
func (s *Store) apply(u *Update, r *Result, now instant) {
	if u.RemoveAll {
		for _, b := range r.Bindings {
			r.Changes = append(r.Changes, Change{Old: b})
		}
		r.Bindings = r.Bindings[:0]
		return
	}
	for i := range u.Contacts {
		c := &u.Contacts[i]
		var old *Binding
		kept, bound := 0, c.bound(u, r.Bindings)
		here := r.match.fromSameAddress(u, i, r.Bindings, bound)
		for j, b := range r.Bindings {
			switch {
			case !r.match.matches(u, i, r.Bindings, j, bound),
				here && b.Source().Addr() != u.Flow.Remote.Addr():
				r.Bindings[kept], r.match.bound[kept] = b, r.match.bound[j]
				kept++
			case old == nil && c.Expires > 0:
				old = b
			default:
				r.Changes = append(r.Changes, Change{Old: b})
			}
		}
		r.Bindings, r.match.bound = r.Bindings[:kept], r.match.bound[:kept]
		if c.Expires > 0 {
			b := s.binding(u, c, old, now)
			at := position(r.Bindings, b)
			r.Bindings = slices.Insert(r.Bindings, at, b)
			r.match.insert(at, i)
			r.Changes = append(r.Changes, Change{Old: old, New: b, contact: i})
		}
	}
}

// position returns where b belongs in the list: before those that are superseded, unless it is one
// itself, before all others that have a lower q, or the same q and were not refreshed later.
func position(list []*Binding, b *Binding) int {
	for i, other := range list {
		switch {
		case other.Superseded() != b.Superseded():
			if other.Superseded() {
				return i
			}
		case other.Q() != b.Q():
			if other.Q() < b.Q() {
				return i
			}
		case other.updated <= b.updated:
			return i
		}
	}
	return len(list)
}

// binding returns the binding that c asks for, which replaces old unless that is nil.
func (s *Store) binding(u *Update, c *ContactUpdate, old *Binding, now instant) *Binding {
	expires := min(uint64(now.ceil())+uint64(c.Expires), math.MaxUint32)
	b := &Binding{
		conn:       u.Flow.Conn,
		expires:    uint32(expires),
		registered: now.floor(),
		updated:    now.floor(),
		cseq:       u.CSeq,
		sourcePort: u.Flow.Remote.Port(),
		qFlags:     c.Q,
	}
	if len(c.Instance) > 0 {
		b.regID = c.RegID
	}
	if u.Relayed {
		b.qFlags |= relayed
	}
	if c.hasOtherUser(u) {
		b.qFlags |= indexed
	}
	if old != nil {
		b.registered = old.registered
		b.qFlags |= old.qFlags & confirmed
	}
	if old != nil && old.shared.fits(u) {
		b.shared, u.shared = old.shared, old.shared
	} else {
		b.shared = s.share(u)
	}
	from := socketOf(u.Flow)
	if old != nil && old.socket.Value() == from {
		b.socket = old.socket
	} else {
		b.socket = unique.Make(from)
	}
	b.setData(u, c, old)
	return b
}

// setData sets the texts that are not shared. If they are as before, the block is shared with old.
func (b *Binding) setData(u *Update, c *ContactUpdate, old *Binding) {
	ip := u.Flow.Remote.Addr()
	if old != nil && old.shared.several() == u.several &&
		old.CallID() == string(u.CallID) && old.Contact() == string(c.URI.Raw) &&
		old.Instance() == string(c.Instance) && old.Path() == string(u.Path) &&
		old.Source().Addr() == ip {
		b.data, b.ends = old.data, old.ends
		return
	}
	ip16 := ip.As16()
	address := ip16[16-ip.BitLen()/8:]
	aor, callID, path := u.AOR, u.CallID, u.Path
	if u.several {
		aor, callID, path = nil, nil, nil
	}
	var text strings.Builder
	text.Grow(len(aor) + len(c.URI.Raw) + len(callID) + len(c.Instance) + len(path) +
		len(address))
	for i, part := range [...][]byte{aor, c.URI.Raw, callID, c.Instance} {
		text.Write(part)
		b.ends[i] = uint16(text.Len())
	}
	text.Write(path)
	text.Write(address)
	b.data = text.String()
}

// begin prepares the update: it counts whether more than one Contact is set.
func (u *Update) begin() {
	set := 0
	for i := range u.Contacts {
		if u.Contacts[i].Expires > 0 {
			set++
		}
	}
	u.several, u.shared = set > 1, nil
}
