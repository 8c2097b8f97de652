package engine

import (
	"net/netip"
	"strings"
	"time"
)

// authenticatedTime is how long an address counts as one of those that users are at. It is longer than registrations
// are as a rule, and each refresh of one begins it anew.
const authenticatedTime = 24 * time.Hour

// authenticatedBits has 262,144 users and addresses remembered, in 4.5 MiB at most.
const authenticatedBits = 16

// MarkAuthenticated remembers that a user has shown at an address that he has a right password.
func (e *Engine) MarkAuthenticated(addr netip.Addr, user string) {
	e.authenticated.Set(addr, "", authenticatedTime)
	e.authenticated.Set(addr, user, authenticatedTime)
}

// HasUsers reports whether any user is known to be at an address.
func (e *Engine) HasUsers(addr netip.Addr) bool { return e.authenticated.Has(addr, "") }

// HasUser reports whether this user is known to be at an address.
func (e *Engine) HasUser(addr netip.Addr, user string) bool { return e.authenticated.Has(addr, user) }

// markRestored has a user at the address that he had registered from before the server started.
func (e *Engine) markRestored(addr netip.Addr, aor string) {
	user := aor
	if i := strings.LastIndexByte(aor, '@'); i >= 0 {
		user = aor[:i]
	}
	e.MarkAuthenticated(addr, user)
}

// Ban bans a source for what it does, unless users are there: many phones stand behind the address of an office, and one
// of them must not have them all banned. It reports whether the source was not banned before, and is now.
func (e *Engine) Ban(addr netip.Addr, d time.Duration, reason string) bool {
	return !e.HasUsers(addr) && e.Bans.Ban(addr, d, reason)
}
