//go:build interop

package interop

import (
	"bytes"
	"flag"
	"fmt"
	"net"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// The fleet's size. A longer run: go test -tags interop -run TestFleet -v ./test/interop
// -fleet.phones 10000 -fleet.rate 5000
var (
	fleetPhones = flag.Int("fleet.phones", 500, "how many phones there are")
	fleetRate   = flag.Int("fleet.rate", 2000, "messages a second that set their keys")
)

const fleetKeys = 12

// office is a hundred phones behind one socket: they register, take the messages that set their
// keys, and pick up when they are called.
type office struct {
	t     *testing.T
	conn  net.Conn
	first int // its phones' number
	keys  atomic.Int64
	other atomic.Int64 // answers

	mu   sync.Mutex
	seen map[string]bool // user and key
	rang chan string     // Call-IDs of its own calls that were answered
}

// header returns the value of a header field.
func header(m []byte, name string) []byte {
	_, rest, _ := bytes.Cut(m, []byte("\r\n"+name+": "))
	value, _, _ := bytes.Cut(rest, []byte("\r\n"))
	return value
}

func (o *office) read() {
	buf := make([]byte, 64<<10)
	for {
		n, err := o.conn.Read(buf)
		if err != nil {
			return
		}
		m := buf[:n]
		switch {
		case bytes.HasPrefix(m, []byte("SIP/2.0 200")):
			if bytes.HasSuffix(header(m, "CSeq"), []byte("INVITE")) {
				o.rang <- string(header(m, "Call-ID"))
			} else {
				o.other.Add(1)
			}
		case bytes.HasPrefix(m, []byte("MESSAGE ")):
			user, _, _ := bytes.Cut(m[len("MESSAGE sip:"):], []byte("@"))
			_, body, _ := bytes.Cut(m, []byte("\r\n\r\n"))
			key, _, _ := bytes.Cut(body, []byte("\r\n"))
			o.mu.Lock()
			name := string(user) + " " + string(key)
			if !o.seen[name] {
				o.keys.Add(1)
			}
			o.seen[name] = true
			o.mu.Unlock()
			o.answer(m, "")
		case bytes.HasPrefix(m, []byte("INVITE ")):
			o.answer(m, "Contact: <sip:callee@"+o.conn.LocalAddr().String()+">\r\n")
		}
	}
}

// answer sends 200.
func (o *office) answer(m []byte, more string) {
	head, _, _ := bytes.Cut(m, []byte("\r\n\r\n"))
	out := []byte("SIP/2.0 200 OK\r\n")
	for line := range bytes.Lines(head) {
		name, _, _ := bytes.Cut(line, []byte(":"))
		switch string(name) {
		case "To":
			line = bytes.TrimRight(line, "\r\n")
			if !bytes.Contains(line, []byte(";tag=")) {
				line = append(slices.Clone(line), ";tag=x"...)
			}
			out = append(append(out, line...), "\r\n"...)
		case "Via", "From", "Call-ID", "CSeq", "Record-Route":
			out = append(append(out, bytes.TrimRight(line, "\r\n")...), "\r\n"...)
		}
	}
	_, _ = o.conn.Write(append(out, more+"Content-Length: 0\r\n\r\n"...))
}

func (o *office) send(method, from, to, id, more string) {
	text := fmt.Sprintf("%s sip:%[3]s@127.0.0.1 SIP/2.0\r\nVia: SIP/2.0/UDP %[5]s;rport;branch=z9hG4bK-%[4]s-%[1]s\r\nMax-Forwards: 70\r\nFrom: <sip:%[2]s@127.0.0.1>;tag=%[4]s\r\n"+
		"To: <sip:%[3]s@127.0.0.1>\r\nCall-ID: %[4]s\r\nUser-Agent: snom370/8.7.5.48\r\n%[6]sContent-Length: 0\r\n\r\n", method, from, to, id, o.conn.LocalAddr(), more)
	if _, err := o.conn.Write([]byte(text)); err != nil {
		o.t.Error(err)
	}
}

// register registers all of them, a few at a time.
func (o *office) register(phones, cseq int) {
	for i := range phones {
		user := fmt.Sprint("phone", o.first+i)
		o.send("REGISTER", user, user, "reg-"+user, fmt.Sprintf("CSeq: %d REGISTER\r\nContact: <sip:%s@%s>\r\nExpires: 3600\r\n", cseq, user, o.conn.LocalAddr()))
		if i%10 == 9 {
			o.waitAnswers(int64(i-20) + int64(cseq-1)*int64(phones))
		}
	}
	o.waitAnswers(int64(cseq) * int64(phones))
}

func (o *office) waitAnswers(n int64) {
	poll(o.t, fmt.Sprint(n, " answers to REGISTER"), func() bool { return o.other.Load() >= n })
}

// cpu returns the processor time a process has used.
func cpu(t *testing.T, pid int) time.Duration {
	t.Helper()
	text, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		t.Fatal(err)
	}
	f := strings.Fields(string(text[bytes.LastIndexByte(text, ')'):]))
	user, _ := strconv.Atoi(f[12])
	system, _ := strconv.Atoi(f[13])
	return time.Duration(user+system) * 10 * time.Millisecond
}

