//go:build interop

package interop

import (
	"bufio"
	"bytes"
	"fmt"
	"net"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// asker is one phone, or a whole office of them behind one socket, that registers its users again
// and again and sends OPTIONS. It repeats what is not answered as RFC 3261 §17.1.2.2 says, and each
// request must be answered 200 in the end.
type asker struct {
	t     *testing.T
	name  string
	conn  net.Conn
	users int // how many it registers
	ended sync.WaitGroup

	mu       sync.Mutex
	cseq     int
	pending  map[int]*pending
	busy     map[int]bool // users that wait for an answer
	closed   bool         // no more is sent
	answered int
	repeated int
	known    map[int]struct{} // the users that are registered
}

type pending struct {
	text []byte
	sent time.Time // first
	next time.Duration
}

func (s *server) asker(t *testing.T, addr, name string, tr transport, users int) *asker {
	t.Helper()
	conn, err := net.DialTimeout(strings.ToLower(tr.name), addr, patience)
	if err != nil {
		t.Fatal(err)
	}
	a := &asker{t: t, name: name, conn: conn, users: users, pending: make(map[int]*pending), busy: make(map[int]bool), known: make(map[int]struct{})}
	t.Cleanup(func() { conn.Close() })
	a.ended.Go(a.read)
	return a
}

const t1 = 500 * time.Millisecond

// ask sends n requests.
func (a *asker) ask(n int) {
	a.mu.Lock()
	defer a.mu.Unlock()
	var batch []byte
	_, stream := a.conn.(*net.TCPConn)
	for range min(n, a.users-len(a.busy)) {
		// A phone has one REGISTER on its way at a time (RFC 3261 §10.2).
		for a.cseq++; a.busy[a.cseq%a.users]; a.cseq++ {
		}
		a.busy[a.cseq%a.users] = true
		text := a.request(a.cseq)
		a.pending[a.cseq] = &pending{text: text, sent: time.Now(), next: t1}
		if stream {
			batch = append(batch, text...)
		} else {
			a.write(text)
		}
	}
	if stream {
		a.write(batch)
	}
}

func (a *asker) write(b []byte) {
	if _, err := a.conn.Write(b); err != nil && !a.closed {
		a.closed = true
		a.t.Errorf("%s: %v", a.name, err)
	}
}

func (a *asker) request(cseq int) []byte {
	method, uri, more := "REGISTER", "sip:127.0.0.1", ""
	user := fmt.Sprint(a.name, "-", cseq%a.users)
	if cseq%3 == 0 {
		method = "OPTIONS"
	} else {
		more = "Contact: <sip:" + user + "@" + a.conn.LocalAddr().String() + ">\r\nExpires: 3600\r\n"
	}
	network := strings.ToUpper(a.conn.LocalAddr().Network())
	return fmt.Appendf(nil, "%s %s SIP/2.0\r\nVia: SIP/2.0/%s %s;branch=z9hG4bK-%s-%d;rport\r\nMax-Forwards: 70\r\n"+
		"From: <sip:%[7]s@127.0.0.1>;tag=a\r\nTo: <sip:%[7]s@127.0.0.1>\r\nCall-ID: %[7]s\r\nCSeq: %[6]d %[1]s\r\n%[8]sContent-Length: 0\r\n\r\n",
		method, uri, network, a.conn.LocalAddr(), a.name, cseq, user, more)
}

// read takes the answers until the connection is closed.
func (a *asker) read() {
	if _, stream := a.conn.(*net.TCPConn); stream {
		r := bufio.NewReader(a.conn)
		var head []byte
		for {
			line, err := r.ReadBytes('\n')
			if err != nil {
				a.end(err)
				return
			}
			head = append(head, line...)
			if len(line) == 2 { // what answers these requests has no body
				a.answer(head)
				head = head[:0]
			}
		}
	}
	buf := make([]byte, 64<<10)
	for {
		n, err := a.conn.Read(buf)
		if err != nil {
			a.end(err)
			return
		}
		a.answer(buf[:n])
	}
}

func (a *asker) end(err error) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if !a.closed {
		a.closed = true
		a.t.Errorf("%s: the server has ended the connection: %v", a.name, err)
	}
}

func (a *asker) answer(m []byte) {
	if !bytes.HasPrefix(m, []byte("SIP/2.0 200 ")) {
		a.t.Errorf("%s: got\n%s", a.name, m)
		return
	}
	_, value, _ := bytes.Cut(m, []byte("CSeq: "))
	number, _, _ := bytes.Cut(value, []byte(" "))
	cseq, err := strconv.Atoi(string(number))
	if err != nil {
		a.t.Errorf("%s: %v in\n%s", a.name, err, m)
	}
	a.mu.Lock()
	defer a.mu.Unlock()
	if _, ok := a.pending[cseq]; ok {
		delete(a.pending, cseq)
		delete(a.busy, cseq%a.users)
		a.answered++
		if cseq%3 != 0 {
			a.known[cseq%a.users] = struct{}{}
		}
	} else if a.repeated == 0 {
		a.t.Errorf("%s: %d was answered twice", a.name, cseq)
	}
}

// repeat sends again what is due, and tells how many are not answered.
func (a *asker) repeat() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, p := range a.pending {
		if time.Since(p.sent) < p.next || a.conn.LocalAddr().Network() == "tcp" {
			continue
		}
		p.next += min(max(p.next, t1), 4*time.Second)
		a.repeated++
		a.write(p.text)
	}
	return len(a.pending)
}

// finish waits until everything is answered, and hangs up.
func (a *asker) finish() {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(64 * t1); a.repeat() > 0; <-tick.C {
		if time.Now().After(deadline) {
			a.t.Errorf("%s: %d requests were never answered", a.name, a.repeat())
			break
		}
	}
	a.mu.Lock()
	a.closed = true
	a.mu.Unlock()
	a.conn.Close()
	a.ended.Wait()
}
