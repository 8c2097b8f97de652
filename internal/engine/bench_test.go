package engine

import (
	"fmt"
	"path/filepath"
	"testing"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/wire"
)

// BenchmarkRegister renews registrations without a storage and with a file, whose writing goes on
// beside it.
func BenchmarkRegister(b *testing.B) {
	const users = 10_000
	for _, name := range []string{"nowhere", "bolt"} {
		b.Run(name, func(b *testing.B) {
			var s storage.Storage
			if name == "bolt" {
				s = file(filepath.Join(b.TempDir(), "sip.db"))
			}
			e := newEngine(b)
			g := mustAttach(b, e, stored(s))
			list := make([]*location.Update, users)
			for i := range list {
				uri, err := wire.ParseURI(fmt.Appendf(nil, "sip:user%07d@192.168.100.200:5060;line=ab12cd34", i))
				if err != nil {
					b.Fatal(err)
				}
				list[i] = &location.Update{
					AOR: fmt.Appendf(nil, "user%07d@example.com", i), CallID: fmt.Appendf(nil, "%032x", i), UserAgent: []byte("snomD785/10.1.159.12"),
					Flow: phoneFlow, Contacts: []location.ContactUpdate{{URI: uri, Expires: 3600, Q: 1000}},
				}
			}
			var r location.Result
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				u := list[i%users]
				u.CSeq++
				if err := e.Location.Update(u, &r); err != nil {
					b.Fatal(err)
				}
			}
			b.StopTimer()
			e.Detach(g)
		})
	}
}

// BenchmarkRestore is one registration of those that are read when the server starts.
func BenchmarkRestore(b *testing.B) {
	const users = 100_000
	s := file(filepath.Join(b.TempDir(), "sip.db"))
	e := newEngine(b)
	g := mustAttach(b, e, stored(s))
	for i := range users {
		register(b, e, fmt.Sprintf("user%07d", i), 1, 3600e9)
	}
	e.Detach(g)
	for b.Loop() {
		e := New()
		g := mustAttach(b, e, stored(s))
		if n, _ := e.Location.Len(); n != users {
			b.Fatalf("%d users", n)
		}
		e.Detach(g)
		_ = e.Destruct()
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/users, "ns/registration")
}
