package module_test

import (
	"context"
	"crypto/md5"
	"encoding/hex"
	"regexp"
	"strings"
	"testing"
	"time"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
)

const credentials = `keys {
			credentials {
				realm phone
				username server
				password {user}-secret
			}
		}`

func md5Hex(text string) string {
	sum := md5.Sum([]byte(text))
	return hex.EncodeToString(sum[:])
}

// TestSendAnswersChallenge sends to two phones, one of which wants a password first, and to one
// that wants it for another realm.
func TestSendAnswersChallenge(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	s := handlertest.StartCaddyfile(t, addr, "{\n\tadmin off\n\tsip {\n\t\tdomain example.com\n\t\t"+
		credentials+"\n\t\t"+addr.String()+" {\nregister\n\t\t}\n\t}\n}\n")
	peers := []*handlertest.Peer{s.UDP(), s.TCP(), s.UDP()}
	for _, p := range peers {
		p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\n" +
			"Max-Forwards: 70\nFrom: <sip:101@example.com>;tag=1\nTo: <sip:101@example.com>\n" +
			"Call-ID: {me}\nCSeq: 1 REGISTER\nContact: <sip:101@{me};line={me}>\n\n")
		p.Expect("SIP/2.0 200")
	}
	app := s.App()
	invented := module.Binding{AOR: "101@example.com", Contact: "sip:101@127.0.0.1", Transport: "udp"}
	for _, a := range app.Send(t.Context(), []module.Binding{invented}, &module.OutOfDialog{Method: "NOTIFY"}) {
		if a.Err != module.ErrUnreachable {
			t.Errorf("a binding that nobody has registered: %v", a.Err)
		}
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answers := make(chan []module.Answer)
	go func() {
		answers <- app.Send(ctx, app.Bindings("101@example.com"), &module.OutOfDialog{
			Method: "NOTIFY", Event: "check-sync",
		})
	}()
	get := func(p *handlertest.Peer) handlertest.Message {
		m := p.Expect("NOTIFY sip:101@" + p.Addr.String())
		p.Ignore(m)
		// RFC 6665 §8.2.1
		if event, state := m.Header("Event"), m.Header("Subscription-State"); event != "check-sync" ||
			state != "terminated" {
			t.Errorf("Event: %s, Subscription-State: %s", event, state)
		}
		if contact := m.Header("Contact"); !strings.HasPrefix(contact, "<sip:"+addr.String()) {
			t.Errorf("Contact: %s", contact)
		}
		return m
	}
	peers[0].Answer(get(peers[0]), "200 OK", "p")
	for i, realm := range []string{"phone", "victim"} {
		p := peers[i+1]
		first := get(p)
		p.Answer(first, "401 Who?", "p", `WWW-Authenticate: Digest realm="`+realm+`", nonce="n"`)
		if realm == "victim" {
			p.Nothing()
			break
		}
		second := get(p)
		want := md5Hex(md5Hex("server:phone:101-secret") + ":n:" + md5Hex("NOTIFY:"+first.URI()))
		got := regexp.MustCompile(`response="(.*?)"`).FindStringSubmatch(second.Header("Authorization"))
		if got == nil || got[1] != want || second.Header("CSeq") != "2 NOTIFY" ||
			second.Header("Event") != "check-sync" || second.Header("Call-ID") != first.Header("Call-ID") {
			t.Errorf("got\n%s\nthe response should be %s", second.Text, want)
		}
		p.Answer(second, "202 Accepted", "p")
	}
	status := make(map[string]int)
	for _, a := range <-answers {
		if a.Err != nil {
			t.Error(a.Err)
		}
		status[a.Binding.Source.String()] = a.Status
	}
	for i, want := range []int{200, 202, 401} {
		if got := status[peers[i].Addr.String()]; got != want {
			t.Errorf("phone %d answered %d, want %d", i, got, want)
		}
	}
}

// TestSendThroughEdge sends to a phone that has registered through an edge proxy (RFC 3327 §5.3).
func TestSendThroughEdge(t *testing.T) {
	s := handlertest.Start(t, "register {\n\tpath from 127.0.0.1\n}")
	path := "<sip:edge@127.0.0.1;lr>"
	p := s.Phone("101", "Supported: path", "Path: "+path, "Contact: <sip:101@192.0.2.7>;q=0.7")
	aor, _, err := s.App().ParseAOR("101")
	if err != nil {
		t.Fatal(err)
	}
	phones := s.App().Bindings(aor)
	if len(phones) != 1 || phones[0].Preference != 0.7 || phones[0].Path != path {
		t.Fatalf("registered are %+v", phones)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	answers := make(chan []module.Answer, 1)
	go func() {
		answers <- s.App().Send(ctx, phones, &module.OutOfDialog{Method: "NOTIFY", Event: "check-sync"})
	}()
	m := p.Expect("NOTIFY sip:101@192.0.2.7")
	if route := m.Header("Route"); route != path {
		t.Errorf("Route: %s, want %s", route, path)
	}
	p.Answer(m, "200 OK", "p")
	if got := <-answers; got[0].Status != 200 {
		t.Errorf("the answer is %+v", got)
	}
}

// TestSendUntilContextEnds has a phone that does not answer, which nobody waits for any more.
func TestSendUntilContextEnds(t *testing.T) {
	s := handlertest.Start(t, "register")
	p := s.Phone("101")
	app := s.App()
	aor, _, err := app.ParseAOR("101")
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	answers := make(chan []module.Answer, 1)
	go func() {
		answers <- app.Send(ctx, app.Bindings(aor), &module.OutOfDialog{Method: "NOTIFY", Event: "x"})
	}()
	p.Expect("NOTIFY")
	cancel()
	select {
	case got := <-answers:
		if len(got) != 1 || got[0].Err != module.ErrNoAnswer {
			t.Errorf("the answers are %+v", got)
		}
	case <-time.After(10 * time.Second): // the transaction takes 32
		t.Error("it goes on")
	}
}
