package digestauth

import (
	"bytes"
	"strings"

	"github.com/caddysip/caddysip/internal/sip/digest"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// mayActAs reports whether a user may act as From says, and register who is in To. A realm that is
// the name of a domain binds its users to that domain, else the user 101 of one customer could be
// the user 101 of another; where the realm is no domain, or none was given, they are users of all
// that are served.
func (h *DigestAuth) mayActAs(user string, r *module.Request) bool {
	if h.Identity == Any {
		return true
	}
	_, from := r.From()
	if !h.namesUser(user, &from) {
		return false
	}
	if r.Message().Method != wire.REGISTER {
		return true
	}
	_, to := r.To()
	return h.namesUser(user, &to)
}

// namesUser reports whether a URI names a user. A user's name with a domain in it stands for the
// whole address-of-record.
func (h *DigestAuth) namesUser(user string, u *wire.URI) bool {
	var room [128]byte
	aor, ours := h.app.AppendAOR(room[:0], u)
	if !ours {
		return false
	}
	at := bytes.LastIndexByte(aor, '@')
	name, domain := aor[:at], aor[at+1:]
	if own := strings.LastIndexByte(user, '@'); own >= 0 {
		return string(name) == user[:own] && string(domain) == domainOf(h.app, user[own+1:])
	}
	return string(name) == user && (h.domain == "" || string(domain) == h.domain)
}

// registeredHere reports whether a request comes from where the user whom it is from has a binding.
func (h *DigestAuth) registeredHere(user string, r *module.Request) bool {
	_, from := r.From()
	if !h.namesUser(user, &from) {
		return false
	}
	var room [128]byte
	aor, ok := h.app.AppendAOR(room[:0], &from)
	return ok && r.RegisteredHere(aor)
}

// domainOf returns a host as it is in an address-of-record, empty when it is no domain of ours.
func domainOf(app *module.App, host string) string {
	u := wire.URI{Scheme: wire.SIP, User: []byte("x"), Host: []byte(host)}
	aor, ours := app.AppendAOR(nil, &u)
	if !ours {
		return ""
	}
	return string(aor[len("x@"):])
}

// sameURI reports whether credentials were made for a URI: the request's (RFC 7616 §3.4.6). Clients
// write it with other parameters, or without the port, and give any of our names and addresses for
// another: what counts is who is called, and where.
func (h *DigestAuth) sameURI(c *digest.Credentials, to *wire.URI) bool {
	if h.URI == Any || bytes.Equal(c.URI, to.Raw) {
		return true
	}
	u, err := wire.ParseURI(c.URI)
	if err != nil || (u.Scheme == wire.TEL) != (to.Scheme == wire.TEL) || u.Scheme == wire.OtherScheme {
		return false
	}
	var room [2][128]byte
	if !bytes.Equal(wire.AppendUnescaped(room[0][:0], u.User), wire.AppendUnescaped(room[1][:0], to.User)) {
		return false
	}
	return wire.EqualFold(u.Host, to.Host) || h.app.IsLocal(u.Host) && h.app.IsLocal(to.Host)
}

func addressOf(r *module.Request, id wire.HeaderID) []byte {
	_, u := r.Address(id)
	return append(append(bytes.Clone(u.User), '@'), u.Host...)
}
