package wire

import (
	"bytes"
	"errors"
	"net/netip"
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
		if c <= ' ' || c == 0x7f || c == '<' || c == '>' || c == '"' {
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
		u.User = info
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

// splitHostPort splits "host", "host:port", "[v6]" and "[v6]:port"; white space around the colon is allowed, as it is in Via.
func splitHostPort(b []byte) (host []byte, port uint16, ok bool) {
	b = trim(b)
	rest := b
	if len(b) > 0 && b[0] == '[' {
		end := bytes.IndexByte(b, ']')
		if end < 0 {
			return nil, 0, false
		}
		host, rest = b[:end+1], trim(b[end+1:])
	} else if i := bytes.IndexByte(b, ':'); i >= 0 {
		host, rest = trim(b[:i]), b[i:]
	} else {
		return b, 0, true
	}
	if len(rest) == 0 {
		return host, 0, true
	}
	if rest[0] != ':' {
		return nil, 0, false
	}
	n, ok := ParseUint(trim(rest[1:]), 65535)
	return host, uint16(n), ok && n > 0
}

func validHost(h []byte) bool {
	if len(h) == 0 {
		return false
	}
	if h[0] == '[' {
		addr, err := netip.ParseAddr(string(h[1 : len(h)-1]))
		return err == nil && addr.Is6() && addr.Zone() == ""
	}
	for _, c := range h {
		if charClass[c]&hostChar == 0 {
			return false
		}
	}
	return true
}

// HostAddr returns the address a host names, if it is written as an address and not as a name.
func HostAddr(host []byte) (netip.Addr, bool) {
	if len(host) == 0 {
		return netip.Addr{}, false
	}
	if host[0] == '[' {
		host = host[1 : len(host)-1]
	} else if c := host[len(host)-1]; c < '0' || c > '9' {
		return netip.Addr{}, false // an IPv4 address ends in a digit
	}
	addr, err := netip.ParseAddr(string(host))
	return addr.Unmap(), err == nil && addr.Zone() == ""
}

// AppendHost appends an address as a SIP host: IPv6 in brackets (RFC 3261 §25.1).
func AppendHost(dst []byte, addr netip.Addr) []byte {
	if addr.Is6() && !addr.Is4In6() {
		dst = append(dst, '[')
		dst = addr.WithZone("").AppendTo(dst)
		return append(dst, ']')
	}
	return addr.Unmap().AppendTo(dst)
}

// AppendHostPort appends host:port, the host as AppendHost writes it.
func AppendHostPort(dst []byte, ap netip.AddrPort) []byte {
	dst = AppendHost(dst, ap.Addr())
	dst = append(dst, ':')
	return appendUint(dst, uint64(ap.Port()))
}

// Param returns a URI parameter's value (empty when it has none) and whether it is there.
func (u *URI) Param(name string) ([]byte, bool) { return Param(u.Params, name) }

// AppendAOR appends the URI's canonical address-of-record, user@host: escapes decoded, host in lower case, port and parameters
// left away (RFC 3261 §10.3 step 5).
func (u *URI) AppendAOR(dst []byte) []byte {
	dst = AppendUnescaped(dst, u.User)
	dst = append(dst, '@')
	for _, c := range u.Host {
		dst = append(dst, lower(c))
	}
	return dst
}
