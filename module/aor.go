package module

import (
	"fmt"
	"strings"

	"github.com/caddysip/caddysip/wire"
)

// ParseAOR reads an address-of-record as people write it: user, user@domain or sip:user@domain. A
// user alone is one of the first domain. It returns the address-of-record in the canonical form that
// registrations and keys have, user@domain, and whether it is of a domain that we serve; one of
// another domain may have been served once.
func (a *App) ParseAOR(text string) (aor string, served bool, err error) {
	user, host := strings.TrimPrefix(text, "sip:"), a.domains.primary
	if at := strings.LastIndexByte(user, '@'); at >= 0 {
		user, host = user[:at], user[at+1:]
	}
	u, err := wire.ParseURI([]byte("sip:" + escapeUser(user) + "@" + host))
	if err != nil || user == "" || u.Params != nil || u.Headers != nil {
		return "", false, fmt.Errorf("%q is no address-of-record: it is user or user@domain", text)
	}
	b, served := a.AppendAOR(nil, &u)
	if !served {
		b = u.AppendAOR(nil)
	}
	return string(b), served || strings.EqualFold(host, a.domains.primary), nil
}
