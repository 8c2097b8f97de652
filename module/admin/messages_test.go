package admin_test

import (
	"bytes"
	"encoding/json"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/internal/store"
)

type answered struct {
	AOR    string
	Phones []struct {
		Contact, Source, Reason, Error string
		Status                         int
	}
}

// send asks for a message in the background.
func (a *server) send(query, body string) <-chan answered {
	result := make(chan answered, 1)
	go func() {
		_, text := a.do("POST", "/sip/messages"+query, body, 200)
		var got answered
		if err := json.Unmarshal([]byte(text), &got); err != nil {
			a.t.Error(err)
		}
		result <- got
	}()
	return result
}

func TestMessages(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	udp, tcp := s.UDP(), s.TCP()
	s.phone(udp, "101")
	result := s.send("", `{"aor": "101", "body": "Grüße"}`)
	m := udp.Expect("MESSAGE sip:101:secret@" + udp.Addr.String() + ";line=x SIP/2.0\r\n")
	for name, want := range map[string]string{
		"To": "<sip:101@example.com>", "CSeq": "1 MESSAGE", "Content-Type": "text/plain", "Contact": "", "Event": "", "Max-Forwards": "70",
	} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	if !strings.HasPrefix(m.Header("From"), "<sip:server@example.com>;tag=") || m.Body() != "Grüße" {
		t.Errorf("the message is\n%s", m.Text)
	}
	udp.Answer(m, "202 Accepted", "t")
	udp.Ignore(m)
	if got := <-result; got.AOR != "101@example.com" || len(got.Phones) != 1 || got.Phones[0].Status != 202 || got.Phones[0].Reason != "Accepted" ||
		got.Phones[0].Contact != "sip:101@"+udp.Addr.String()+";line=x" || got.Phones[0].Source != udp.Addr.String() || got.Phones[0].Error != "" {
		t.Errorf("the answer is %+v", got)
	}

	s.phone(tcp, "102")
	result = s.send("", `{"aor": "102@example.com", "method": "NOTIFY", "event": "check-sync;reboot=false"}`)
	m = tcp.Expect("NOTIFY sip:102:secret@")
	for name, want := range map[string]string{
		"Event": "check-sync;reboot=false", "Subscription-State": "terminated", "Content-Type": "", "Content-Length": "0",
		"Contact": "<sip:" + s.Addr.String() + ";transport=tcp>",
	} {
		if got := m.Header(name); got != want {
			t.Errorf("%s: %s, want %s", name, got, want)
		}
	}
	tcp.Answer(m, "481 Gone", "t")
	if got := <-result; got.Phones[0].Status != 481 {
		t.Errorf("the answer is %+v", got)
	}
	// What doesn't fit into a datagram is not sent, down a connection it is.
	result = s.send("", `{"aor": "101", "body": "`+strings.Repeat("x", 1300)+`"}`)
	if got := <-result; got.Phones[0].Error != "the body is larger than what fits into the 1300 bytes of a request over UDP" {
		t.Errorf("the answer is %+v", got)
	}
	udp.Nothing()
	result = s.send("", `{"aor": "102", "body": "`+strings.Repeat("x", 20000)+`", "content_type": "text/html;charset=utf-8"}`)
	m = tcp.Expect("MESSAGE")
	if len(m.Body()) != 20000 || m.Header("Content-Type") != "text/html;charset=utf-8" {
		t.Errorf("the phone gets\n%.400s", m.Text)
	}
	tcp.Answer(m, "200 OK", "t")
	<-result
	// A phone that doesn't answer in time, and one whose connection has gone.
	result = s.send("?wait=50ms", `{"aor": "101", "body": "x"}`)
	if got := <-result; got.Phones[0].Status != 0 || got.Phones[0].Error != "no answer" {
		t.Errorf("the answer is %+v", got)
	}
	m = udp.Expect("MESSAGE")
	udp.Answer(m, "200 OK", "t") // to nobody
	tcp.Close()
	result = s.send("", `{"aor": "102", "body": "x"}`)
	if got := <-result; !strings.HasPrefix(got.Phones[0].Error, "its connection has gone") {
		t.Errorf("the answer is %+v", got)
	}

	for body, want := range map[string]string{
		``:                                `aor: "" is no address-of-record`,
		`{"aor": "101"}`:                  "body: a MESSAGE must have one",
		`{"aor": "101", "text": "x"}`:     `unknown field "text"`,
		`{"aor": "101", "method": "BYE"}`: `method: "BYE" must be MESSAGE or NOTIFY`,
		`{"aor": "101", "body": "x", "event": "y"}`:                           "event: a MESSAGE has none",
		`{"aor": "101", "method": "NOTIFY"}`:                                  `event: "" must be the name of an event package`,
		`{"aor": "101", "method": "NOTIFY", "event": "x\r\nVia: y"}`:          "event: ",
		`{"aor": "101", "body": "x", "content_type": "text/plain\r\nVia: y"}`: "content_type: ",
		`{"aor": "101", "body": "x", "content_type": "text"}`:                 "content_type: ",
		`{"aor": "101", "body": "` + strings.Repeat("x", 40000) + `"}`:        "body: it has 40000 bytes, 32768 are possible",
		`{"aor": "101@@", "body": "x"}`:                                       "aor: ",
	} {
		s.refused("POST", "/sip/messages", body, 400, want)
	}
	s.refused("POST", "/sip/messages", `{"aor": "103", "body": "x"}`, 404, "103@example.com is not registered")
	s.refused("POST", "/sip/messages?wait=1h", `{"aor": "103", "body": "x"}`, 400, "wait: ")
}

// download returns what a path has.
func (a *server) download(path string) (*http.Response, []byte) {
	a.t.Helper()
	res, err := http.Get("http://" + a.api.String() + path)
	if err != nil {
		a.t.Fatal(err)
	}
	defer res.Body.Close()
	data, err := io.ReadAll(res.Body)
	if err != nil || res.StatusCode != 200 {
		a.t.Fatalf("GET %s: %s, %v", path, res.Status, err)
	}
	return res, data
}

func TestBackup(t *testing.T) {
	s := startAdmin(t, "register\nrespond 404")
	s.do("PUT", "/sip/keys/101/2", `{"label": "kept"}`, 201)
	res, data := s.download("/sip/backup")
	if res.Header.Get("Content-Type") != "application/octet-stream" || !strings.HasPrefix(res.Header.Get("Content-Disposition"), `attachment; filename="caddysip-2`) {
		t.Errorf("the header is %v", res.Header)
	}
	path := filepath.Join(t.TempDir(), "copy.db")
	if err := os.WriteFile(path, data, 0o600); err != nil {
		t.Fatal(err)
	}
	b, err := store.OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	if e, err := b.Get(t.Context(), "keys", "101@example.com"); err != nil || !bytes.Contains(e.Value, []byte("kept")) {
		t.Errorf("the copy has %q, %v", e.Value, err)
	}
	s.doWith("HEAD", "/sip/backup", "", 200)
	s.refused("GET", "/sip/backup?x=1", "", 400, "there are none")
	s.Load(strings.Replace(s.caddyfile(s.Addr, "register"), "domain example.com", "domain example.com\n\t\tstorage memory", 1))
	s.refused("GET", "/sip/backup", "", 501, "the storage has no file")
}
