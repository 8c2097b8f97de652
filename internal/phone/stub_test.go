package phone

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// limit bounds whatever a test waits for on real sockets. It is reached only
// by a test that fails.
const limit = 10 * time.Second

// stub is a server that does nothing by itself: a test takes the phone's
// messages from it one by one and answers as it likes.
type stub struct {
	t    *testing.T
	addr string
	in   chan message
	out  func(text string) // to where the last message came from
	seen map[string]bool   // requests, to drop retransmissions
	kept []message         // taken from in, but not what somebody waited for
}

// message is a SIP message as text.
type message struct {
	start  string
	header []string // lines
	body   string
	reply  func(text string)
}

// get returns the values of a header field, joined by commas.
func (m message) get(name string) string {
	var values []string
	for _, h := range m.header {
		if n, v, _ := strings.Cut(h, ":"); strings.EqualFold(n, name) {
			values = append(values, strings.TrimSpace(v))
		}
	}
	return strings.Join(values, ",")
}

func parseMessage(text string) message {
	head, body, _ := strings.Cut(text, "\r\n\r\n")
	lines := strings.Split(head, "\r\n")
	return message{start: lines[0], header: lines[1:], body: body}
}

// listen starts a stub for a transport.
func listen(t *testing.T, transport, host string) *stub {
	t.Helper()
	s := &stub{t: t, in: make(chan message, 100), seen: make(map[string]bool)}
	if transport == "udp" {
		conn, err := net.ListenPacket("udp", net.JoinHostPort(host, "0"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { conn.Close() })
		s.addr = conn.LocalAddr().String()
		go func() {
			buf := make([]byte, 65536)
			for {
				n, from, err := conn.ReadFrom(buf)
				if err != nil {
					return
				}
				m := parseMessage(string(buf[:n]))
				m.reply = func(text string) { _, _ = conn.WriteTo([]byte(text), from) }
				s.in <- m
			}
		}()
		return s
	}
	l, err := net.Listen("tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	s.addr = l.Addr().String()
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			t.Cleanup(func() { conn.Close() })
			go s.serveConn(transport, conn)
		}
	}()
	return s
}

// serveConn reads messages from a connection until it ends.
func (s *stub) serveConn(transport string, conn net.Conn) {
	defer conn.Close()
	in := io.Reader(conn)
	write := func(text string) { _, _ = io.WriteString(conn, text) }
	if transport == "ws" {
		upgrader := ws.Upgrader{Protocol: func(p []byte) bool { return string(p) == "sip" }}
		if _, err := upgrader.Upgrade(conn); err != nil {
			return
		}
		pipe, feed := io.Pipe()
		in = pipe
		go func() {
			for {
				data, _, err := wsutil.ReadClientData(conn)
				if err != nil {
					feed.CloseWithError(err)
					return
				}
				_, _ = feed.Write(data)
			}
		}()
		write = func(text string) { _ = wsutil.WriteServerText(conn, []byte(text)) }
	}
	r := bufio.NewReader(in)
	for {
		var head strings.Builder
		length := 0
		for {
			line, err := r.ReadString('\n')
			if err != nil {
				return
			}
			if line == "\r\n" {
				break
			}
			if n, v, _ := strings.Cut(line, ":"); n == "Content-Length" {
				length, _ = strconv.Atoi(strings.TrimSpace(v))
			}
			head.WriteString(line)
		}
		body := make([]byte, length)
		if _, err := io.ReadFull(r, body); err != nil {
			return
		}
		m := parseMessage(strings.TrimSuffix(head.String(), "\r\n") + "\r\n\r\n" + string(body))
		m.reply = write
		s.in <- m
	}
}

// next returns the next message whose start line begins with one of prefixes.
// Others are kept for later, retransmissions are dropped.
func (s *stub) next(prefixes ...string) message {
	s.t.Helper()
	wanted := func(m message) bool {
		return slices.ContainsFunc(prefixes, func(p string) bool { return strings.HasPrefix(m.start, p) })
	}
	if i := slices.IndexFunc(s.kept, wanted); i >= 0 {
		m := s.kept[i]
		s.kept = slices.Delete(s.kept, i, i+1)
		return m
	}
	deadline := time.After(limit)
	for {
		select {
		case m := <-s.in:
			if !s.take(m) {
				continue
			}
			if wanted(m) {
				return m
			}
			s.kept = append(s.kept, m)
		case <-deadline:
			s.t.Fatalf("no %v came; instead: %+v", prefixes, s.kept)
		}
	}
}

// take notes that a message has come, and reports false for a retransmission.
func (s *stub) take(m message) bool {
	s.out = m.reply
	if strings.HasPrefix(m.start, "SIP/2.0") {
		return true
	}
	id := m.get("Via") + m.get("CSeq")
	again := s.seen[id]
	s.seen[id] = true
	return !again
}

