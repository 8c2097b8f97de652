//go:build interop

package interop

import (
	"strings"
	"testing"
)

// locked is a server that lets only one user in. sipsak 0.9.8 and SIPp 3.6 look at the topmost
// challenge alone, and know only MD5.
const locked = `{
	admin {admin}
	persist_config off
	sip {
		{addr} {
			digest_auth {
				realm example.com
				user 104 secret-of-104
				algorithm MD5 SHA-256
			}
			register
			proxy
		}
	}
}
`

// TestSipsakAuthenticates registers with a password, and tries to without and with a wrong one.
func TestSipsakAuthenticates(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, locked)
			register := []string{"-vvv", "-E", strings.ToLower(tr.name), "-s", "sip:104@" + s.addr, "-U", "-C", "sip:104@127.0.0.1:7999", "-x", "3600", "-u", "104"}
			s.sipsakFails(t, register...)
			s.sipsakFails(t, append(register, "-a", "wrong")...)
			s.waitMetric(t, `caddy_sip_authentication_total{outcome="wrong"}`, 2) // without a password it takes an empty one
			if n := s.metric(t, "caddy_sip_bindings"); n != 0 {
				t.Errorf("%v bindings without the password", n)
			}
			s.sipsak(t, append(register, "-a", "secret-of-104")...)
			s.waitMetric(t, "caddy_sip_bindings", 1)
		})
	}
}

// TestSIPpAuthenticates registers a hundred times.
func TestSIPpAuthenticates(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, locked)
			s.sipp(t, "register_auth.xml", port(freeAddr(t)), tr, "-s", "104", "-au", "104", "-ap", "secret-of-104", "-m", "100", "-r", "100").wait(t)
			s.waitMetric(t, `caddy_sip_authentication_total{outcome="accepted"}`, 100)
		})
	}
}
