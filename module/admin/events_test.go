package admin_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"net/http"
	"runtime"
	"strings"
	"testing"
	"time"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/inside"
)

// follower reads the events.
type follower struct {
	t      *testing.T
	res    *http.Response
	reader *bufio.Reader
	last   string // the ID seen last
}

// follow connects to the events after the one with that ID; empty: those to come.
func (a *server) follow(last string) *follower {
	a.t.Helper()
	req, err := http.NewRequestWithContext(a.t.Context(), "GET", "http://"+a.api.String()+"/sip/events", nil)
	if err != nil {
		a.t.Fatal(err)
	}
	if last != "" {
		req.Header.Set("Last-Event-ID", last)
	}
	res, err := http.DefaultClient.Do(req)
	for try := 1; err != nil; try++ { // the server of the configuration before may have taken the connection
		if try == 10 {
			a.t.Fatal(err)
		}
		res, err = http.DefaultClient.Do(req)
	}
	a.t.Cleanup(func() { res.Body.Close() })
	if res.StatusCode != 200 || res.Header.Get("Content-Type") != "text/event-stream" {
		a.t.Fatalf("GET /sip/events: %s, %v", res.Status, res.Header)
	}
	f := &follower{t: a.t, res: res, reader: bufio.NewReader(res.Body), last: last}
	if typ, _ := f.block(); typ != "" {
		a.t.Errorf("it begins with an event %s", typ)
	}
	return f
}

// block reads up to the next empty line.
func (f *follower) block() (typ, data string) {
	f.t.Helper()
	for {
		line, err := f.reader.ReadString('\n')
		if err != nil {
			f.t.Fatalf("reading the events: %v", err)
		}
		name, value, _ := strings.Cut(strings.TrimSuffix(line, "\n"), ": ")
		switch name {
		case "":
			return typ, data
		case "event":
			typ = value
		case "data":
			data = value
		case "id":
			f.last = value
		}
	}
}

// want reads the next event, which must be one of that type and user.
func (f *follower) want(typ, aor string) map[string]any {
	f.t.Helper()
	got, data := f.block()
	validate(f.t, typ, object{"$ref": "#/components/schemas/Event"}, data)
	var m map[string]any
	if err := json.Unmarshal([]byte(data), &m); err != nil {
		f.t.Fatalf("%v in %q", err, data)
	}
	if at, err := time.Parse(time.RFC3339, fmt.Sprint(m["time"])); typ != "lost" && (err != nil || time.Since(at) > time.Hour) {
		f.t.Errorf("the time is %v", m["time"])
	}
	if got != typ || m["type"] != typ || aor != "" && m["aor"] != aor+"@example.com" {
		f.t.Fatalf("%s %s, want %s of %s", got, data, typ, aor)
	}
	return m
}

// ended waits for the end.
func (f *follower) ended() {
	f.t.Helper()
	for {
		if _, err := f.reader.ReadByte(); err != nil {
			return
		}
	}
}

func TestEvents(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	f := s.follow("")
	first := f.last
	p := s.UDP()
	s.phone(p, "101")
	m := f.want("registered", "101")
	delete(m, "expires")
	delete(m, "time")
	want := `{"aor":"101@example.com","contact":"sip:101@` + p.Addr.String() + `;line=x","model":"D785","source":"` + p.Addr.String() +
		`","transport":"udp","type":"registered","user_agent":"snomD785/10.1.159.12"}`
	if got := text(t, m); got != want {
		t.Errorf("the event is\n%s\nwant\n%s", got, want)
	}
	s.do("PUT", "/sip/keys/101/2", `{"label": "x"}`, 201)
	if m = f.want("key_changed", "101"); text(t, m["keys"]) != `[{"key":2,"label":"x","layer":"admin"}]` {
		t.Errorf("the keys are %v", m["keys"])
	}
	message := p.Expect("MESSAGE")
	p.Answer(message, "200 OK", "t")
	p.Ignore(message)
	if m = f.want("key_acknowledged", "101"); m["key"] != 2.0 || m["contact"] != "sip:101@"+p.Addr.String()+";line=x" {
		t.Errorf("the event is %v", m)
	}
	// Whoever has lost his connection goes on where he was, also with another configuration, which ends all connections.
	s.Load(s.caddyfile(s.Addr, "register\nrespond 403"))
	f.ended()
	inside.AppOf(s.App()).Location().Remove([]byte("101@example.com"), nil)
	f = s.follow(f.last)
	if m = f.want("unregistered", "101"); m["reason"] != "removed" {
		t.Errorf("the event is %v", m)
	}
	f = s.follow(first)
	f.want("registered", "101")
	f.want("key_changed", "101")
	f.want("key_acknowledged", "101")
	f.want("unregistered", "101")
	// Whoever has seen nothing has seen what was before.
	f = s.follow("")
	s.do("PUT", "/sip/keys/102/1", `{}`, 201)
	f = s.follow(f.last)
	f.want("key_changed", "102")
	last := f.last

	f = s.follow("12345")
	if m = f.want("lost", ""); m["after"] != 12345.0 {
		t.Errorf("the event is %v", m)
	}
	f.want("registered", "101")
	// After a restart IDs are higher.
	s.Restart()
	f = s.follow(last)
	f.want("lost", "")
	s.do("PUT", "/sip/keys/102/1", `{"label":"x"}`, 200)
	f.want("key_changed", "102")
	if len(f.last) != len(last) || f.last <= last {
		t.Errorf("after %s comes %s", last, f.last)
	}
	for _, id := range []string{"x", "0", "-1", "9007199254740993000"} {
		s.doWith("GET", "/sip/events", "", 400, "Last-Event-ID", id)
	}
	s.refused("GET", "/sip/events?after=1", "", 400, "unknown parameter")
	s.doWith("HEAD", "/sip/events", "", 200)
}

