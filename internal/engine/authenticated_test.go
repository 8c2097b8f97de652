package engine

import (
	"net/netip"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/ban"
)

// TestBanOfUsers bans no address where users are, until the last of them has not been heard of for a day.
func TestBanOfUsers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		e := &Engine{Bans: ban.New(ban.Options{}), authenticated: ban.NewMarks(authenticatedBits)}
		office, other := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		e.MarkAuthenticated(office, "101")
		if e.Ban(office, time.Hour, "") || e.Bans.Banned(office) {
			t.Error("an address is banned where users are")
		}
		if !e.Ban(other, time.Hour, "") || !e.Bans.Banned(other) {
			t.Error("another address is not banned")
		}
		time.Sleep(authenticatedTime)
		if !e.Ban(office, time.Hour, "") || !e.Bans.Banned(office) {
			t.Error("an address where users were is not banned")
		}
	})
}
