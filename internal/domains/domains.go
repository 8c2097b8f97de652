package domains

import (
	"net"
	"net/netip"
	"os"
	"slices"
	"strings"

	"github.com/caddysip/caddysip/wire"
)

// defaultPort is the port of a URI with an address and no port (RFC 3261 §19.1.2).
const defaultPort = 5060

// Set is the server's own hosts: the configured domains, every address that is listened on, and the
// names that lead to one of those.
type Set struct {
	primary string                  // the domain that our addresses stand for
	single  bool                    // our names stand for it too: no domain is configured
	names   map[string]bool         // host names, in lower case
	addrs   map[netip.Addr]bool     // addresses we listen on
	ports   map[netip.AddrPort]bool // addresses we listen on, as configured: possibly the wildcard
	Aliases                         // other names of addresses we listen on
	forward map[wire.HostPort]bool  // what is advertised, with its port
}

// New returns the Set for the configured domains, which may be addresses, the listening addresses,
// and what is advertised for them. Without domains the machine's own names are served as well, all
// as one domain.
func New(configured []string, listen []netip.AddrPort, advertised []wire.HostPort) *Set {
	s := &Set{
		single:  len(configured) == 0,
		names:   make(map[string]bool),
		addrs:   make(map[netip.Addr]bool),
		ports:   make(map[netip.AddrPort]bool),
		forward: make(map[wire.HostPort]bool),
	}
	for _, name := range configured {
		name = strings.ToLower(name)
		if a, ok := wire.HostAddr([]byte(name)); ok {
			s.addrs[a] = true
			name = string(wire.AppendHost(nil, a)) // however it is written
		} else {
			s.names[name] = true
		}
		if s.primary == "" {
			s.primary = name
		}
	}
	loopback := s.addListeners(listen)
	for _, h := range advertised {
		switch {
		case h.Addr.Port() == 0: // nothing is
			continue
		case h.Name == "":
			s.addrs[h.Addr.Addr()] = true
		default:
			s.keep(h.Name)
		}
		s.forward[h] = true
	}
	if loopback {
		s.keep("localhost")
	}
	if len(configured) == 0 {
		s.primary = "localhost"
		if loopback {
			s.names["localhost"] = true
		}
		if name, err := os.Hostname(); err == nil {
			s.names[strings.ToLower(name)] = true
		}
	}
	return s
}

// addListeners adds the listening addresses, and reports whether loopback is among them.
func (s *Set) addListeners(listen []netip.AddrPort) (loopback bool) {
	for _, l := range listen {
		s.ports[l] = true
		if a := l.Addr(); !a.IsUnspecified() {
			s.addrs[a] = true
			loopback = loopback || a.IsLoopback()
			continue
		}
		loopback = true
		for _, a := range InterfaceAddrs() {
			s.addrs[a] = true
		}
	}
	return loopback
}

// InterfaceAddrs returns the addresses of the machine.
func InterfaceAddrs() []netip.Addr {
	var addrs []netip.Addr
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs
}

// Primary returns the first configured domain, of which our addresses are aliases.
func (s *Set) Primary() string { return s.primary }

// Local reports whether a host is one of our domains or addresses, or a name of one of those.
func (s *Set) Local(host []byte) bool {
	if a, ok := wire.HostAddr(host); ok {
		return s.addrs[a]
	}
	return s.named(host) || s.Alias(host)
}

// named reports whether a host is the name of a domain.
func (s *Set) named(host []byte) bool {
	return s.names[string(host)] || s.names[strings.ToLower(string(host))]
}

// AppendAOR appends the canonical address-of-record that a URI names (RFC 3261 §10.3 step 5), and
// reports whether it is at one of our domains. All our addresses and their other names, and without
// configured domains all our names, are aliases of the primary domain, so that a phone is found
// whichever it uses. Of a telephone number what only makes it readable does not count (RFC 3966
// §5.1.1).
func (s *Set) AppendAOR(dst []byte, u *wire.URI) ([]byte, bool) {
	if u.Scheme != wire.TEL && !s.Local(u.Host) {
		return dst, false
	}
	start := len(dst)
	dst = wire.AppendUnescaped(dst, u.User)
	if isNumber(u) {
		digits := dst[start:start]
		for _, c := range dst[start:] {
			if !isSeparator(c) {
				digits = append(digits, c)
			}
		}
		dst = dst[:start+len(digits)]
	}
	ok := len(dst) > start
	if u.Scheme == wire.TEL || s.single || !s.named(u.Host) {
		return append(append(dst, '@'), s.primary...), ok
	}
	return (&wire.URI{Host: u.Host}).AppendAOR(dst), ok
}

// isSeparator reports whether a character makes a telephone number readable, and means nothing (RFC
// 3966 §3).
func isSeparator(c byte) bool { return c == '-' || c == '.' || c == '(' || c == ')' }

// isNumber reports whether the user of a URI is a telephone number that has separators. Phones say
// user=phone of names, too.
func isNumber(u *wire.URI) bool {
	if !slices.ContainsFunc(u.User, isSeparator) {
		return false
	}
	if u.Scheme == wire.TEL {
		return true
	}
	if user, _ := u.Param("user"); !wire.EqualFold(user, "phone") {
		return false
	}
	for _, c := range u.User {
		if strings.IndexByte("0123456789+*#", c) < 0 && !isSeparator(c) {
			return false
		}
	}
	return true
}

// Serves reports whether a URI is one at our domains: the host is ours, and so is the port if there
// is one. A configured domain is ours whatever the port, which may be forwarded to us.
func (s *Set) Serves(u *wire.URI) bool {
	if u.Port != 0 && !s.single && s.named(u.Host) {
		return true
	}
	return s.Local(u.Host) && (u.Port == 0 || s.Self(u))
}

// Self reports whether a URI leads to this server: one of our hosts, and no port or one that we
// listen on, or what is advertised.
func (s *Set) Self(u *wire.URI) bool {
	if !s.Local(u.Host) {
		return false
	}
	addr, isAddr := wire.HostAddr(u.Host)
	port := u.Port
	if port == 0 {
		if !isAddr {
			return true // a domain: SRV decides the port
		}
		port = defaultPort
	}
	if isAddr && s.ports[netip.AddrPortFrom(addr, port)] {
		return true
	}
	for l := range s.ports {
		if l.Port() == port && (!isAddr || l.Addr().IsUnspecified()) {
			return true
		}
	}
	if len(s.forward) == 0 {
		return false
	}
	h := wire.HostPort{Addr: netip.AddrPortFrom(addr, port)}
	if !isAddr {
		h.Name = strings.ToLower(string(u.Host))
	}
	return s.forward[h]
}
