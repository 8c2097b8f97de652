package keys

import (
	"context"
	"fmt"
	"runtime"
	"testing"

	"github.com/caddysip/caddysip/storage"
)

// fill gives each of so many users 12 keys of their own.
func fill(t testing.TB, s *Store, users int) {
	t.Helper()
	for i := range users {
		aor := fmt.Sprintf("%d@example.com", 100_000+i)
		var changes []Change
		for key := 1; key <= 12; key++ {
			changes = append(changes, Change{AOR: aor, Layer: User, Record: &Record{Key: key, Light: "on", Color: "green",
				Label: fmt.Sprintf("Person %d", i*7+key), Number: fmt.Sprint(100_000 + i*7 + key), Action: "invite"}})
		}
		mustApply(t, s, changes...)
	}
}

func inUse() int64 {
	var m runtime.MemStats
	for range 2 {
		runtime.GC()
	}
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

// A server with 100,000 users of 12 keys each holds 40 MB of them.
func TestMemory(t *testing.T) {
	const users = 10_000
	s, _ := start(t, nil)
	before := inUse()
	fill(t, s, users)
	each := (inUse() - before) / users
	t.Logf("%d bytes a user", each)
	if each > 500 {
		t.Errorf("a user with 12 keys costs %d bytes", each)
	}
	runtime.KeepAlive(s)
}

func BenchmarkEffective(b *testing.B) {
	s, _ := start(b, nil)
	fill(b, s, 1000)
	s.SetProfiles([]ProfileConfig{{Users: []string{"9*"}}, {Users: []string{"1*"}, Keys: []ProfileKey{{Key: 1, Label: "p", Locked: true}, {Key: 13, Label: "p"}}}}, nil)
	phone := PhoneOf("snomD785/10.1.33.33")
	b.ReportAllocs()
	for b.Loop() {
		if got := s.Effective("100500@example.com", phone); len(got) != 13 {
			b.Fatal(len(got))
		}
	}
}

func BenchmarkApply(b *testing.B) {
	for _, tc := range []struct {
		name     string
		engine   func(t testing.TB) storage.Engine
		volatile bool
	}{{"bolt", engines["bolt"], false}, {"volatile", engines["bolt"], true}} {
		b.Run(tc.name, func(b *testing.B) {
			s, _ := start(b, tc.engine(b))
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				c := Change{AOR: fmt.Sprintf("%d@example.com", i%10_000), Layer: Event, Record: label(i%12+1, fmt.Sprint(i)), Volatile: tc.volatile}
				if err := s.Apply(context.Background(), []Change{c}); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

func BenchmarkLoad(b *testing.B) {
	e := engines["memory"](b)
	s, _ := start(b, e)
	fill(b, s, 10_000)
	for b.Loop() {
		if _, err := New(Options{}).Load(e); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportMetric(float64(b.Elapsed().Nanoseconds())/float64(b.N)/10_000, "ns/user")
}
