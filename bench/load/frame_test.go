//go:build linux

package main

import (
	"bytes"
	"net"
	"slices"
	"strings"
	"testing"
)

func TestFrame(t *testing.T) {
	const with = "SIP/2.0 200 OK\r\nVia: x\r\nl : 4\r\nTo: y\r\n\r\nbody"
	const without = "SIP/2.0 200 OK\r\ncontent-length:0\r\n\r\n"
	tests := []struct {
		name, in    string
		first, rest string
	}{
		{"body", with, with, ""},
		{"two", with + without, with, without},
		{"keep-alives before", "\r\n\r\n" + without + "SIP", without, "SIP"},
		{"only keep-alives", "\r\n\r\n\r\n", "", ""},
		{"half of a line", "SIP/2.0 200 OK\r\nVi", "", "SIP/2.0 200 OK\r\nVi"},
		{"body cut", with[:len(with)-1], "", with[:len(with)-1]},
		{"nothing", "", "", ""},
	}
	for _, test := range tests {
		first, rest, err := frame([]byte(test.in))
		if err != nil || string(first) != test.first || string(rest) != test.rest {
			t.Errorf("%s: %q and %q, %v", test.name, first, rest, err)
		}
	}
	for name, bad := range map[string]string{
		"no length":       "SIP/2.0 200 OK\r\nVia: x\r\n\r\n",
		"no headers":      "SIP/2.0 200 OK\r\n\r\n",
		"negative length": strings.Replace(with, "4", "-4", 1),
		"huge length":     strings.Replace(with, "4", "99999", 1),
		"no number":       strings.Replace(with, "4", "four", 1),
		"endless headers": strings.Repeat("x", streamMost+1),
	} {
		if first, _, err := frame([]byte(bad)); err == nil {
			t.Errorf("%s: accepted as %q", name, first)
		}
	}
}

// TestStream sends through a TCP connection to a server that answers in pieces
// which have nothing to do with where messages end.
func TestStream(t *testing.T) {
	listener, err := net.Listen("tcp4", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	l, err := newLoop()
	if err != nil {
		t.Fatal(err)
	}
	defer l.close()
	phones, err := l.openSockets("tcp", listener.Addr().(*net.TCPAddr).AddrPort(), 1)
	if err != nil {
		t.Fatal(err)
	}
	phone := phones[0]
	server, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer server.Close()

	request := phone.template(registerText).instantiate(phone.port).data
	if !bytes.Contains(request, []byte("SIP/2.0/TCP 127.0.0.1")) ||
		bytes.Count(request, []byte(";transport=tcp;line=")) != 1 {
		t.Errorf("not a REGISTER over TCP: %q", request)
	}
	phone.send(request)
	phone.send(request)
	l.flush()
	got := make([]byte, 2*len(request))
	for n := 0; n < len(got); {
		more, err := server.Read(got[n:])
		if err != nil {
			t.Fatal(err)
		}
		n += more
	}
	if want := append(bytes.Clone(request), request...); !bytes.Equal(got, want) {
		t.Errorf("sent %q, want %q", got, want)
	}

	var received [][]byte
	receive := func(s *socket, data []byte) {
		if s != phone {
			t.Error("received at another socket")
		}
		received = append(received, bytes.Clone(data))
	}
	for i, piece := range slices.Collect(slices.Chunk(got, 700)) {
		if _, err := server.Write(piece); err != nil {
			t.Fatal(err)
		}
		if err := l.wait(1000, receive); err != nil {
			t.Fatal(err)
		}
		if want := (i + 1) * 700 / len(request); len(received) != min(want, 2) && i < 2 {
			t.Errorf("%d messages after %d pieces, want %d", len(received), i+1, want)
		}
	}
	if len(received) != 2 || !bytes.Equal(received[0], request) || !bytes.Equal(received[1], request) {
		t.Errorf("received %q, want twice %q", received, request)
	}

	server.Close()
	if err := l.wait(1000, receive); err == nil || !strings.Contains(err.Error(), "closed") {
		t.Errorf("the server's closing the connection is not noticed: %v", err)
	}
}
