package register

import (
	"bytes"
	"strings"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/module"
)

// The limits that registrations are refused by.
var (
	tooManyContacts      = engine.RegistrationRefused("max_contacts")
	tooManyRegistrations = engine.RegistrationRefused("registrations")
	tooManyBytes         = engine.RegistrationRefused("registration_bytes")
	tooManyForOthers     = engine.RegistrationRefused("user")
	noMemory             = engine.RegistrationRefused("memory")
)

// full returns the counter of the limit that a registration was refused by, nil for other errors.
func full(err error) prometheus.Counter {
	switch err {
	case location.ErrBindings:
		return tooManyRegistrations
	case location.ErrBytes:
		return tooManyBytes
	case location.ErrOwner:
		return tooManyForOthers
	case location.ErrMemory:
		return noMemory
	}
	return nil
}

// owner returns who registers somebody else's address-of-record: what one has at his own is limited
// by MaxContacts.
func owner(r *module.Request, aor []byte) []byte {
	user := r.AuthUser()
	if user == "" || user == string(aor) {
		return nil
	}
	name := aor[:max(bytes.LastIndexByte(aor, '@'), 0)]
	if user == string(name) || strings.HasPrefix(user, string(name)+"@") {
		return nil
	}
	return []byte(user[:min(len(user), maxText)])
}

// ownerShare is which part of all registrations one user may make for others.
const ownerShare = 10

// limitsOf returns how much a registrar of a server may hold.
func limitsOf(s *module.Server) (l location.Limits) {
	l.Bindings, l.Bytes = s.Limits.Registered()
	l.OwnerBindings, l.OwnerBytes = max(l.Bindings/ownerShare, 1), max(l.Bytes/ownerShare, 1)
	return l
}
