package module

import (
	"fmt"
	"net/netip"
	"strings"

	"github.com/caddysip/caddysip/internal/domains"
	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/wire"
)

// CheckDomain returns a domain, which may be an address, as it stands in URIs, or says what is
// wrong with it.
func CheckDomain(text string) (string, error) {
	name := text
	if addr, err := netip.ParseAddr(name); err == nil && addr.Is6() {
		name = "[" + name + "]"
	}
	u, err := wire.ParseURI([]byte("sip:" + name))
	if err != nil || string(u.Host) != name {
		return "", fmt.Errorf("'%s' is not a domain: write a host name or an address, "+
			"without a port", text)
	}
	return name, nil
}

// provisionDomain replaces the placeholders in a domain of the configuration, and checks it.
func provisionDomain(name *string) error {
	text, err := globals.Text(*name)
	if err == nil {
		*name, err = CheckDomain(text)
	}
	return err
}

// ParseAOR reads an address-of-record as people write it: user, user@domain or sip:user@domain. A
// user alone is one of the first domain. It returns the address-of-record in the canonical form
// that registrations and keys have, user@domain, and whether it is of a domain that we serve; one
// of another domain may have been served once.
func (a *App) ParseAOR(text string) (aor string, served bool, err error) {
	user, host := domains.CutScheme(text), a.domains.Primary()
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
	return string(b), served || strings.EqualFold(host, a.domains.Primary()), nil
}

// canonicalAOR returns an address-of-record, or a pattern, as profiles match it: one at any of our
// addresses becomes one at the domain that we serve. One without a domain is a user of any domain.
func (a *App) canonicalAOR(text string) string {
	text = domains.CutScheme(text)
	at := strings.LastIndexByte(text, '@')
	if at < 0 {
		return text
	}
	host := text[at+1:]
	if aor, served, err := a.ParseAOR("user@" + host); err == nil && served {
		host = strings.TrimPrefix(aor, "user@")
	}
	return text[:at+1] + strings.ToLower(host)
}

// AppendAOR appends the canonical address-of-record that a URI names (RFC 3261 §10.3 step 5), and
// reports whether it is one at a domain that we serve. All our addresses stand for the first
// domain, so that a phone is found however it names the server.
func (a *App) AppendAOR(dst []byte, u *wire.URI) ([]byte, bool) {
	return a.domains.AppendAOR(dst, u)
}

// AllDomains returns the domains that users may be registered at: the configured ones, or the one
// that stands for all our names and addresses.
func (a *App) AllDomains() []string {
	if len(a.Domains) > 0 {
		return a.Domains
	}
	return []string{a.domains.Primary()}
}

// IsLocal reports whether a host is a domain or an address that we serve, or a name that leads to
// one of our addresses.
func (a *App) IsLocal(host []byte) bool { return a.domains.Local(host) }

// Remember records that a name leads to an address that we listen on. For some minutes it is one of
// ours.
func (a *App) Remember(name string) { a.domains.Remember(name) }

// IsSelf reports whether a URI names this server itself: a host of ours, and a port we listen on,
// or none.
func (a *App) IsSelf(u *wire.URI) bool { return a.domains.Self(u) }

// Serves reports whether a URI is one at the domains that we serve: its host is, and so is its port
// if it has one. A configured domain is served whatever the port, which may be forwarded to us.
func (a *App) Serves(u *wire.URI) bool { return a.domains.Serves(u) }
