package store

import (
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"testing"
	"time"

	"github.com/caddysip/caddysip/storage"
)

// benchmarkValue is about what one registration takes.
var benchmarkValue = make([]byte, 200)

func engines(b *testing.B) map[string]storage.Engine {
	m := NewMemory()
	b.Cleanup(func() { m.Close() })
	return map[string]storage.Engine{"memory": m, "bolt": openBolt(b, filepath.Join(b.TempDir(), "sip.db"))}
}

// BenchmarkPut is a change that is on the disk when it returns.
func BenchmarkPut(b *testing.B) {
	for name, e := range engines(b) {
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				mustWrite(b, e, storage.Change{Bucket: "things", Key: fmt.Sprintf("user%07d@example.com", i%10_000), Value: benchmarkValue})
			}
		})
	}
}

// BenchmarkPutBatch is one change of those that are written together, a fifth of a second's worth
// of 20,000 a second, in stores of several sizes.
func BenchmarkPutBatch(b *testing.B) {
	for _, users := range []int{10_000, 100_000, 1_000_000} {
		for name, e := range engines(b) {
			keys := make([]string, users)
			changes := make([]storage.Change, 0, batchChanges)
			flush := func() {
				mustWrite(b, e, changes...)
				changes = changes[:0]
			}
			for i := range keys {
				keys[i] = fmt.Sprintf("user%07d@example.com", i)
				changes = append(changes, storage.Change{Bucket: "things", Key: keys[i], Value: benchmarkValue})
				if len(changes) == batchChanges {
					flush()
				}
			}
			flush()
			b.Run(fmt.Sprintf("%s/%d", name, users), func(b *testing.B) {
				b.ReportAllocs()
				random := rand.New(rand.NewPCG(1, 2))
				for b.Loop() {
					changes = append(changes, storage.Change{Bucket: "things", Key: keys[random.IntN(users)], Value: benchmarkValue})
					if len(changes) == 4000 {
						flush()
					}
				}
				flush()
			})
		}
	}
}

func BenchmarkGet(b *testing.B) {
	for name, e := range engines(b) {
		for i := range 10_000 {
			mustWrite(b, e, storage.Change{Bucket: "things", Key: fmt.Sprintf("user%07d@example.com", i), Value: benchmarkValue})
			if i == 100 && name == "bolt" {
				break // one by one is slow
			}
		}
		b.Run(name, func(b *testing.B) {
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				if _, err := e.Get(b.Context(), "things", fmt.Sprintf("user%07d@example.com", i%100)); err != nil {
					b.Fatal(err)
				}
			}
		})
	}
}

// BenchmarkMark is what the path of a REGISTER pays.
func BenchmarkMark(b *testing.B) {
	for _, users := range []int{10_000, 100_000} {
		b.Run(fmt.Sprint(users), func(b *testing.B) {
			e := NewMemory()
			defer e.Close()
			tab := newTable()
			s := tab.source()
			s.Append = func(dst []byte, _ string) ([]byte, time.Time) { return append(dst, benchmarkValue...), time.Time{} }
			behind := NewWriteBehind(s)
			defer behind.Close()
			behind.SwitchTo(e, true)
			keys := make([]string, users)
			for i := range keys {
				keys[i] = fmt.Sprintf("user%07d@example.com", i)
			}
			b.ReportAllocs()
			for i := 0; b.Loop(); i++ {
				behind.Mark(keys[i%users])
			}
		})
	}
}
