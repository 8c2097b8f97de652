package proxy

import (
	"bytes"
	"strings"

	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// asserted are the header fields by which one network tells another who somebody is, how a call
// came about, and who pays for it. Only a neighbour that is trusted may say so; from anybody else
// they are removed (RFC 3325 §5).
var asserted = wire.NewFieldSet(
	"P-Asserted-Identity",             // RFC 3325 §9.1
	"P-Preferred-Identity",            // RFC 3325 §9.2: a hint for the first proxy only
	"Remote-Party-ID", "RPID-Privacy", // draft-ietf-sip-privacy, which many PBXs still believe
	"Diversion", "CC-Diversion", // RFC 5806
	"History-Info",                     // RFC 7044: it says what Diversion does
	"P-Asserted-Service",               // RFC 6050
	"P-Served-User",                    // RFC 5502
	"P-Profile-Key",                    // RFC 5002
	"P-User-Database",                  // RFC 4457
	"P-Private-Network-Indication",     // RFC 7316
	"P-Charge-Info",                    // RFC 8496
	"P-Charging-Vector",                // RFC 7315, and the next five
	"P-Charging-Function-Addresses",    //
	"P-Access-Network-Info",            //
	"P-Visited-Network-ID",             //
	"P-Called-Party-ID",                //
	"P-Associated-URI",                 //
	"P-DCS-Trace-Party-ID",             // RFC 5503, and the next four
	"P-DCS-OSPS", "P-DCS-Billing-Info", //
	"P-DCS-LAES", "P-DCS-Redirect", //
)

// callerID are those of them that Privacy: id keeps from whoever is not trusted (RFC 3325 §7).
var callerID = wire.NewFieldSet("P-Asserted-Identity", "Remote-Party-ID", "P-Preferred-Identity")

const privacy = "Privacy"

// screened are all fields that screen may remove.
var screened = wire.NewFieldSet(append(asserted.Names(), privacy)...)

// screen removes what the one the message goes to must not read of identities, or not believe.
// Privacy (RFC 3323) from somebody untrusted is done here, and goes on only to those who are
// trusted to do it: to a trunk, which withholds the number.
func screen(e *wire.Edits, m *wire.Message, fromTrusted, toTrusted bool) {
	if !m.HasAny(screened) {
		return
	}
	switch {
	case !fromTrusted:
		e.DeleteHeaders(m, asserted)
		if !toTrusted {
			e.DeleteHeader(m, privacy)
		}
	case !toTrusted && wantsPrivacy(m):
		e.DeleteHeaders(m, callerID)
	}
}

// wantsPrivacy reports whether the message has Privacy: id.
func wantsPrivacy(m *wire.Message) bool {
	for it := m.Lines(privacy); it.Next(); {
		for _, v := range bytes.FieldsFunc(it.Value(), func(c rune) bool { return c == ';' || c == ',' || c == ' ' || c == '\t' }) {
			if wire.EqualFold(v, "id") {
				return true
			}
		}
	}
	return false
}

// screenRequest has the request tell the branch's target no more than screen lets pass, and who has
// authenticated, if that is wanted.
func (b *branch) screenRequest(e *wire.Edits, m *wire.Message) {
	c := b.c
	from, to := c.trusted, c.p.server.Trusts(b.at.Addr.Addr())
	screen(e, m, from, to)
	user := c.r.AuthUser()
	switch {
	case !c.p.AssertIdentity || user == "" || m.Method == wire.ACK: // RFC 3325 §9.1 has none in ACK
	case !to && wantsPrivacy(m):
	case from && len(c.r.Header("P-Asserted-Identity")) > 0: // the neighbour knows better
	default:
		e.AddHeader(m, "P-Asserted-Identity", "<"+c.p.uriOf(user, c.r)+">")
	}
}

// uriOf returns the URI of a user who has authenticated. One whose name has no domain is at that of
// his From, if that is ours.
func (p *Proxy) uriOf(user string, r *module.Request) string {
	if strings.Contains(user, "@") {
		return module.AddressURI(user)
	}
	if _, from := r.From(); p.app.IsLocal(from.Host) {
		return module.AddressURI(user + "@" + string(from.Host))
	}
	// A telephone number is at the first of our domains.
	aor, _ := p.app.AppendAOR(nil, &wire.URI{Scheme: wire.TEL, User: []byte("x")})
	return module.AddressURI(user + string(aor[1:]))
}

// screenResponse is screen for a response from the branch's target.
func (b *branch) screenResponse(m *wire.Message) *wire.Message {
	c := b.c
	if !m.HasAny(screened) {
		return m
	}
	var e wire.Edits
	screen(&e, m, c.p.server.Trusts(b.at.Addr.Addr()), c.trusted)
	clean := new(wire.Message)
	if e.Len() == 0 || clean.Parse(e.Append(nil, m.Raw)) != nil {
		return m
	}
	return clean
}
