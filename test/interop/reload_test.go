//go:build interop

package interop

import (
	"fmt"
	"strings"
	"testing"
)

// TestReload puts another configuration in force, while calls are made: none is lost, and no
// registration.
func TestReload(t *testing.T) {
	const calls = 200
	for _, tr := range []transport{udp, tcp} {
		t.Run(tr.name, func(t *testing.T) {
			s := start(t, binary, lamps)
			callee := port(freeAddr(t))
			s.register(t, "106", callee, tr)
			uas := s.sipp(t, "uas.xml", callee, tr, "-m", fmt.Sprint(calls))
			uas.bound(t, callee, tr)
			uac := s.sipp(t, "uac.xml", port(freeAddr(t)), tr, "-s", "106", "-m", fmt.Sprint(calls), "-r", "100")
			for i := range 5 {
				changed := fmt.Sprintf("@gone uri_user gone\n\t\t\trespond @gone 410 \"After %d\"\n\t\t\tproxy\n", i)
				s.write(t, strings.Replace(lamps, "proxy\n", changed, 1))
				caddysip(t, binary, "reload", "--config", s.file, "--adapter", "caddyfile", "--address", s.admin)
				if s.metric(t, "caddy_sip_bindings") != 1 {
					t.Errorf("the registration is lost with reload %d", i)
				}
			}
			uac.wait(t)
			uas.wait(t)
			// The last configuration is the one that is in force.
			out := s.sipsakFails(t, "-vvv", "-s", "sip:gone@"+s.addr)
			if !strings.Contains(out, "SIP/2.0 410 After 4\r\n") {
				t.Errorf("the new configuration is not in force:\n%s", out)
			}
		})
	}
}
