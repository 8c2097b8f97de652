package engine

import (
	"net/netip"
	"strings"
	"time"
)

// authenticatedTime is how long an address counts as one where a user is. It is longer than most
// registrations last, and every authenticated refresh starts it again.
const authenticatedTime = 24 * time.Hour

// authenticatedBits makes room for 262,144 pairs of user and address, in at most 4.5 MiB.
const authenticatedBits = 16

// MarkAuthenticated records, for 24 hours, that a user has authenticated with the right password
// from an address.
func (e *Engine) MarkAuthenticated(addr netip.Addr, user string) {
	e.authenticated.Set(addr, "", authenticatedTime)
	e.authenticated.Set(addr, user, authenticatedTime)
}

// HasUsers reports whether any user has authenticated from addr within the last 24 hours.
func (e *Engine) HasUsers(addr netip.Addr) bool { return e.authenticated.Has(addr, "") }

// HasUser reports whether this user has authenticated from addr within the last 24 hours.
func (e *Engine) HasUser(addr netip.Addr, user string) bool {
	return e.authenticated.Has(addr, user)
}

// markRestored counts the user of a restored registration as authenticated from the address that he
// registered from before the server started.
func (e *Engine) markRestored(addr netip.Addr, aor string) {
	user := aor
	if i := strings.LastIndexByte(aor, '@'); i >= 0 {
		user = aor[:i]
	}
	e.MarkAuthenticated(addr, user)
}

// Ban bans a source for d, unless users are there: many phones share the public address of an
// office, and one of them must not get all of them banned. It reports whether the source was not
// banned before and is now.
func (e *Engine) Ban(addr netip.Addr, d time.Duration, reason string) bool {
	return !e.HasUsers(addr) && e.Bans.Ban(addr, d, reason)
}
