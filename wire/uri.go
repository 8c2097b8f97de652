package wire

import (
	"bytes"
	"errors"
)

// Scheme identifies the scheme of a URI.
type Scheme uint8

// The schemes that have a constant; any other is OtherScheme.
const (
	OtherScheme Scheme = iota
	SIP
	SIPS
	TEL
)

// URI is a view of a URI (RFC 3261 §19.1): its fields are parts of what ParseURI was given. Of a
// tel URI only Raw, Scheme, User (the number) and Params are set; of a URI with OtherScheme only
// Raw.
type URI struct {
	Raw      []byte // the whole URI
	Scheme   Scheme
	User     []byte // as written, with escapes (see AppendUnescaped) and user parameters
	Password []byte // nil: none
	Host     []byte // a name or an address; an IPv6 address keeps its brackets (see HostAddr)
	Port     uint16 // 0: none
	Params   []byte // such as ";transport=tcp;lr", with the first semicolon
	Headers  []byte // such as "subject=x", without the question mark; nil: none
}

var (
	errScheme   = errors.New("uri has no scheme")
	errURIChar  = errors.New("uri has an illegal character")
	errUserinfo = errors.New("uri has more than one @")
	errUser     = errors.New("uri has an empty user part")
	errHost     = errors.New("uri has no valid host")
	errPort     = errors.New("uri has no valid port")
)

// ParseURI reads a URI (RFC 3261 §19.1). It is an error if there is no scheme, a character that no
// URI may have, more than one "@", an empty user part before one, or no valid host or port. The
// parts of a URI with a scheme other than sip and sips are not checked.
func ParseURI(b []byte) (URI, error) {
	u := URI{Raw: b}
	colon := bytes.IndexByte(b, ':')
	if colon <= 0 {
		return u, errScheme
	}
	scheme := b[:colon]
	for i, c := range scheme {
		c = lower(c)
		letter := 'a' <= c && c <= 'z'
		if !letter && (i == 0 || !('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
			return u, errScheme
		}
	}
	for _, c := range b {
		if charClass[c]&notURI != 0 {
			return u, errURIChar
		}
	}
	rest := b[colon+1:]
	switch {
	case EqualFold(scheme, "sip"):
		u.Scheme = SIP
	case EqualFold(scheme, "sips"):
		u.Scheme = SIPS
	case EqualFold(scheme, "tel"):
		u.Scheme = TEL
		if i := bytes.IndexByte(rest, ';'); i >= 0 {
			rest, u.Params = rest[:i], rest[i:]
		}
		u.User = rest
		return u, nil
	default:
		return u, nil
	}
	if at := bytes.IndexByte(rest, '@'); at >= 0 {
		info := rest[:at]
		rest = rest[at+1:]
		// An @ is legal nowhere else. With two, two implementations could see two different hosts.
		if bytes.IndexByte(rest, '@') >= 0 {
			return u, errUserinfo
		}
		if i := bytes.IndexByte(info, ':'); i >= 0 {
			info, u.Password = info[:i], info[i+1:]
		}
		if u.User = info; len(info) == 0 {
			return u, errUser
		}
	}
	if i := bytes.IndexByte(rest, '?'); i >= 0 {
		rest, u.Headers = rest[:i], rest[i+1:]
	}
	if i := bytes.IndexByte(rest, ';'); i >= 0 {
		rest, u.Params = rest[:i], rest[i:]
	}
	host, port, ok := splitHostPort(rest)
	if !ok {
		return u, errPort
	}
	if !validHost(host) {
		return u, errHost
	}
	u.Host, u.Port = host, port
	return u, nil
}

// WithoutHeaders returns the URI's text without its headers, as a Request-URI is written (RFC 3261
// §19.1.1).
func (u *URI) WithoutHeaders() []byte {
	if u.Headers == nil {
		return u.Raw
	}
	return u.Raw[:len(u.Raw)-len(u.Headers)-1]
}

// Param returns the value of the URI parameter with that name, and whether there is one. Case does
// not count in names, and an escape in a name counts as what it stands for; escapes in the value
// stay. The value is nil for a parameter without "=", such as lr.
func (u *URI) Param(name string) ([]byte, bool) { return uriParam(u.Params, name) }

func uriParam[T ~string | ~[]byte](params []byte, name T) ([]byte, bool) {
	for it := (Params{rest: params}); it.Next(); {
		if equalUnescaped(it.Name, name, true) {
			return it.Value, true
		}
	}
	return nil, false
}

// Target returns the host that requests to the URI are sent to: maddr if it has one, otherwise the
// host (RFC 3263 §4).
func (u *URI) Target() []byte {
	if maddr, _ := u.Param("maddr"); len(maddr) > 0 {
		return maddr
	}
	return u.Host
}

// AppendAOR appends the canonical address-of-record of a sip or sips URI, such as
// "alice@example.com": escapes decoded, the host in lower case, an IPv6 address in its shortest
// form, without port and parameters (RFC 3261 §10.3 step 5).
func (u *URI) AppendAOR(dst []byte) []byte {
	dst = AppendUnescaped(dst, u.User)
	dst = append(dst, '@')
	if len(u.Host) > 0 && u.Host[0] == '[' {
		if addr, ok := HostAddr(u.Host); ok {
			return AppendHost(dst, addr)
		}
	}
	for _, c := range u.Host {
		dst = append(dst, lower(c))
	}
	return dst
}

// AppendURI appends a URI, and escapes the characters that no URI may have, so that it can neither
// end a request line nor leave the angle brackets of a header field.
func AppendURI[T ~string | ~[]byte](dst []byte, uri T) []byte {
	const hex = "0123456789ABCDEF"
	done := 0
	for i := range len(uri) {
		if c := uri[i]; charClass[c]&notURI != 0 {
			dst = append(dst, uri[done:i]...)
			dst = append(dst, '%', hex[c>>4], hex[c&15])
			done = i + 1
		}
	}
	return append(dst, uri[done:]...)
}
