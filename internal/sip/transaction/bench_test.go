package transaction

import (
	"fmt"
	"runtime"
	"testing"

	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/wire"
)

func newBenchTable(b testing.TB) *Table {
	t := NewTable(Options{})
	t.send = func(transport.Flow, []byte, *transport.Outbox) error { return nil }
	b.Cleanup(t.Close)
	return t
}

var benchFlow = transport.Flow{Remote: peer}

// held fills a table with answered transactions, and returns how many bytes of memory each takes
// beside the response it keeps.
func held(b testing.TB, t *Table, method string, n int) float64 {
	m := new(wire.Message)
	status := 200
	if method == "INVITE" {
		status = 486
	}
	response := responseText(status, method, branch, "t1")
	raws := make([][]byte, n)
	for i := range raws {
		raws[i] = requestText(method, fmt.Sprintf("z9hG4bK-d8754z-1b2c3d4e-%08d", i))
	}
	before := heap()
	for _, raw := range raws {
		if err := m.Parse(raw); err != nil {
			b.Fatal(err)
		}
		s, err := t.NewServer(m, benchFlow, peer, []byte("8f3b9a"), nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Respond(response, status, nil); err != nil {
			b.Fatal(err)
		}
	}
	size := float64(heap()-before) / float64(n)
	runtime.KeepAlive(raws)
	return size - float64(len(response))
}

func heap() int64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int64(m.HeapAlloc)
}

func TestMemory(t *testing.T) {
	for _, method := range []string{"INVITE", "MESSAGE"} {
		size := held(t, newBenchTable(t), method, 10_000)
		t.Logf("%s: %.0f bytes a transaction, beside the response", method, size)
		if size > 700 {
			t.Errorf("a transaction of %s takes %.0f bytes beside the response, want 700 at most", method, size)
		}
	}
}

func TestLookupAllocatesNothing(t *testing.T) {
	table := newBenchTable(t)
	held(t, table, "REGISTER", 10)
	m := view(t, requestText("REGISTER", branch))
	if n := testing.AllocsPerRun(100, func() { table.Request(m, benchFlow, nil) }); n != 0 {
		t.Errorf("looking up a new request allocates %v times", n)
	}
}

func BenchmarkLookupMiss(b *testing.B) {
	for _, n := range []int{0, 100_000} {
		b.Run(fmt.Sprint(n, "-held"), func(b *testing.B) {
			table := newBenchTable(b)
			held(b, table, "REGISTER", n)
			m := view(b, requestText("REGISTER", "z9hG4bK-d8754z-1b2c3d4e5f"))
			b.ReportAllocs()
			for b.Loop() {
				if table.Request(m, benchFlow, nil) {
					b.Fatal("known")
				}
			}
		})
	}
}

func BenchmarkLookupMissParallel(b *testing.B) {
	table := newBenchTable(b)
	held(b, table, "REGISTER", 100_000)
	b.ReportAllocs()
	b.ResetTimer()
	b.RunParallel(func(pb *testing.PB) {
		m := view(b, requestText("REGISTER", "z9hG4bK-d8754z-1b2c3d4e5f"))
		for pb.Next() {
			table.Request(m, benchFlow, nil)
		}
	})
}

func BenchmarkRetransmission(b *testing.B) {
	table := newBenchTable(b)
	m := view(b, requestText("MESSAGE", branch))
	s, err := table.NewServer(m, benchFlow, peer, nil, nil)
	if err != nil {
		b.Fatal(err)
	}
	if err := s.Respond(responseText(100, "MESSAGE", branch, ""), 100, nil); err != nil {
		b.Fatal(err)
	}
	b.ReportAllocs()
	for b.Loop() {
		table.Request(m, benchFlow, nil)
	}
}

// BenchmarkServerLife is a look-up, NewServer, the final response, and the end.
func BenchmarkServerLife(b *testing.B) {
	table := newBenchTable(b)
	m := view(b, requestText("MESSAGE", branch))
	response := responseText(200, "MESSAGE", branch, "t1")
	b.ReportAllocs()
	for b.Loop() {
		table.Request(m, benchFlow, nil)
		s, err := table.NewServer(m, benchFlow, peer, []byte("8f3b9a"), nil)
		if err != nil {
			b.Fatal(err)
		}
		if err := s.Respond(response, 200, nil); err != nil {
			b.Fatal(err)
		}
		endNow(s)
	}
}

// BenchmarkInviteServerLife is INVITE, 180, 200 and the end.
func BenchmarkInviteServerLife(b *testing.B) {
	table := newBenchTable(b)
	m := view(b, requestText("INVITE", branch))
	ringing, ok := responseText(180, "INVITE", branch, "t1"), responseText(200, "INVITE", branch, "t1")
	b.ReportAllocs()
	for b.Loop() {
		table.Request(m, benchFlow, nil)
		s, err := table.NewServer(m, benchFlow, peer, []byte("8f3b9a"), nil)
		if err != nil {
			b.Fatal(err)
		}
		_ = s.Respond(ringing, 180, nil)
		_ = s.Respond(ok, 200, nil)
		endNow(s)
	}
}

// BenchmarkClientLife is a request, its final response, and the end.
func BenchmarkClientLife(b *testing.B) {
	table := newBenchTable(b)
	request := requestText("MESSAGE", branch)
	m := view(b, responseText(200, "MESSAGE", branch, "t1"))
	b.ReportAllocs()
	for b.Loop() {
		c, err := table.NewClient(request, benchFlow, nil, nil, ClientOptions{})
		if err != nil {
			b.Fatal(err)
		}
		table.Response(m, benchFlow, nil)
		endNow(c)
	}
}

// endNow does what the timer goroutine does when the last timer fires.
func endNow(x transaction) {
	c := x.base()
	c.mu.Lock()
	defer c.mu.Unlock()
	c.end(x, nil)
	c.report(x)
}

func BenchmarkTimer(b *testing.B) {
	table := newBenchTable(b)
	timer := table.AfterFunc(1<<40, func() {})
	b.ReportAllocs()
	for b.Loop() {
		timer.Reset(1 << 38)
		timer.Stop()
	}
}

// BenchmarkMemory reports the bytes that a held transaction takes beside the response it keeps.
func BenchmarkMemory(b *testing.B) {
	for _, method := range []string{"INVITE", "MESSAGE"} {
		b.Run(method, func(b *testing.B) {
			var size float64
			for b.Loop() {
				size = held(b, newBenchTable(b), method, 100_000)
			}
			b.ReportMetric(size, "B/tx")
		})
	}
}
