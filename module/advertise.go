package module

import (
	"fmt"
	"net/netip"
	"strconv"
	"strings"

	"github.com/caddysip/caddysip/internal/globals"
	"github.com/caddysip/caddysip/wire"
)

// ParseAdvertise reads the host or host:port that others reach a server at. The host is a name or
// an address. Without a port, that of the result is 0.
func ParseAdvertise(text string) (h wire.HostPort, err error) {
	host, port := text, uint16(0)
	i := strings.LastIndexByte(text, ':')
	if i >= 0 && !strings.HasSuffix(text, "]") && !isIPv6(text) {
		n, err := strconv.ParseUint(text[i+1:], 10, 64)
		switch {
		case err == nil && (n == 0 || n > 65535):
			return h, fmt.Errorf("advertise: %d is no port: there are 1 to 65535", n)
		case err == nil:
			host, port = text[:i], uint16(n)
		}
	}
	name, err := CheckDomain(host)
	if err != nil {
		return h, fmt.Errorf("advertise: '%s' is no host, with or without a port: "+
			"write it as in 203.0.113.7 or sip.example.com:5070", text)
	}
	addr, isAddr := wire.HostAddr([]byte(name))
	switch {
	case isAddr && (addr.IsUnspecified() || addr.IsMulticast()):
		return h, fmt.Errorf("advertise: nobody can reach a server by %s: write the address "+
			"or name that phones send to, as in 203.0.113.7", addr)
	case isAddr:
		return wire.HostPort{Addr: netip.AddrPortFrom(addr, port)}, nil
	}
	h.Name, h.Addr = strings.ToLower(name), netip.AddrPortFrom(netip.Addr{}, port)
	return h, nil
}

func isIPv6(text string) bool {
	a, err := netip.ParseAddr(text)
	return err == nil && a.Is6()
}

// advertised returns what the server advertises, the zero value if nothing.
func (s *Server) advertised() (h wire.HostPort, err error) {
	if s.Advertise == "" {
		return h, nil
	}
	text, err := globals.Text(s.Advertise)
	if err != nil {
		return h, fmt.Errorf("advertise: %w", err)
	}
	return ParseAdvertise(text)
}

// advertise records what is advertised for the listening address that was added last.
func (a *App) advertise(h wire.HostPort, port uint16) {
	g := a.generation
	if h == (wire.HostPort{}) {
		if g.Advertise != nil {
			g.Advertise = append(g.Advertise, h)
		}
		return
	}
	if h.Addr.Port() == 0 {
		h.Addr = netip.AddrPortFrom(h.Addr.Addr(), port)
	}
	for len(g.Advertise) < len(g.Listen)-1 {
		g.Advertise = append(g.Advertise, wire.HostPort{})
	}
	g.Advertise = append(g.Advertise, h)
}
