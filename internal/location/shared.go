package location

import (
	"strings"
	"sync"
)

// shared is what several bindings have in common, kept once for all of them: for phones of one
// model the User-Agent, and for the Contacts of one REGISTER, if it had several, everything that is
// not a Contact's own.
type shared struct {
	agent string
	owner string // who registered them, when that is not the address-of-record's own user

	// Set for a REGISTER with several Contacts; else they are in the binding's data.
	aor, callID, path string

	refs int // number of bindings; guarded by the interner's lock
}

// several reports whether p belongs to a REGISTER with several Contacts.
func (p *shared) several() bool { return p.aor != "" }

// sharedCost is how many bytes a shared takes besides its texts, with its slot in the map.
const sharedCost = 192

// cost returns how many bytes p takes.
func (p *shared) cost() int {
	return sharedCost + len(p.agent) + len(p.owner) + len(p.aor) + len(p.callID) + len(p.path)
}

type sharedKey struct{ agent, owner string }

// interner holds what is shared, and accounts for what each owner has registered for others.
type interner struct {
	mu     sync.Mutex
	shared map[sharedKey]*shared
	owners map[string]*ownerUsage
}

// ownerUsage is how much one owner has registered for others.
type ownerUsage struct {
	bindings int
	bytes    int64
}

// fits reports whether p is what the update's bindings share.
func (p *shared) fits(u *Update) bool {
	if p.agent != string(u.UserAgent) || p.owner != string(u.Owner) || p.several() != u.several {
		return false
	}
	return !u.several || p.callID == string(u.CallID) && p.path == string(u.Path) &&
		p.aor == string(u.AOR)
}

// share returns what a new binding of the update shares with others. The caller does not hold the
// interner's lock.
func (s *Store) share(u *Update) *shared {
	t := &s.interner
	t.mu.Lock()
	defer t.mu.Unlock()
	p := u.shared
	if p == nil && !u.several {
		p = t.shared[sharedKey{string(u.UserAgent), string(u.Owner)}]
	}
	if p == nil || p.refs == 0 {
		// The texts are slices of one block.
		agent, owner, aor, callID, path := len(u.UserAgent), len(u.Owner), 0, 0, 0
		var text strings.Builder
		text.Write(u.UserAgent)
		text.Write(u.Owner)
		if u.several {
			aor, callID, path = len(u.AOR), len(u.CallID), len(u.Path)
			text.Write(u.AOR)
			text.Write(u.CallID)
			text.Write(u.Path)
		}
		rest := text.String()
		cut := func(n int) (text string) {
			text, rest = rest[:n], rest[n:]
			return text
		}
		p = &shared{
			agent:  cut(agent),
			owner:  cut(owner),
			aor:    cut(aor),
			callID: cut(callID),
			path:   cut(path),
		}
		if !u.several {
			if t.shared == nil {
				t.shared = make(map[sharedKey]*shared)
			}
			t.shared[sharedKey{p.agent, p.owner}] = p
		}
		s.force(p.cost())
	}
	p.refs++
	u.shared = p
	return p
}

// unshare releases p for a binding that is gone.
func (s *Store) unshare(p *shared) {
	t := &s.interner
	t.mu.Lock()
	defer t.mu.Unlock()
	if p.refs--; p.refs > 0 {
		return
	}
	s.force(-p.cost())
	if p.several() {
		return
	}
	if key := (sharedKey{p.agent, p.owner}); t.shared[key] == p {
		if delete(t.shared, key); len(t.shared) == 0 {
			t.shared = nil // a map does not shrink
		}
	}
}
