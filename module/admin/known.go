package admin

import "fmt"

// warnUnknown returns a warning about keys for a user who is not known at all: most likely the name
// is mistyped. It is empty if there may be such a user.
func (a *api) warnUnknown(aor string) string {
	if a.location.Registered([]byte(aor)) || a.location.Known([]byte(aor)) ||
		a.delivery.Knows(aor) || a.keys.Names(aor) || a.inside.MayKnow(aor) {
		return ""
	}
	return fmt.Sprintf("nobody is known as %s: no phone has registered so since the server "+
		"started, and no user or member has that name. The key waits for such a phone", aor)
}
