package handlertest

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net"
	"net/netip"
	"os"
	"regexp"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// patience is how long a test waits for what must come. What must not come is asked for by sending
// something that is answered after it.
const patience = 10 * time.Second

// Peer is a SIP element that a test speaks for, byte by byte: a phone, or another proxy.
type Peer struct {
	Addr netip.AddrPort // of its own socket

	t      testing.TB
	packet net.PacketConn
	stream net.Conn
	reader *bufio.Reader
	server net.Addr
	count  int
	known  map[string]bool // messages whose retransmissions are passed over
}

// UDP makes a peer with a UDP socket of its own on the server's address.
func (s *Server) UDP() *Peer {
	s.t.Helper()
	return s.UDPFrom(s.Addr.Addr().String())
}

// UDPFrom is UDP on another of the machine's addresses.
func (s *Server) UDPFrom(host string) *Peer {
	s.t.Helper()
	c, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { c.Close() })
	return &Peer{t: s.t, packet: c, server: net.UDPAddrFromAddrPort(s.Addr), Addr: netip.MustParseAddrPort(c.LocalAddr().String())}
}

// TCP makes a peer with a connection to the server.
func (s *Server) TCP() *Peer {
	s.t.Helper()
	return s.TCPFrom(s.Addr.Addr().String())
}

// TCPFrom is TCP from another of the machine's addresses.
func (s *Server) TCPFrom(host string) *Peer {
	s.t.Helper()
	dialer := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.ParseIP(host)}}
	c, err := dialer.Dial("tcp", s.Addr.String())
	if err != nil {
		s.t.Fatal(err)
	}
	return s.stream(c)
}

// Accept makes a peer of a connection that the server makes.
func (s *Server) Accept(l net.Listener) *Peer {
	s.t.Helper()
	c, err := l.Accept()
	if err != nil {
		s.t.Fatal(err)
	}
	return s.stream(c)
}

func (s *Server) stream(c net.Conn) *Peer {
	s.t.Cleanup(func() { c.Close() })
	return &Peer{t: s.t, stream: c, reader: bufio.NewReader(c), Addr: netip.MustParseAddrPort(c.LocalAddr().String())}
}

// Await waits until a metric has risen to a value: what a peer sent and gets no answer to has been
// read then. Labels are as for Metric.
func (s *Server) Await(value float64, name string, labels ...string) {
	s.t.Helper()
	for deadline := time.Now().Add(patience); ; runtime.Gosched() {
		got := s.Metric(name, labels...)
		switch {
		case got >= value:
			return
		case time.Now().After(deadline):
			s.t.Fatalf("%s%v is %v and should get to %v", name, labels, got, value)
		}
	}
}

// Transport returns "UDP" or "TCP".
func (p *Peer) Transport() string {
	if p.stream != nil {
		return "TCP"
	}
	return "UDP"
}

// Send sends a message. Its lines may end in LF alone; {me} stands for the peer's address,
// {transport} for its transport, {branch} for a new branch. A Content-Length line is added when
// there is none.
func (p *Peer) Send(text string) {
	p.t.Helper()
	p.count++
	text = strings.NewReplacer("{me}", p.Addr.String(), "{transport}", p.Transport(),
		"{branch}", fmt.Sprintf("z9hG4bK%d-%d", p.Addr.Port(), p.count)).Replace(text)
	text = strings.ReplaceAll(strings.ReplaceAll(text, "\r\n", "\n"), "\n", "\r\n")
	head, body, found := strings.Cut(text, "\r\n\r\n")
	if !found {
		head = strings.TrimSuffix(head, "\r\n")
	}
	if !strings.Contains(strings.ToLower(head), "\r\ncontent-length:") {
		head += "\r\nContent-Length: " + strconv.Itoa(len(body))
	}
	p.SendRaw([]byte(head + "\r\n\r\n" + body))
}

