package module

import (
	"errors"
	"fmt"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/wire"
)

// ReplaceURI replaces the placeholders in a URI of the configuration, and reads it. What they bring
// into the user part is escaped as RFC 3261 §19.1.2 asks, so that no text that came with a request
// makes another URI of it.
func (r *Request) ReplaceURI(text string) (wire.URI, error) {
	if strings.IndexByte(text, '{') >= 0 {
		user, rest := "", text
		if at := strings.LastIndexByte(text, '@'); at >= 0 {
			user, rest = text[:at], text[at:]
		}
		if strings.IndexByte(user, '{') >= 0 {
			var err error
			user, err = r.Replacer().ReplaceFunc(user, func(_ string, val any) (any, error) {
				return escapeUser(caddy.ToString(val)), nil
			})
			if err != nil {
				return wire.URI{}, err
			}
		}
		text = user + r.Replace(rest)
	}
	return ParseURI(text)
}

// ParseURI reads a URI that requests can be sent to, or that a client can be referred to: sip, sips
// or tel.
func ParseURI(text string) (wire.URI, error) {
	u, err := wire.ParseURI([]byte(text))
	switch {
	case err == nil && u.Scheme == wire.OtherScheme:
		err = errors.New("the scheme is not sip, sips or tel")
	case err == nil && u.Scheme == wire.TEL && len(u.User) == 0:
		err = errors.New("there is no number")
	}
	if err != nil {
		return u, fmt.Errorf("%q is not a SIP URI: %w", text, err)
	}
	return u, nil
}

// AddressURI returns the SIP URI of an address-of-record, user@domain, whose user part may be any
// text.
func AddressURI(aor string) string {
	at := strings.LastIndexByte(aor, '@')
	return "sip:" + escapeUser(aor[:max(at, 0)]) + string(wire.AppendURI(nil, aor[max(at, 0):]))
}

// escapeUser returns the user part of a URI that stands for a text.
func escapeUser(user string) string {
	return string(wire.AppendEscapedUser(nil, user))
}

// CheckField refuses a header field that a configuration must not write: what is no name, and the
// fields on which transactions, dialogs and routing depend. It returns the field's long name.
func CheckField(name string) (string, error) {
	if !wire.IsToken(name) {
		return "", fmt.Errorf("%q is not the name of a header field", name)
	}
	name = wire.CanonicalHeader(name)
	switch wire.LookupHeader([]byte(name)) {
	case wire.Via, wire.From, wire.To, wire.CallID, wire.CSeq, wire.MaxForwards, wire.ContentLength, wire.Route, wire.RecordRoute:
		return "", fmt.Errorf("the header field %s is the server's own: requests would get lost or be answered wrongly", name)
	}
	return name, nil
}
