package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/transport"
	"github.com/caddysip/caddysip/internal/wire"
)

// dnsTimeout is how long a name may take to look up: the caller is retransmitting meanwhile.
const dnsTimeout = 5 * time.Second

var errNetwork = errors.New("only sip: URIs over udp and tcp can be reached")

// literal returns where a URI leads when no name has to be looked up for that.
func literal(uri []byte) (h hop, ok bool, err error) {
	u, err := wire.ParseURI(uri)
	if err != nil {
		return hop{}, false, err
	}
	if h.network, err = networkOf(&u); err != nil {
		return hop{}, false, err
	}
	host := u.Host
	if maddr, ok := u.Param("maddr"); ok && len(maddr) > 0 {
		host = maddr
	}
	addr, ok := wire.HostAddr(host)
	if !ok {
		return h, false, nil
	}
	port := u.Port
	if port == 0 {
		port = 5060
	}
	h.addr = netip.AddrPortFrom(addr, port)
	return h, true, nil
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

// resolve looks up where a URI leads (RFC 3263 §4.2): SRV when neither port nor address is written, else the host's addresses. The places are in the order
// in which they are to be tried.
func resolve(uri []byte) ([]hop, error) {
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
	name := strings.TrimSuffix(string(u.Host), ".")
	if u.Port == 0 {
		if hops := srv(ctx, &u, network, name); len(hops) > 0 {
			return hops, nil
		}
	}
	port := u.Port
	if port == 0 {
		port = 5060
	}
	hops := addresses(ctx, network, name, port)
	if len(hops) == 0 {
		return nil, fmt.Errorf("%s has no address", name)
	}
	return hops, nil
}

// srv looks up the servers of a domain, for the transport that the URI names or, when it names none, for UDP and then TCP.
func srv(ctx context.Context, u *wire.URI, network transport.Network, name string) (hops []hop) {
	networks := []transport.Network{network}
	if _, ok := u.Param("transport"); !ok {
		networks = []transport.Network{transport.UDP, transport.TCP}
	}
	for _, network := range networks {
		_, records, err := net.DefaultResolver.LookupSRV(ctx, "sip", network.String(), name)
		if err != nil {
			continue
		}
		for _, s := range records {
			hops = append(hops, addresses(ctx, network, strings.TrimSuffix(s.Target, "."), s.Port)...)
		}
	}
	return hops
}

func addresses(ctx context.Context, network transport.Network, name string, port uint16) (hops []hop) {
	addrs, err := net.DefaultResolver.LookupNetIP(ctx, "ip", name)
	if err != nil {
		return nil
	}
	for _, a := range addrs {
		hops = append(hops, hop{network, netip.AddrPortFrom(a.Unmap(), port)})
	}
	return hops
}
