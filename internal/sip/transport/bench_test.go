package transport

import (
	"io"
	"net"
	"net/netip"
	"testing"
)

// BenchmarkUDPEcho is one datagram there and back between two readers in this process, 64 under way
// at a time; an operation is two datagrams received and two sent.
func BenchmarkUDPEcho(b *testing.B) {
	const window = 64
	data := []byte(msg("benchmark", 300))
	for _, addr := range []string{"127.0.0.1:0", "0.0.0.0:0", "[::]:0"} {
		b.Run("package/"+addr, func(b *testing.B) {
			done := make(chan struct{})
			var sent, received int
			var target Flow
			server := start(b, funcs{message: echo}, Options{UDPSockets: 1, Unreachable: unheard})
			m := start(b, funcs{message: func(in *Inbound) {
				if received++; received == b.N {
					close(done)
				}
				if sent < b.N {
					sent++
					in.Outbox.Send(in.Flow, append(in.Outbox.Buffer(), in.Data...))
				}
			}}, Options{UDPSockets: 1, Unreachable: unheard})
			to := netip.AddrPortFrom(netip.MustParseAddr("127.0.0.1"), listen(b, server, UDP, addr).Addr().Port())
			target = listen(b, m, UDP, "127.0.0.1:0").Flow(to)
			first := min(window, b.N)
			sent = first
			b.ReportAllocs()
			cpu := cpuTime()
			for b.ResetTimer(); first > 0; first-- {
				if err := target.Send(data); err != nil {
					b.Fatal(err)
				}
			}
			wait(b, done, "the last echo")
			b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
		})
	}
	// The same over package net, a system call a datagram.
	b.Run("net", func(b *testing.B) {
		server, c := client(b, "127.0.0.1:0"), client(b, "127.0.0.1:0")
		go func() {
			buf := make([]byte, 2048)
			for {
				n, from, err := server.ReadFromUDPAddrPort(buf)
				if err != nil {
					return
				}
				server.WriteToUDPAddrPort(buf[:n], from)
			}
		}()
		to := server.LocalAddr().(*net.UDPAddr).AddrPort()
		buf := make([]byte, 2048)
		b.ReportAllocs()
		cpu := cpuTime()
		b.ResetTimer()
		for sent, received := 0, 0; received < b.N; received++ {
			for ; sent < b.N && sent-received < window; sent++ {
				c.WriteToUDPAddrPort(data, to)
			}
			if _, _, err := c.ReadFromUDPAddrPort(buf); err != nil {
				b.Fatal(err)
			}
		}
		b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N), "cpu-ns/op")
	})
}

func unheard(netip.AddrPort, []byte, error) {}

// BenchmarkFlowSend is one datagram outside a batch.
func BenchmarkFlowSend(b *testing.B) {
	m := start(b, funcs{}, Options{UDPSockets: 1, Unreachable: unheard})
	f := listen(b, m, UDP, "0.0.0.0:0").Flow(client(b, "127.0.0.1:0").LocalAddr().(*net.UDPAddr).AddrPort())
	data := []byte(msg("benchmark", 300))
	for b.Loop() {
		if err := f.Send(data); err != nil {
			b.Fatal(err)
		}
	}
	b.ReportAllocs()
}

// BenchmarkTCPEcho is one message there and back over one connection, 64 under way at a time.
func BenchmarkTCPEcho(b *testing.B) {
	done := make(chan struct{})
	var sent, received int
	server := start(b, funcs{message: echo}, Options{})
	m := start(b, funcs{message: func(in *Inbound) {
		if received++; received == b.N {
			close(done)
		}
		if sent < b.N {
			sent++
			in.Outbox.Send(in.Flow, in.Data)
		}
	}}, Options{})
	f, err := m.Dial(b.Context(), TCP, listen(b, server, TCP, "127.0.0.1:0").Addr())
	if err != nil {
		b.Fatal(err)
	}
	sent = min(64, b.N)
	b.ReportAllocs()
	b.ResetTimer()
	for range sent {
		if err := f.Send([]byte(msg("benchmark", 300))); err != nil {
			b.Fatal(err)
		}
	}
	wait(b, done, "the last echo")
}

func BenchmarkFramer(b *testing.B) {
	data := []byte("OPTIONS sip:a SIP/2.0\r\nVia: SIP/2.0/TCP 192.0.2.1;branch=z9hG4bKx\r\nMax-Forwards: 70\r\nFrom: <sip:a@b>;tag=1\r\n" +
		"To: <sip:a@b>\r\nCall-ID: x\r\nCSeq: 1 OPTIONS\r\nContact: <sip:a@192.0.2.1>\r\nContent-Length: 0\r\n\r\n")
	b.ReportAllocs()
	b.SetBytes(int64(len(data)))
	for b.Loop() {
		var f framer
		if n, err := f.scan(data, 64<<10); n == 0 || err != nil {
			b.Fatal(n, err)
		}
	}
}

// BenchmarkTCPPhones is one message there and back, over many connections of which each has one
// under way.
func BenchmarkTCPPhones(b *testing.B) {
	const phones = 64
	server := start(b, funcs{message: echo}, Options{})
	addr := listen(b, server, TCP, "127.0.0.1:0").Addr()
	text := []byte(msg("benchmark", 300))
	conns := make([]net.Conn, phones)
	for i := range conns {
		c, err := net.Dial("tcp", addr.String())
		if err != nil {
			b.Fatal(err)
		}
		b.Cleanup(func() { c.Close() })
		conns[i] = c
	}
	in := make([]byte, len(text))
	b.ReportAllocs()
	cpu := cpuTime()
	for b.Loop() {
		for _, c := range conns {
			if _, err := c.Write(text); err != nil {
				b.Fatal(err)
			}
		}
		for _, c := range conns {
			if _, err := io.ReadFull(c, in); err != nil {
				b.Fatal(err)
			}
		}
	}
	b.ReportMetric(float64(cpuTime()-cpu)/float64(b.N)/phones, "cpu-ns/message")
}
