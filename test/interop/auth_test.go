//go:build interop

package interop

import (
	"strings"
	"testing"
)

// locked is a server that lets only one user in. SIPp 3.6 looks at the topmost challenge alone, and
// knows only MD5.
const locked = `{
	admin {admin}
	persist_config off
	sip {
		{addr} {
			digest_auth {
				realm example.com
				user 104 secret-of-104
				{algorithm}
			}
			register
			proxy
		}
	}
}
`

// offering is locked with an option that says which algorithms are offered.
func offering(algorithm string) string { return strings.Replace(locked, "{algorithm}", algorithm, 1) }

// TestSipsakAuthenticates registers with a password, and tries to without and with a wrong one.
// sipsak 0.9.8 knows only MD5, and is known for that.
func TestSipsakAuthenticates(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, offering(""))
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

// TestSipsakOffered registers sipsak with the algorithms that it is offered by its User-Agent, and
// shows that it cannot with those for all clients.
func TestSipsakOffered(t *testing.T) {
	for options, works := range map[string]bool{
		"algorithm SHA-256": false,
		"algorithm SHA-256\n\t\t\t\talgorithm SIPSAK* MD5":    true,
		"algorithm sipsak* SHA-256":                           false,
		"algorithm sipsak* MD5\n\t\t\t\talgorithm ?* SHA-256": true,
	} {
		s := start(t, binary, offering(options))
		register := []string{"-vvv", "-s", "sip:104@" + s.addr, "-U", "-C", "sip:104@127.0.0.1:7999", "-x", "3600",
			"-u", "104", "-a", "secret-of-104"}
		if works {
			s.sipsak(t, register...)
			s.waitMetric(t, "caddy_sip_bindings", 1)
		} else {
			s.sipsakFails(t, register...)
		}
	}
}

// TestSIPpAuthenticates registers a hundred times.
func TestSIPpAuthenticates(t *testing.T) {
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, offering("algorithm MD5 SHA-256"))
			s.sipp(t, "register_auth.xml", port(freeAddr(t)), tr, "-s", "104", "-au", "104", "-ap", "secret-of-104", "-m", "100", "-r", "100").wait(t)
			s.waitMetric(t, `caddy_sip_authentication_total{outcome="accepted"}`, 100)
		})
	}
}