// TestLongTexts registers a phone whose texts are long and are not all UTF-8: events show them cut and clean.
func TestLongTexts(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	f := s.follow("")
	p := s.UDP()
	long := strings.Repeat("x", 700)
	p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\n" +
		"From: <sip:101@example.com>;tag=f\nTo: <sip:101@example.com>\nCall-ID: 101\nCSeq: 1 REGISTER\n" +
		"Contact: <sip:101@" + p.Addr.String() + ";p=" + long + ">;expires=600\nUser-Agent: snom\xfe\xff" + long + "\n\n")
	p.Expect("SIP/2.0 200")
	for _, typ := range []string{"registered", "unregistered"} {
		m := f.want(typ, "101")
		contact, agent := fmt.Sprint(m["contact"]), fmt.Sprint(m["user_agent"])
		if len(contact) != events.MaxText || !strings.HasSuffix(contact, "x…") || len(agent) != 256 ||
			!strings.HasPrefix(agent, "snom??x") {
			t.Errorf("%s shows %q and %q", typ, contact, agent)
		}
		inside.AppOf(s.App()).Location().Remove([]byte("101@example.com"), nil)
	}
}

// TestSlowReader has somebody read nothing: he is cut off, and nobody waits for him.
func TestSlowReader(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	slow, quick := s.follow(""), s.follow("")
	bus := inside.AppOf(s.App()).Engine.Events
	for i := range 20 * events.Remembered {
		bus.Publish(events.KeyPressed, map[string]any{"aor": "101@example.com", "filler": strings.Repeat("x", 2000)})
		if i%100 == 0 {
			runtime.Gosched()
		}
	}
	errs := make(chan error)
	go func() {
		_, err := slow.reader.Discard(40 * events.Remembered * 2000)
		errs <- err
	}()
	select {
	case err := <-errs:
		if err == nil {
			t.Error("somebody who is behind gets everything")
		}
	case <-time.After(30 * time.Second):
		t.Fatal("somebody who is behind is not cut off")
	}
	quick.ended() // he was no better, and comes back
	f := s.follow(fmt.Sprint(bus.Last() - 1))
	f.want("key_pressed", "101")
}

func TestManyFollowers(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	var followers []*follower
	for range 256 {
		followers = append(followers, s.follow(""))
	}
	if res := s.refused("GET", "/sip/events", "", 503, "no more are possible"); res.Header.Get("Retry-After") == "" {
		t.Error("it doesn't say when to come again")
	}
	for _, f := range followers {
		f.res.Body.Close()
	}
	inside.AppOf(s.App()).Engine.Events.Publish(events.KeyPressed, nil)
	// The server notices that they have gone.
	for deadline := time.Now().Add(10 * time.Second); ; {
		res, err := http.Get("http://" + s.api.String() + "/sip/events")
		if err != nil {
			t.Fatal(err)
		}
		res.Body.Close()
		if res.StatusCode == 200 {
			break
		}
		if time.Now().After(deadline) {
			t.Fatal("no place is free when all have gone")
		}
	}
}
