package delivery_test

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// BenchmarkFleet is a server and 10,000 phones with 12 keys each, on the same machine: what a
// message costs both of them.
func BenchmarkFleet(b *testing.B) {
	const phones, keys = 10000, 12
	for b.Loop() {
		s, f, text := startFleet(b, keys, 100000)
		s.Load(strings.Replace(text, "users 1*", "users none", 1))
		f.register(s, phones, 1)
		start, cpu := time.Now(), cpuTime()
		s.Load(text)
		f.wait("all keys", func() bool { return len(f.got) == phones*keys })
		took, used := time.Since(start), cpuTime()-cpu
		b.ReportMetric(float64(phones*keys)/took.Seconds(), "messages/s")
		b.ReportMetric(float64(used.Microseconds())/(phones*keys), "µs-cpu/message")
	}
}

func cpuTime() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}
