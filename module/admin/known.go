package admin

import "fmt"

// unknown returns a warning about keys for a user whom nothing here has ever heard of: most likely
// the name is mistyped. Empty: somebody may be meant.
func (a *api) unknown(aor string) string {
	if a.location.Registered([]byte(aor)) || a.location.Known([]byte(aor)) || a.delivery.Knows(aor) ||
		a.keys.Names(aor) || a.inside.MayKnow(aor) {
		return ""
	}
	return fmt.Sprintf("nobody is known as %s: no phone has registered so since the server started, and no user "+
		"or member has that name. The key waits for such a phone", aor)
}
