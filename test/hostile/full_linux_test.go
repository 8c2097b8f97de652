package hostile

import (
	"fmt"
	"maps"
	"path/filepath"
	"testing"

	"github.com/caddysip/caddysip/internal/inside"
)

// TestFullDisk fills the disk (see limitFiles): phones register as before, and when there is space
// again, everything is written without further action.
func TestFullDisk(t *testing.T) {
	inChild(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		s := withStorage(t, "bolt "+path)
		p := udp(t, s, "")
		want := make(map[string]bool)
		register := func(user string, expires int) {
			p.user = user
			p.register("Call-ID: reg-"+user, fmt.Sprint("Expires: ", expires), fmt.Sprintf("User-Agent: %0400d", 1))
			want[user] = expires > 0
			maps.DeleteFunc(want, func(_ string, there bool) bool { return !there })
		}
		written := func() bool { return maps.Equal(stored(t, s), want) }
		for i := range 50 {
			register(fmt.Sprint("before", i), 600)
		}
		eventually(t, "what comes before to be written", written)
		failures := func() float64 { return s.Metric("caddy_sip_storage_errors_total") }
		if n := failures(); n != 0 {
			t.Errorf("%v errors", n)
		}

		limitFiles(t, 1)
		for i := range 500 {
			register(fmt.Sprint("meanwhile", i), 600)
		}
		for i := range 20 {
			register(fmt.Sprint("before", i), 0)
		}
		eventually(t, "errors to be counted", func() bool { return failures() >= 2 })
		register("late", 600)
		p.request("REGISTER", "sip:"+s.Addr.Addr().String(), fmt.Sprintf("To: <%s>", s.URI("late")), "Contact:")
		if m := p.Expect("SIP/2.0 200"); len(m.Headers("Contact")) != 1 {
			t.Errorf("not registered:\n%s", m.Text)
		}
		if got := stored(t, s); len(got) != 50 {
			t.Errorf("the file has %d users, want 50", len(got))
		}

		limitFiles(t, 1<<62)
		eventually(t, "all to be written", written)
		s.Restart()
		if users, _ := inside.AppOf(s.App()).Location().Len(); users != len(want) {
			t.Errorf("after a restart there are %d users, want %d", users, len(want))
		}
		p.request("OPTIONS", s.URI("before3"))
		p.Expect("SIP/2.0 404 ")
	})
}