// none fails the test if a message has come that nobody has asked for and that
// begins with prefix. Whatever the phone was made to send before is there:
// callers first wait for something that comes later.
func (s *stub) none(prefix string) {
	s.t.Helper()
	for len(s.in) > 0 {
		if m := <-s.in; s.take(m) {
			s.kept = append(s.kept, m)
		}
	}
	for _, m := range s.kept {
		if strings.HasPrefix(m.start, prefix) {
			s.t.Errorf("there was a %s", m.start)
		}
	}
}

// respond answers a request; to-tag and body as given, extra header lines.
func (s *stub) respond(m message, status string, toTag, body string, header ...string) {
	var b strings.Builder
	fmt.Fprintf(&b, "SIP/2.0 %s\r\n", status)
	for _, name := range []string{"Via", "From", "Call-ID", "CSeq"} {
		fmt.Fprintf(&b, "%s: %s\r\n", name, m.get(name))
	}
	to := m.get("To")
	if toTag != "" && !strings.Contains(to, ";tag=") {
		to += ";tag=" + toTag
	}
	fmt.Fprintf(&b, "To: %s\r\n", to)
	for _, h := range header {
		b.WriteString(h + "\r\n")
	}
	fmt.Fprintf(&b, "Content-Length: %d\r\n\r\n%s", len(body), body)
	m.reply(b.String())
}

// sequence numbers the requests of a stub.
var sequence = make(chan int)

func init() {
	go func() {
		for i := 1; ; i++ {
			sequence <- i
		}
	}()
}

// request sends a request to the phone. Header lines given replace those of
// their name.
func (s *stub) request(method, uri, body string, header ...string) message {
	n := <-sequence
	lines := []string{
		fmt.Sprintf("Via: SIP/2.0/UDP %s;branch=z9hG4bK-stub%d;rport", s.addr, n),
		"Max-Forwards: 70", "From: <sip:server@stub>;tag=s", "To: <sip:101@stub>",
		fmt.Sprintf("Call-ID: stub-%d", n), "CSeq: 1 " + method, "Contact: <sip:server@" + s.addr + ">",
	}
	for _, h := range header {
		name, _, _ := strings.Cut(h, ":")
		lines = slices.DeleteFunc(lines, func(l string) bool { return strings.HasPrefix(l, name+":") })
	}
	lines = append(lines, header...)
	text := method + " " + uri + " SIP/2.0\r\n" + strings.Join(lines, "\r\n") +
		fmt.Sprintf("\r\nContent-Length: %d\r\n\r\n%s", len(body), body)
	s.out(text)
	return parseMessage(text)
}

// answerTo returns the phone's final response to a request of ours.
func (s *stub) answerTo(m message) message {
	s.t.Helper()
	for {
		if r := s.next("SIP/2.0 "); r.get("Call-ID") == m.get("Call-ID") && r.get("CSeq") == m.get("CSeq") && r.start[8] != '1' {
			return r
		}
	}
}

// start starts a phone that talks to the stub.
func (s *stub) start(cfg Config) *Phone {
	s.t.Helper()
	cfg.Server = s.addr
	if cfg.User == "" {
		cfg.User = "101"
	}
	p, err := New(cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	s.t.Cleanup(func() { p.Close() })
	if err := p.Start(timeout(s.t)); err != nil {
		s.t.Fatal(err)
	}
	return p
}

// register registers a phone, without a challenge.
func (s *stub) register(p *Phone) message {
	s.t.Helper()
	done := async(func() error { return p.Register(timeout(s.t)) })
	m := s.next("REGISTER")
	s.respond(m, "200 OK", "r", "", "Contact: <"+p.Contact()+">;expires=3600")
	if err := <-done; err != nil {
		s.t.Fatal(err)
	}
	return m
}

func timeout(t *testing.T) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), limit)
	t.Cleanup(cancel)
	return ctx
}

func async(f func() error) <-chan error {
	c := make(chan error, 1)
	go func() { c <- f() }()
	return c
}

// transports that the tests run over.
func eachTransport(t *testing.T, f func(t *testing.T, transport string)) {
	for _, transport := range []string{"udp", "tcp", "ws"} {
		t.Run(transport, func(t *testing.T) { f(t, transport) })
	}
}

// pipeDialer returns a dialer whose connections are pipes to the stub, each
// from another port. An empty reply closes the connection.
func pipeDialer(s *stub, port *int) func(context.Context) (net.Conn, error) {
	return func(context.Context) (net.Conn, error) {
		client, server := net.Pipe()
		*port++
		go s.servePipe(server)
		return pipeConn{
			client,
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 2), Port: *port},
			&net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5060},
		}, nil
	}
}

// servePipe hands the messages of a pipe to the stub.
func (s *stub) servePipe(conn net.Conn) {
	var split splitter
	buf := make([]byte, 65536)
	for {
		n, err := conn.Read(buf)
		if err != nil {
			return
		}
		split.add(buf[:n], func(text string) {
			m := parseMessage(text)
			m.reply = func(text string) {
				if text == "" {
					conn.Close()
					return
				}
				_, _ = io.WriteString(conn, text)
			}
			s.in <- m
		})
	}
}
