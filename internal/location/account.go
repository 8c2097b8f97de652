package location

import (
	"errors"

	"github.com/caddysip/caddysip/internal/budget"
)

// Limits are the totals beyond which Update adds nothing more. What is there already can still be
// refreshed and removed. 0 means no limit.
type Limits struct {
	Bindings int   // of all users together
	Bytes    int64 // that these bindings take

	// What Update.Owner may have registered for others.
	OwnerBindings int
	OwnerBytes    int64
}

// Reasons why Update adds nothing more. RFC 3261 §21.5.4 provides 503 for them.
var (
	ErrBindings = errors.New(
		"there are as many registrations as limits allow: raise registrations there",
	)
	ErrBytes = errors.New(
		"registrations take as many bytes as limits allow: raise registration_bytes there",
	)
	ErrOwner  = errors.New("this user has registered as much for others as one user may")
	ErrMemory = errors.New("registrations take as much of the memory as they may")
)

const (
	// bindingCost is what a binding takes besides its texts: itself, and its share of the map.
	bindingCost = 144
	// usualCost is what a refreshed binding may always grow to, whatever the limits say.
	usualCost = 1024
)

// cost returns how many bytes a binding takes that it shares with no other. The allocator rounds up
// to 16 bytes.
func (b *Binding) cost() int {
	n := bindingCost + (len(b.data)+15)&^15
	if b.qFlags&indexed != 0 {
		n += contactCost
	}
	return n
}

// force adds n bytes, which may be negative, without asking whether there is room.
func (s *Store) force(n int) {
	if n == 0 {
		return // the usual case, a refresh
	}
	s.bytes.Add(int64(n))
	s.options.Budget.Force(budget.Bindings, n)
}

// Bytes returns how many bytes of memory the bindings take.
func (s *Store) Bytes() int64 { return s.bytes.Load() }

// charge accounts for a binding that is added (n is 1) or gone (n is -1), but not for what it
// shares with others.
func (s *Store) charge(b *Binding, n int) {
	s.force(n * b.cost())
	s.track(b, n)
}

// track enters a binding in the index, and counts it for the user who registered it for somebody
// else (n is 1), or undoes that (n is -1).
func (s *Store) track(b *Binding, n int) {
	s.index(b, n)
	owner := b.shared.owner
	if owner == "" {
		return
	}
	t := &s.interner
	t.mu.Lock()
	defer t.mu.Unlock()
	h := t.owners[owner]
	if h == nil {
		if t.owners == nil {
			t.owners = make(map[string]*ownerUsage)
		}
		h = new(ownerUsage)
		t.owners[owner] = h
	}
	h.bindings += n
	h.bytes += int64(n * b.cost())
	if h.bindings == 0 {
		delete(t.owners, owner)
	}
}

// releaseBinding accounts for a binding that is gone, what it shares included.
func (s *Store) releaseBinding(b *Binding) {
	s.charge(b, -1)
	s.unshare(b.shared)
}

// admit accounts for the changes of an update, or refuses them. before is how many bindings there
// were, including those that have expired.
func (s *Store) admit(u *Update, r *Result, before int) error {
	bytes, large := 0, false
	for i := range r.Changes {
		c := &r.Changes[i]
		if c.New != nil {
			bytes += c.New.cost()
			large = large || c.New.cost() > usualCost
		}
		if c.Old != nil {
			bytes -= c.Old.cost()
		}
	}
	added := len(r.Bindings) - before
	if added > 0 || large && bytes > 0 {
		if err := s.reserve(u, added, bytes); err != nil {
			return err
		}
	} else {
		s.force(bytes)
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		if c.New != nil {
			s.track(c.New, 1)
		}
		if c.Old != nil {
			s.track(c.Old, -1)
			if c.New == nil || c.New.shared != c.Old.shared {
				s.unshare(c.Old.shared)
			}
		}
	}
	for _, b := range r.expired {
		s.releaseBinding(b)
	}
	return nil
}

// reserve takes the bytes of what an update adds, or returns which limit they would exceed.
func (s *Store) reserve(u *Update, added, bytes int) error {
	l := &u.Limits
	if added > 0 && l.Bindings > 0 && s.bindings.Load()+int64(added) > int64(l.Bindings) {
		return ErrBindings
	}
	if l.Bytes > 0 && s.bytes.Load()+int64(bytes) > l.Bytes {
		return ErrBytes
	}
	if len(u.Owner) > 0 {
		s.interner.mu.Lock()
		var h ownerUsage
		if p := s.interner.owners[string(u.Owner)]; p != nil {
			h = *p
		}
		s.interner.mu.Unlock()
		if l.OwnerBindings > 0 && h.bindings+added > l.OwnerBindings ||
			l.OwnerBytes > 0 && h.bytes+int64(bytes) > l.OwnerBytes {
			return ErrOwner
		}
	}
	if !s.options.Budget.Take(budget.Bindings, bytes) {
		return ErrMemory
	}
	s.bytes.Add(int64(bytes))
	return nil
}

// undo releases what the new bindings of a refused update share.
func (s *Store) undo(r *Result) {
	for i := range r.Changes {
		if c := &r.Changes[i]; c.New != nil && (c.Old == nil || c.New.shared != c.Old.shared) {
			s.unshare(c.New.shared)
		}
	}
}