// SendRaw sends bytes as they are.
func (p *Peer) SendRaw(b []byte) {
	p.t.Helper()
	var err error
	if p.stream != nil {
		_, err = p.stream.Write(b)
	} else {
		_, err = p.packet.WriteTo(b, p.server)
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Message is a message that a peer received.
type Message struct {
	Text string
	From net.Addr
}

// Receive returns the next message.
func (p *Peer) Receive() Message {
	p.t.Helper()
	for {
		m, err := p.receive(patience)
		if err != nil {
			p.t.Fatalf("peer %s waits for a message: %v", p.Addr, err)
		}
		if !p.known[m.Text] {
			return m
		}
	}
}

// Ignore has the peer pass over retransmissions of a message, which come when a test is slow.
func (p *Peer) Ignore(m Message) {
	if p.known == nil {
		p.known = make(map[string]bool)
	}
	p.known[m.Text] = true
}

// Expect returns the next message, which must start with that text.
func (p *Peer) Expect(start string) Message {
	p.t.Helper()
	m := p.Receive()
	if !strings.HasPrefix(m.Text, start) {
		p.t.Fatalf("peer %s waits for %q and gets:\n%s", p.Addr, start, m.Text)
	}
	return m
}

// Nothing makes sure that no message is there for the peer: it asks the server for OPTIONS, and the
// answer must be what comes next.
func (p *Peer) Nothing() {
	p.t.Helper()
	p.Send("OPTIONS sip:127.0.0.1 SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\n" +
		"From: <sip:probe@127.0.0.1>;tag=p\nTo: <sip:127.0.0.1>\nCall-ID: probe-" + p.Addr.String() + "\nCSeq: 1 OPTIONS\n\n")
	if m := p.Receive(); m.Header("CSeq") != "1 OPTIONS" {
		p.t.Fatalf("peer %s should get nothing and gets:\n%s", p.Addr, m.Text)
	}
}

func (p *Peer) receive(wait time.Duration) (Message, error) {
	deadline := time.Now().Add(wait)
	if p.stream == nil {
		if err := p.packet.SetReadDeadline(deadline); err != nil {
			return Message{}, err
		}
		buf := make([]byte, 65536)
		n, from, err := p.packet.ReadFrom(buf)
		return Message{string(buf[:n]), from}, err
	}
	if err := p.stream.SetReadDeadline(deadline); err != nil {
		return Message{}, err
	}
	var head bytes.Buffer
	for !bytes.HasSuffix(head.Bytes(), []byte("\r\n\r\n")) {
		line, err := p.reader.ReadBytes('\n')
		head.Write(line)
		if err != nil {
			return Message{Text: head.String()}, err
		}
	}
	m := Message{head.String(), p.stream.RemoteAddr()}
	n, _ := strconv.Atoi(m.Header("Content-Length"))
	body := make([]byte, n)
	_, err := io.ReadFull(p.reader, body)
	m.Text += string(body)
	return m, err
}

// Close closes the peer's socket; a connection, so that the server has noticed when Close returns.
func (p *Peer) Close() {
	p.t.Helper()
	var err error
	if p.stream != nil {
		err = p.stream.(*net.TCPConn).CloseWrite()
		p.Closed()
	} else {
		err = p.packet.Close()
	}
	if err != nil {
		p.t.Fatal(err)
	}
}

// Closed waits until the server has closed the connection. Messages that begin as one of before may
// come until then.
func (p *Peer) Closed(before ...string) {
	p.t.Helper()
	for {
		m, err := p.receive(patience)
		switch {
		case errors.Is(err, os.ErrDeadlineExceeded):
			p.t.Fatal("the connection should be closed, and is open")
		case err != nil:
			return
		case !slices.ContainsFunc(before, func(start string) bool { return strings.HasPrefix(m.Text, start) }):
			p.t.Fatalf("the connection should be closed, but this comes:\n%s", m.Text)
		}
	}
}

// Line returns the first line.
func (m Message) Line() string {
	line, _, _ := strings.Cut(m.Text, "\r\n")
	return line
}

// Headers returns the values of all lines of a field, by its name as it is written.
func (m Message) Headers(name string) []string {
	head, _, _ := strings.Cut(m.Text, "\r\n\r\n")
	var values []string
	for _, line := range strings.Split(head, "\r\n")[1:] {
		if n, v, ok := strings.Cut(line, ":"); ok && strings.EqualFold(strings.TrimSpace(n), name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return values
}

// Header returns the value of a field's first line.
func (m Message) Header(name string) string {
	if v := m.Headers(name); len(v) > 0 {
		return v[0]
	}
	return ""
}

// Body returns what follows the header.
func (m Message) Body() string {
	_, body, _ := strings.Cut(m.Text, "\r\n\r\n")
	return body
}

// URI returns a request's Request-URI.
func (m Message) URI() string {
	parts := strings.Split(m.Line(), " ")
	if len(parts) < 2 {
		return ""
	}
	return parts[1]
}

var tag = regexp.MustCompile(`;tag=([^;>\s]+)`)

// Tag returns the tag in From or To.
func (m Message) Tag(name string) string {
	if t := tag.FindStringSubmatch(m.Header(name)); t != nil {
		return t[1]
	}
	return ""
}

// Answer sends a response to a request that the peer received. toTag is added to To when it has
// none; extra are further header lines.
func (p *Peer) Answer(req Message, status string, toTag string, extra ...string) {
	p.t.Helper()
	var b strings.Builder
	b.WriteString("SIP/2.0 " + status + "\n")
	for _, name := range []string{"Via", "Record-Route", "From", "To", "Call-ID", "CSeq"} {
		for _, v := range req.Headers(name) {
			if name == "To" && toTag != "" && req.Tag("To") == "" {
				v += ";tag=" + toTag
			}
			b.WriteString(name + ": " + v + "\n")
		}
	}
	for _, line := range extra {
		b.WriteString(line + "\n")
	}
	p.Send(b.String() + "\n")
}
