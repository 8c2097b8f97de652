package module

import (
	"fmt"
	"net"
	"net/netip"
	"strings"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/internal/engine"
	"github.com/caddysip/caddysip/internal/sip/transport"
)

// DefaultPort is the port of a listener address that names none (RFC 3261 §18.1.1).
const DefaultPort = 5060

// networks holds what a prefix of a listener address stands for; no prefix means both UDP and TCP.
var networks = map[string][]transport.Network{
	"":    {transport.UDP, transport.TCP},
	"udp": {transport.UDP},
	"tcp": {transport.TCP},
}

// CheckListenAddress says what is wrong with the text of a listener address: "[network/]host:port",
// as in "udp/:5060", ":5060" or "tcp/[::1]:5060-5063".
func CheckListenAddress(s string) error {
	_, err := parseListenAddress(s)
	return err
}

// parseListenAddress reads a listener address. A range of ports, no network, and a host name that
// has several addresses make several of it.
func parseListenAddress(s string) ([]engine.Address, error) {
	prefix, _, found := strings.Cut(s, "/")
	if !found {
		prefix = ""
	}
	nets, ok := networks[prefix]
	if !ok {
		return nil, fmt.Errorf("listener address %q: unknown network %q; use udp/, tcp/, or no prefix for both", s, prefix)
	}
	na, err := caddy.ParseNetworkAddressWithDefaults(s, "udp", DefaultPort)
	if err != nil {
		return nil, fmt.Errorf("listener address %q: %w", s, err)
	}
	hosts, err := resolveListenHost(na.Host)
	if err != nil {
		return nil, fmt.Errorf("listener address %q: %w", s, err)
	}
	var list []engine.Address
	for _, network := range nets {
		for _, host := range hosts {
			for port := na.StartPort; port <= na.EndPort; port++ {
				list = append(list, engine.Address{Network: network, Addr: netip.AddrPortFrom(host, uint16(port))})
			}
		}
	}
	return list, nil
}

// resolveListenHost turns a host to listen on into addresses; none is the wildcard of both IP
// versions.
func resolveListenHost(host string) ([]netip.Addr, error) {
	if host == "" {
		return []netip.Addr{netip.IPv6Unspecified()}, nil
	}
	if a, err := netip.ParseAddr(host); err == nil {
		return []netip.Addr{a.Unmap()}, nil
	}
	ips, err := net.LookupIP(host)
	if err != nil {
		return nil, fmt.Errorf("looking up %s: %w", host, err)
	}
	var addrs []netip.Addr
	for _, ip := range ips {
		if a, ok := netip.AddrFromSlice(ip); ok {
			addrs = append(addrs, a.Unmap())
		}
	}
	return addrs, nil
}
