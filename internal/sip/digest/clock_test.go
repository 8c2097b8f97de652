package digest

import "testing"

// TestUseOutOfOrder has two copies of a request come at once, of which the second to get there has
// looked at the clock first.
func TestUseOutOfOrder(t *testing.T) {
	var tab table
	tab.init()
	const id, made, request, now = 1, 1, 7, 100_000
	for _, test := range []struct {
		request, now uint64
		want         Use
	}{
		{request, now, Accepted},
		{request, now - 1, Accepted},
		{request + 1, now - 1, Replayed},
		{request, now + retransmission, Accepted},
		{request, now + retransmission + 1, Replayed},
	} {
		if got := tab.use(id, made, 1, test.request, test.now); got != test.want {
			t.Errorf("request %d at %d: %v, want %v", test.request, test.now, got, test.want)
		}
	}
}
