package transaction

import (
	"testing"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// TestServerFull has a client that reads too slowly to be sent anything: no transaction ends for
// that, and the final response is sent when there is room.
func TestServerFull(t *testing.T) {
	run(t, []scenario{
		{
			name: "INVITE", method: "INVITE", network: transport.TCP,
			steps: []string{"0s full", "1s respond 180", "2s respond 486", "3s works", "6s recv ACK"},
			want:  []string{"1s lost 180", "2s lost 486", "2.5s lost 486", "3.5s sent 486", "6s ended"},
		}, {
			name: "INVITE and success, which its sender repeats", method: "INVITE", network: transport.TCP,
			steps: []string{"0s full", "1s respond 200", "1.5s respond 200", "2s works", "2.5s respond 200"},
			want:  []string{"1s lost 200", "1.5s lost 200", "2.5s sent 200", "33s ended"},
		}, {
			name: "MESSAGE", method: "MESSAGE", network: transport.TCP,
			steps: []string{"0s full", "1s respond 200", "3s works"},
			want:  []string{"1s lost 200", "1.5s lost 200", "2.5s lost 200", "4.5s sent 200", "4.51s ended"},
		}, {
			name: "for good", method: "MESSAGE", network: transport.TCP,
			steps: []string{"0s full", "30s respond 200"},
			want: []string{"30s lost 200", "30.5s lost 200", "31.5s lost 200", "33.5s lost 200", "37.5s lost 200",
				"41.5s lost 200", "45.5s lost 200", "49.5s lost 200", "53.5s lost 200", "57.5s lost 200", "1m1.5s lost 200",
				"1m2s ended"},
		},
	}, beginServer)
}
