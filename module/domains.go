package module

import (
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/wire"
)

// domains tells which hosts are ours, and which address-of-record a URI at one of them names.
type domains struct {
	primary string                  // the domain that our addresses stand for
	names   map[string]bool         // host names, in lower case
	addrs   map[netip.Addr]bool     // addresses we listen on
	ports   map[netip.AddrPort]bool // and the ports there; the wildcard's are kept for any address
}

// newDomains collects what is ours: the configured domains, and every address that a server listens on. With no domain configured the
// machine's own names are served as well.
func newDomains(configured []string, listen []engine.Address) *domains {
	d := &domains{names: make(map[string]bool), addrs: make(map[netip.Addr]bool), ports: make(map[netip.AddrPort]bool)}
	for _, name := range configured {
		name = strings.ToLower(name)
		if a, ok := wire.HostAddr([]byte(name)); ok {
			d.addrs[a] = true
			name = string(wire.AppendHost(nil, a)) // however it is written
		} else {
			d.names[name] = true
		}
		if d.primary == "" {
			d.primary = name
		}
	}
	loopback := false
	for _, l := range listen {
		a := l.Addr.Addr()
		d.ports[l.Addr] = true
		if !a.IsUnspecified() {
			d.addrs[a] = true
			loopback = loopback || a.IsLoopback()
			continue
		}
		loopback = true
		for _, ip := range interfaceAddrs() {
			d.addrs[ip] = true
		}
	}
	if len(configured) == 0 {
		d.primary = "localhost"
		if loopback {
			d.names["localhost"] = true
		}
		if name, err := os.Hostname(); err == nil {
			d.names[strings.ToLower(name)] = true
		}
	}
	return d
}

func interfaceAddrs() []netip.Addr {
	var addrs []netip.Addr
	list, _ := net.InterfaceAddrs()
	for _, a := range list {
		if p, err := netip.ParsePrefix(a.String()); err == nil {
			addrs = append(addrs, p.Addr().Unmap())
		}
	}
	return addrs
}

// local tells whether a host is ours.
func (d *domains) local(host []byte) bool {
	if a, ok := wire.HostAddr(host); ok {
		return d.addrs[a]
	}
	return d.names[string(host)] || d.names[strings.ToLower(string(host))]
}

// appendAOR appends the address-of-record that a URI names, and tells whether it is one of ours. All our addresses, and without configured domains
// all our names too, stand for the primary domain, so that a phone is found however it names the server.
func (d *domains) appendAOR(dst []byte, u *wire.URI, single bool) ([]byte, bool) {
	if u.Scheme != wire.TEL && !d.local(u.Host) {
		return dst, false
	}
	_, isAddr := wire.HostAddr(u.Host)
	if u.Scheme == wire.TEL || isAddr || single {
		dst = wire.AppendUnescaped(dst, u.User)
		dst = append(dst, '@')
		return append(dst, d.primary...), len(u.User) > 0
	}
	return u.AppendAOR(dst), len(u.User) > 0
}

// AppendAOR appends the canonical address-of-record that a URI names (RFC 3261 §10.3 step 5), and tells whether it is one at a domain that
// we serve.
func (a *App) AppendAOR(dst []byte, u *wire.URI) ([]byte, bool) {
	return a.domains.appendAOR(dst, u, len(a.Domains) == 0)
}

// IsLocal tells whether a host is a domain or an address that we serve.
func (a *App) IsLocal(host []byte) bool { return a.domains.local(host) }

// IsSelf tells whether a URI names this server itself: a host of ours, and a port we listen on, or none.
func (a *App) IsSelf(u *wire.URI) bool {
	if !a.domains.local(u.Host) {
		return false
	}
	port := u.Port
	if port == 0 {
		port = DefaultPort
		if _, ok := wire.HostAddr(u.Host); !ok {
			return true // a domain: SRV decides the port
		}
	}
	addr, ok := wire.HostAddr(u.Host)
	if ok && a.domains.ports[netip.AddrPortFrom(addr, port)] {
		return true
	}
	for l := range a.domains.ports {
		if l.Port() == port && (!ok || l.Addr().IsUnspecified()) {
			return true
		}
	}
	return false
}