// TestFleet has many phones register, each of which gets its twelve keys, while calls are made.
// When they refresh their registrations nothing is sent.
func TestFleet(t *testing.T) {
	var profile strings.Builder
	for k := range fleetKeys {
		fmt.Fprintf(&profile, "\t\t\t\tkey %d {\n\t\t\t\t\tlabel \"Key %[1]d\"\n\t\t\t\t\tnumber 9%[1]d\n\t\t\t\t\tlight on\n\t\t\t\t}\n", k+1)
	}
	s := start(t, binary, fmt.Sprintf(`{
	admin {admin}
	persist_config off
	sip {
		domain 127.0.0.1
		keys {
			rate %d
			profile all {
				users phone*
%s			}
		}
		{addr} {
			register
			proxy
		}
	}
}
`, *fleetRate, profile.String()))
	const each = 100
	var offices []*office
	for first := 0; first < *fleetPhones; first += each {
		conn, err := net.Dial("udp", s.addr)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		_ = conn.(*net.UDPConn).SetReadBuffer(1 << 20)
		o := &office{t: t, conn: conn, first: first, seen: map[string]bool{}, rang: make(chan string, 100)}
		offices = append(offices, o)
		go o.read()
	}
	before, began := cpu(t, s.cmd.Process.Pid), time.Now()
	var registering sync.WaitGroup
	for part := range slices.Chunk(offices, max(1, len(offices)/4)) {
		registering.Go(func() {
			for _, o := range part {
				o.register(each, 1)
			}
		})
	}
	// Calls meanwhile: from one phone to another, answered at once.
	total := int64(*fleetPhones * fleetKeys)
	count := func() (n int64) {
		for _, o := range offices {
			n += o.keys.Load()
		}
		return n
	}
	var waits []time.Duration
	caller := offices[0]
	conn, err := net.Dial("udp", s.addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	called := &office{t: t, conn: conn, seen: map[string]bool{}, rang: make(chan string, 1)}
	go called.read()
	called.send("REGISTER", "called", "called", "reg-called", "CSeq: 1 REGISTER\r\nContact: <sip:called@"+conn.LocalAddr().String()+">\r\n")
	called.waitAnswers(1)
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for i := 0; count() < total; i++ {
		<-tick.C
		if time.Since(began) > 10*time.Minute {
			t.Fatalf("%d of %d keys were set", count(), total)
		}
		id := fmt.Sprint("call", i)
		asked := time.Now()
		caller.send("INVITE", "phone0", "called", id, "CSeq: 1 INVITE\r\nContact: <sip:phone0@"+caller.conn.LocalAddr().String()+">\r\n")
		for repeat := t1; ; repeat *= 2 {
			if got := take(caller.rang, repeat); got == id {
				break
			} else if got == "" {
				caller.send("INVITE", "phone0", "called", id, "CSeq: 1 INVITE\r\nContact: <sip:phone0@"+caller.conn.LocalAddr().String()+">\r\n")
			}
		}
		waits = append(waits, time.Since(asked))
	}
	registering.Wait()
	s.waitMetric(t, `caddy_sip_key_pushes_total{outcome="acknowledged"}`, float64(total))
	took, used := time.Since(began), cpu(t, s.cmd.Process.Pid)-before
	slices.Sort(waits)
	// A refresh sends nothing.
	for _, o := range offices {
		o.register(each, 2)
	}
	if n := s.metric(t, `caddy_sip_key_pushes_total{outcome="acknowledged"}`); n != float64(total) {
		t.Errorf("%v messages were answered after the refreshes, %d before", n, total)
	}
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	_, rss, _ := strings.Cut(string(status), "VmRSS:")
	rss, _, _ = strings.Cut(rss, "\n")
	t.Logf("%d phones, %d keys: %v, %v of processor time for each message with all that was beside it, %s resident; %d calls, answered in %v at the median, %v at the 99th percentile",
		*fleetPhones, total, took.Round(time.Millisecond), (used / time.Duration(total)).Round(time.Microsecond), strings.TrimSpace(rss),
		len(waits), waits[len(waits)/2], waits[len(waits)*99/100])
}

// take waits for the next value, or gives up.
func take(c <-chan string, wait time.Duration) string {
	timer := time.NewTimer(wait)
	defer timer.Stop()
	select {
	case v := <-c:
		return v
	case <-timer.C:
		return ""
	}
}
