package transaction

import (
	"errors"
	"net/netip"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

var errRefused = errors.New("refused")

// TestUnreachable has the network report requests that could not be delivered.
func TestUnreachable(t *testing.T) {
	invite := string(requestText("INVITE", branch))
	_, short, _ := strings.Cut(invite, "branch="+branch)
	upToBranch := invite[:len(invite)-len(short)]
	for _, tc := range []struct {
		name, method string
		network      transport.Network
		remote       netip.AddrPort
		quoted       string
		answer       int // what was heard before; 0: nothing
		ends         bool
	}{
		{"INVITE", "INVITE", transport.UDP, peer, invite, 0, true},
		{"MESSAGE", "MESSAGE", transport.UDP, peer, string(requestText("MESSAGE", branch)), 0, true},
		{"another method", "LOOK", transport.UDP, peer, string(requestText("LOOK", branch)), 0, true},
		{"up to the branch", "INVITE", transport.UDP, peer, upToBranch + "\r", 0, true},
		{"the branch may be longer", "INVITE", transport.UDP, peer, upToBranch, 0, false},
		{"half a branch", "INVITE", transport.UDP, peer, upToBranch[:len(upToBranch)-2], 0, false},
		{"nothing is quoted", "INVITE", transport.UDP, peer, "", 0, false},
		{"a guess", "INVITE", transport.UDP, peer, string(requestText("INVITE", "z9hG4bK-2")), 0, false},
		{"an empty branch", "INVITE", transport.UDP, peer, string(requestText("INVITE", "")), 0, false},
		{"another place", "INVITE", transport.UDP, other, invite, 0, false},
		{"another port", "INVITE", transport.UDP, netip.AddrPortFrom(peer.Addr(), 1), invite, 0, false},
		{"another request", "INVITE", transport.UDP, peer, string(requestText("CANCEL", branch)), 0, false},
		{"a request of somebody else", "INVITE", transport.UDP, peer, strings.Replace(invite, "Via:", "Via: SIP/2.0/UDP 192.0.2.1;branch=z9hG4bK-2\r\nVia:", 1), 0, false},
		{"a response", "INVITE", transport.UDP, peer, string(responseText(180, "INVITE", branch, "t")), 0, false},
		{"a stream", "INVITE", transport.TCP, peer, invite, 0, false},
		{"it has rung", "INVITE", transport.UDP, peer, invite, 180, false},
		{"it has answered", "INVITE", transport.UDP, peer, invite, 486, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				w := newWorld(t, tc.network, Options{})
				beginClient(t, w, &scenario{method: tc.method})
				if tc.answer != 0 {
					w.table.Response(view(t, responseText(tc.answer, tc.method, branch, "t1")), w.flow, nil)
				}
				time.Sleep(time.Second)
				w.table.Unreachable(tc.remote, []byte(tc.quoted), errRefused)
				w.table.Unreachable(tc.remote, []byte(tc.quoted), errRefused)
				time.Sleep(tick)
				synctest.Wait()
				got := strings.Join(w.trace, "\n")
				want := "1s failed: " + peer.String() + " is not reachable: refused\n1s ended"
				if ended := strings.Contains(strings.ReplaceAll(got, "1.01s", "1s"), want); ended != tc.ends {
					t.Errorf("got\n%s", got)
				}
				if n := w.count(Unreachable); n != 0 != tc.ends || n > 1 {
					t.Errorf("%d are counted", n)
				}
			})
		})
	}
}
