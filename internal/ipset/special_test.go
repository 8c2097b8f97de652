package ipset

import (
	"net/netip"
	"testing"
)

func TestSpecial(t *testing.T) {
	for addr, want := range map[string]string{
		"0.0.0.0": "unspecified", "0.1.2.3": "unspecified", "::": "unspecified",
		"127.0.0.1": "loopback", "127.255.255.254": "loopback", "::1": "loopback", "126.255.255.255": "", "128.0.0.1": "",
		"169.254.169.254": "link-local", "fe80::1%eth0": "link-local", "febf::1": "link-local", "169.253.0.1": "",
		"10.0.0.1": "private", "172.16.0.1": "private", "172.31.255.255": "private", "172.15.0.1": "", "172.32.0.1": "",
		"192.168.1.1": "private", "192.169.0.1": "", "fc00::1": "private", "fdff::1": "private", "fec0::1": "private",
		"100.64.0.1": "shared", "100.127.255.255": "shared", "100.63.0.1": "", "100.128.0.1": "",
		"224.0.1.75": "multicast", "239.1.1.1": "multicast", "ff02::1": "multicast",
		"255.255.255.255": "broadcast", "240.0.0.1": "reserved", "192.0.0.8": "reserved", "198.19.1.1": "reserved",
		// They stand for IPv4 addresses.
		"::ffff:10.0.0.1": "private", "::ffff:8.8.8.8": "", "::127.0.0.1": "loopback", "::8.8.8.8": "",
		"::ffff:0:127.0.0.1": "loopback", "64:ff9b::10.0.0.1": "private", "64:ff9b::169.254.169.254": "link-local",
		"64:ff9b::8.8.8.8": "", "64:ff9b:1::8.8.8.8": "reserved", "2002:7f00:1::1": "loopback", "2002:c0a8:101::": "private",
		"2002:808:808::": "", "2001:0:a00:1::": "private", "2001:0:808:808::80ff:fffe": "loopback", "2001:0:808:808::f7f7:f7f7": "",
		"8.8.8.8": "", "192.0.2.1": "", "203.0.113.9": "", "2001:db8::1": "", "2606:4700::1111": "",
	} {
		if got := Special(netip.MustParseAddr(addr)); got != want {
			t.Errorf("Special(%s): %q, want %q", addr, got, want)
		}
	}
}
