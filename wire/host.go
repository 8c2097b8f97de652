package wire

import (
	"bytes"
	"net/netip"
	"unsafe"
)

// splitHostPort splits "host", "host:port", "[v6]" and "[v6]:port". White space around the colon is
// allowed, as it is in Via.
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
		_, ok := HostAddr(h)
		return ok
	}
	for _, c := range h {
		if charClass[c]&hostChar == 0 {
			return false
		}
	}
	return true
}

// HostAddr returns the address that a host is written as, and false if the host is a name. An IPv6
// address may have brackets or, as in received, none; a zone is not allowed. An IPv4 address in
// IPv6 form is returned as IPv4.
func HostAddr(host []byte) (netip.Addr, bool) {
	if len(host) == 0 {
		return netip.Addr{}, false
	}
	if host[0] == '[' {
		if host[len(host)-1] != ']' {
			return netip.Addr{}, false
		}
		host = host[1 : len(host)-1]
		if bytes.IndexByte(host, ':') < 0 {
			return netip.Addr{}, false
		}
	} else if c := host[len(host)-1]; (c < '0' || c > '9') && bytes.IndexByte(host, ':') < 0 {
		return netip.Addr{}, false // an IPv4 address ends in a digit
	}
	addr, ok := parseAddr(host)
	if !ok {
		// The grammar of RFC 3261 puts a third colon before an embedded IPv4 address. RFC 5118
		// §4.10 says to accept it.
		i := bytes.Index(host, []byte(":::"))
		if i < 0 || bytes.IndexByte(host, '.') < 0 || bytes.IndexByte(host[i+3:], ':') >= 0 {
			return netip.Addr{}, false
		}
		addr, ok = parseAddr(append(append([]byte(nil), host[:i+2]...), host[i+3:]...))
	}
	return addr.Unmap(), ok
}

// parseAddr reads an address without a zone. It avoids the copy of the text that netip would need
// for its error, which is dropped here.
func parseAddr(b []byte) (netip.Addr, bool) {
	if bytes.IndexByte(b, '%') >= 0 {
		return netip.Addr{}, false
	}
	addr, err := netip.ParseAddr(unsafe.String(unsafe.SliceData(b), len(b)))
	return addr, err == nil
}

// AppendHost appends an address as the host of a URI or a Via: IPv6 in brackets (RFC 3261 §25.1),
// without a zone.
func AppendHost(dst []byte, addr netip.Addr) []byte {
	if addr.Is6() && !addr.Is4In6() {
		dst = append(dst, '[')
		dst = addr.WithZone("").AppendTo(dst)
		return append(dst, ']')
	}
	return addr.Unmap().AppendTo(dst)
}

// AppendHostPort appends "host:port", the host written by AppendHost.
func AppendHostPort(dst []byte, ap netip.AddrPort) []byte {
	dst = AppendHost(dst, ap.Addr())
	dst = append(dst, ':')
	return appendUint(dst, uint64(ap.Port()))
}

// HostPort is a host and a port. The host is Name or, if that is empty, the address in Addr.
type HostPort struct {
	Name string // a host name, without brackets
	Addr netip.AddrPort
}

// Append appends "host:port" as it stands in Via and in URIs.
func (h HostPort) Append(dst []byte) []byte {
	if h.Name == "" {
		return AppendHostPort(dst, h.Addr)
	}
	return appendUint(append(append(dst, h.Name...), ':'), uint64(h.Addr.Port()))
}
