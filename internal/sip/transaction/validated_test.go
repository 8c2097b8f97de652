package transaction

import (
	"net/netip"
	"slices"
	"testing"
	"testing/synctest"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TestServerUnvalidated answers INVITEs whose source may be forged: however long no ACK comes,
// little is sent there.
func TestServerUnvalidated(t *testing.T) {
	unvalidated := Options{Validated: func(transport.Flow) bool { return false }}
	runWith(t, unvalidated, []scenario{
		{
			name: "failure without an ACK", method: "INVITE",
			steps: []string{"0s respond 100", "500ms respond 180", "1s respond 486"},
			want: []string{"0s sent 100", "500ms sent 180", "1s sent 486", "1.5s sent 486", "2.5s sent 486", "4.5s sent 486",
				"33s ended: the transaction timed out"},
		}, {
			name: "a repeated request is answered all the same", method: "INVITE",
			steps: []string{"0s respond 486", "10s recv INVITE", "11s recv ACK"},
			want:  []string{"0s sent 486", "500ms sent 486", "1.5s sent 486", "3.5s sent 486", "10s sent 486", "16s ended"},
		}, {
			name: "the phone repeats its 2xx", method: "INVITE",
			steps: []string{"0s respond 200", "500ms respond 200", "1.5s respond 200", "3.5s respond 200", "7.5s respond 200", "11.5s respond 200", "15.5s respond 200"},
			want:  []string{"0s sent 200", "500ms sent 200", "1.5s sent 200", "3.5s sent 200", "32s ended"},
		}, {
			name: "a stream is validated", method: "INVITE", network: transport.TCP,
			steps: []string{"0s respond 200", "1s respond 200", "2s respond 200", "3s respond 200", "4s respond 200", "5s respond 200"},
			want:  []string{"0s sent 200", "1s sent 200", "2s sent 200", "3s sent 200", "4s sent 200", "5s sent 200", "32s ended"},
		}, {
			name: "no INVITE", method: "MESSAGE",
			steps: []string{"0s respond 200"},
			want:  []string{"0s sent 200", "32s ended"},
		},
	}, beginServer)
}

// TestValidatedDestination asks for where responses go, which need not be where the request came
// from.
func TestValidatedDestination(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var asked []string
		w := newWorld(t, transport.UDP, Options{Validated: func(f transport.Flow) bool {
			asked = append(asked, f.Remote.String())
			return true
		}})
		w.flow.Remote = netip.AddrPortFrom(other.Addr(), 999)
		m := view(t, requestText("INVITE", branch))
		to := m.ResponseAddr(w.flow.Remote) // the port is the Via's
		s, err := w.table.NewServer(m, w.flow, to, nil, serverSide{w})
		if err != nil {
			t.Fatal(err)
		}
		if err := s.Respond(responseText(486, "INVITE", branch, "t"), 486, nil); err != nil {
			t.Fatal(err)
		}
		if want := []string{other.String()}; to != other || !slices.Equal(asked, want) {
			t.Errorf("asked for %v, want %v", asked, want)
		}
	})
}

// TestMarkValidated has requests answered: only the one that was asked has shown anything.
func TestMarkValidated(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var validated []string
		w := newWorld(t, transport.UDP, Options{MarkValidated: func(f transport.Flow) { validated = append(validated, f.Remote.String()) }})
		beginClient(t, w, &scenario{method: "INVITE"})
		stray := view(t, responseText(180, "INVITE", "z9hG4bK-guessed", "t1"))
		w.table.Response(stray, w.flow, nil)
		elsewhere := w.flow
		elsewhere.Remote = other
		w.table.Response(view(t, responseText(180, "INVITE", branch, "t1")), elsewhere, nil)
		tcp := w.flow
		tcp.Network = transport.TCP
		w.table.Response(view(t, responseText(180, "INVITE", branch, "t1")), tcp, nil)
		if validated != nil {
			t.Errorf("%v are validated by what others sent", validated)
		}
		w.table.Response(view(t, responseText(180, "INVITE", branch, "t1")), w.flow, nil)
		if want := []string{peer.String()}; !slices.Equal(validated, want) {
			t.Errorf("%v are validated, want %v", validated, want)
		}
	})
}
