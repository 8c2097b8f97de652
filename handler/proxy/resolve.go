package proxy

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"time"

	"github.com/caddysip/caddysip/internal/flight"
	"github.com/caddysip/caddysip/internal/quota"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/module"
	"github.com/caddysip/caddysip/wire"
)

// dnsTimeout is how long a name may take to look up: the caller is retransmitting meanwhile.
const dnsTimeout = 5 * time.Second

// What one user, or one source, may have looked up at a time, and what all may.
const (
	maxLookups, userLookups = 256, 16          // names
	maxWaiting, userWaiting = 4096, 64         // requests that wait for one
	nameWaiting             = 256              // of these for the same
	rememberedNames         = 1024             // with where they lead, or that they lead nowhere
	nameLifetime            = 10 * time.Second // the resolver does not say how long an answer is good
)

// names looks up where URIs lead, those that are the same at once.
type names struct {
	dns *net.Resolver
	*flight.Group[string, []hop]
}

func newNames(dns *net.Resolver) *names {
	return &names{dns, flight.New[string, []hop](flight.Options{
		Flights:   quota.New(maxLookups, userLookups),
		Waiters:   quota.New(maxWaiting, userWaiting),
		PerFlight: nameWaiting,
		Remember:  rememberedNames,
		Keep:      nameLifetime,
	})}
}

// lookups are of all configurations. Tests have their own.
var lookups = newNames(net.DefaultResolver)

// key is what of a URI decides where it leads.
func key(u *wire.URI) string {
	transport, _ := u.Param("transport")
	return fmt.Sprintf("%s:%d;%s", bytes.ToLower(u.Target()), u.Port, bytes.ToLower(transport))
}

var errNetwork = errors.New("only sip: URIs over udp and tcp can be reached")

// maxHops is how many of the places that a name leads to are tried, one after the other.
const maxHops = 8

// hop is a place that requests are sent to.
type hop = routetoken.Hop

// literal returns where a URI leads when no name has to be looked up for that.
func literal(u *wire.URI) (h hop, ok bool, err error) {
	if h.Network, err = networkOf(u); err != nil {
		return hop{}, false, err
	}
	addr, ok := wire.HostAddr(u.Target())
	if !ok {
		return hop{}, false, nil
	}
	h.Addr = netip.AddrPortFrom(addr, portOf(u))
	return h, true, nil
}

func portOf(u *wire.URI) uint16 {
	if u.Port == 0 {
		return module.DefaultPort
	}
	return u.Port
}

func networkOf(u *wire.URI) (transport.Network, error) {
	if u.Scheme != wire.SIP {
		return 0, errNetwork
	}
	t, ok := u.Param("transport")
	switch {
	case !ok || wire.EqualFold(t, "udp"):
		return transport.UDP, nil
	case wire.EqualFold(t, "tcp"):
		return transport.TCP, nil
	}
	return 0, errNetwork
}

// resolve looks up where a URI leads (RFC 3263 §4): SRV when it names neither port nor address,
// else the host's addresses. The places are in the order in which they are to be tried. Without a
// transport in the URI UDP goes first, as all SIP elements have it; NAPTR is not asked.
func resolve(dns *net.Resolver, uri []byte) ([]hop, error) {
	u, err := wire.ParseURI(uri)
	if err != nil {
		return nil, err
	}
	network, err := networkOf(&u)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), dnsTimeout)
	defer cancel()
	name := string(u.Target())
	var hops []hop
	if u.Port == 0 {
		networks := []transport.Network{network}
		if _, ok := u.Param("transport"); !ok {
			networks = []transport.Network{transport.UDP, transport.TCP}
		}
		for _, n := range networks {
			hops = append(hops, services(ctx, dns, n, name)...)
		}
	}
	if len(hops) == 0 {
		hops, err = addresses(ctx, dns, network, name, portOf(&u))
	}
	if len(hops) == 0 {
		return nil, fmt.Errorf("%s has no address: %w", name, err)
	}
	return hops[:min(len(hops), maxHops)], nil
}

// services looks up a domain's servers for one transport.
func services(ctx context.Context, dns *net.Resolver, n transport.Network, name string) (hops []hop) {
	_, records, err := dns.LookupSRV(ctx, "sip", n.String(), name)
	if err != nil {
		return nil
	}
	for _, s := range records {
		found, _ := addresses(ctx, dns, n, s.Target, s.Port)
		hops = append(hops, found...)
	}
	return hops
}

func addresses(ctx context.Context, dns *net.Resolver, n transport.Network, name string, port uint16) (hops []hop, err error) {
	addrs, err := dns.LookupNetIP(ctx, "ip", name)
	for _, a := range addrs {
		hops = append(hops, hop{Network: n, Addr: netip.AddrPortFrom(a.Unmap(), port)})
	}
	return hops, err
}
