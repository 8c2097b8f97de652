package location

import (
	"errors"

	"github.com/caddysip/caddysip/internal/budget"
)

// Limits are how much there may be for an update to add more. What is there can be refreshed and removed in any case. 0 is no limit.
type Limits struct {
	Bindings int   // of all users
	Bytes    int64 // that they take

	// Of those that Update.Owner has registered for others.
	OwnerBindings int
	OwnerBytes    int64
}

// Why Update adds nothing more. RFC 3261 §21.5.4 has a 503 for that.
var (
	ErrBindings = errors.New("there are as many registrations as limits allow: raise registrations there")
	ErrBytes    = errors.New("registrations take as many bytes as limits allow: raise registration_bytes there")
	ErrOwner    = errors.New("this user has registered as much for others as one user may")
	ErrMemory   = errors.New("registrations take as much of the memory as they may")
)

const (
	// bindingCost is what a binding takes beside its texts: itself, and its share of the map.
	bindingCost = 144
	// usualCost is what a refresh may always come to.
	usualCost = 1024
)

// cost is what a binding takes of its own. The allocator rounds up.
func (b *Binding) cost() int { return bindingCost + (len(b.data)+15)&^15 }

// force counts bytes.
func (s *Store) force(n int) {
	if n == 0 {
		return // as with every refresh
	}
	s.bytes.Add(int64(n))
	s.options.Budget.Force(budget.Bindings, n)
}

// Bytes returns how many bytes the bindings take.
func (s *Store) Bytes() int64 { return s.bytes.Load() }

// hold counts a binding that is added (n is 1) or has gone (n is -1), but not what it shares.
func (s *Store) hold(b *Binding, n int) {
	s.force(n * b.cost())
	s.own(b, n)
}

// own counts a binding for whoever registered it for somebody else.
func (s *Store) own(b *Binding, n int) {
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
			t.owners = make(map[string]*holding)
		}
		h = new(holding)
		t.owners[owner] = h
	}
	h.bindings += n
	h.bytes += int64(n * b.cost())
	if h.bindings == 0 {
		delete(t.owners, owner)
	}
}

// letGo counts a binding that has gone.
func (s *Store) letGo(b *Binding) {
	s.hold(b, -1)
	s.unshare(b.shared)
}

// admit counts the changes of an update, or refuses them. before is how many bindings there were, those that have expired counted in.
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
		if err := s.room(u, added, bytes); err != nil {
			return err
		}
	} else {
		s.force(bytes)
	}
	for i := range r.Changes {
		c := &r.Changes[i]
		if c.New != nil {
			s.own(c.New, 1)
		}
		if c.Old != nil {
			s.own(c.Old, -1)
			if c.New == nil || c.New.shared != c.Old.shared {
				s.unshare(c.Old.shared)
			}
		}
	}
	for _, b := range r.expired {
		s.letGo(b)
	}
	return nil
}

// room takes the bytes of what an update adds.
func (s *Store) room(u *Update, added, bytes int) error {
	l := &u.Limits
	if added > 0 && l.Bindings > 0 && s.bindings.Load()+int64(added) > int64(l.Bindings) {
		return ErrBindings
	}
	if l.Bytes > 0 && s.bytes.Load()+int64(bytes) > l.Bytes {
		return ErrBytes
	}
	if len(u.Owner) > 0 {
		s.interner.mu.Lock()
		var h holding
		if p := s.interner.owners[string(u.Owner)]; p != nil {
			h = *p
		}
		s.interner.mu.Unlock()
		if l.OwnerBindings > 0 && h.bindings+added > l.OwnerBindings || l.OwnerBytes > 0 && h.bytes+int64(bytes) > l.OwnerBytes {
			return ErrOwner
		}
	}
	if !s.options.Budget.Take(budget.Bindings, bytes) {
		return ErrMemory
	}
	s.bytes.Add(int64(bytes))
	return nil
}

// undo lets go of what the changes of a refused update have taken.
func (s *Store) undo(r *Result) {
	for i := range r.Changes {
		if c := &r.Changes[i]; c.New != nil && (c.Old == nil || c.New.shared != c.Old.shared) {
			s.unshare(c.New.shared)
		}
	}
}
