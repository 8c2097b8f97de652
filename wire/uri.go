package wire

import (
	"bytes"
	"errors"
)

// Scheme is a URI's scheme.
type Scheme uint8

// The schemes the server tells apart.
const (
	OtherScheme Scheme = iota
	SIP
	SIPS
	TEL
)

// URI is a view of a URI. For schemes other than sip and sips only Scheme, Raw and, for tel, User are set.
type URI struct {
	Raw      []byte
	Scheme   Scheme
	User     []byte // as written, escapes and user parameters included
	Password []byte
	Host     []byte // an IPv6 reference keeps its brackets
	Port     uint16 // 0: none written
	Params   []byte // ";transport=tcp;lr", with the first semicolon
	Headers  []byte // "subject=x", without the question mark
}

var (
	errScheme   = errors.New("uri has no scheme")
	errURIChar  = errors.New("uri has an illegal character")
	errUserinfo = errors.New("uri has more than one @")
	errUser     = errors.New("uri has an empty user part")
	errHost     = errors.New("uri has no valid host")
	errPort     = errors.New("uri has no valid port")
)

// ParseURI reads a URI (RFC 3261 §19.1).
func ParseURI(b []byte) (URI, error) {
	u := URI{Raw: b}
	colon := bytes.IndexByte(b, ':')
	if colon <= 0 {
		return u, errScheme
	}
	scheme := b[:colon]
	for i, c := range scheme {
		c = lower(c)
		if !('a' <= c && c <= 'z') && (i == 0 || !('0' <= c && c <= '9' || c == '+' || c == '-' || c == '.')) {
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
		// An @ is legal nowhere else; two would let two readers see two hosts.
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

// Param returns a URI parameter's value (empty when it has none) and whether it is there. Escapes in the parameter's name count as
// what they stand for, those in the value are left in it.
func (u *URI) Param(name string) ([]byte, bool) { return uriParam(u.Params, name) }

func uriParam[T ~string | ~[]byte](params []byte, name T) ([]byte, bool) {
	for it := (Params{rest: params}); it.Next(); {
		if equalUnescaped(it.Name, name, true) {
			return it.Value, true
		}
	}
	return nil, false
}

// Target returns the host that requests to the URI are sent to: that of maddr if there is one (RFC 3263 §4).
func (u *URI) Target() []byte {
	if maddr, _ := u.Param("maddr"); len(maddr) > 0 {
		return maddr
	}
	return u.Host
}

// AppendAOR appends the URI's canonical address-of-record, user@host: escapes decoded, host in lower case and an IPv6 address in its
// shortest form, port and parameters left away (RFC 3261 §10.3 step 5).
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

// AppendURI appends a URI, with the characters escaped that no URI may have, so that it cannot end a request line or leave the
// brackets of a header field.
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
