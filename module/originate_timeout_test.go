package module

import (
	"testing"

	"github.com/caddysip/caddysip/internal/sip/transaction"
)

// TestSendTimedOut has a transaction end without an answer, which takes 32 seconds on a network.
func TestSendTimedOut(t *testing.T) {
	for _, tc := range []struct{ err, want error }{
		{transaction.ErrTimeout, ErrNoAnswer},
		{transaction.ErrClosed, transaction.ErrClosed},
	} {
		s := &sending{came: make(chan *sending, 1)}
		s.Done(nil, tc.err)
		if got := <-s.came; got.err != tc.want || got.status != 0 {
			t.Errorf("%v is told as %v, with the status %d", tc.err, got.err, got.status)
		}
	}
}
