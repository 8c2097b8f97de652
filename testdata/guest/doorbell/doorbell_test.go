package doorbell

import (
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	_ "github.com/caddysip/caddysip"
	"github.com/caddysip/caddysip/handler/handlertest"
)

// lamp waits for the message that sets key 4, and returns its body.
func lamp(t *testing.T, p *handlertest.Phone) string {
	t.Helper()
	m := p.Expect("MESSAGE ")
	p.Answer(m, "200 OK", "lamp")
	if !strings.HasPrefix(m.Body(), "k=4\r\n") {
		t.Fatalf("another key is set:\n%s", m.Body())
	}
	return m.Body()
}

func TestDoorbell(t *testing.T) {
	for _, test := range []struct {
		name string
		end  func(s *handlertest.Server, door, kitchen *handlertest.Phone, invite handlertest.Message)
	}{
		{"answered", func(_ *handlertest.Server, door, kitchen *handlertest.Phone, invite handlertest.Message) {
			kitchen.Answer(invite, "200 OK", "kitchen", "Contact: <sip:kitchen@"+kitchen.Addr.String()+">")
			door.Expect("SIP/2.0 200")
		}},
		{"declined", func(_ *handlertest.Server, door, kitchen *handlertest.Phone, invite handlertest.Message) {
			kitchen.Answer(invite, "603 Decline", "kitchen")
			kitchen.Expect("ACK ")
			door.Expect("SIP/2.0 603")
		}},
	} {
		t.Run(test.name, func(t *testing.T) {
			s := handlertest.Start(t, "register\ndoorbell 4 101 102")
			desk := s.Phone("101", "User-Agent: snomD785/10.1.159.12")
			door, kitchen := s.Phone("door"), s.Phone("kitchen")

			door.Request("INVITE", s.URI("kitchen"))
			door.Expect("SIP/2.0 100")
			invite := kitchen.Expect("INVITE ")
			desk.Nothing() // it does not ring yet
			kitchen.Answer(invite, "180 Ringing", "kitchen")
			door.Expect("SIP/2.0 180")
			if body := lamp(t, desk); !strings.Contains(body, "c=pickup") || !strings.Contains(body, "l=Door") {
				t.Errorf("while it rings the key is\n%s", body)
			}
			test.end(s, door, kitchen, invite)
			if body := lamp(t, desk); strings.Contains(body, "c=pickup") {
				t.Errorf("in the end the key is\n%s", body)
			}
		})
	}
}

func TestOtherRequests(t *testing.T) {
	s := handlertest.Start(t, "register\ndoorbell 4 101")
	desk := s.Phone("101", "User-Agent: snomD785/10.1.159.12")
	door, kitchen := s.Phone("door"), s.Phone("kitchen")
	door.Request("MESSAGE", s.URI("kitchen"), "Content-Type: text/plain", "", "hello")
	m := kitchen.Expect("MESSAGE ")
	if m.Body() != "hello" {
		t.Errorf("the message says %q", m.Body())
	}
	kitchen.Answer(m, "200 OK", "kitchen")
	door.Expect("SIP/2.0 200")
	desk.Nothing()
}

func TestCaddyfile(t *testing.T) {
	for text, want := range map[string]bool{
		"doorbell 4 101 102": true, "doorbell": false, "doorbell 4": false, "doorbell four 101": false,
	} {
		err := new(Doorbell).UnmarshalCaddyfile(caddyfile.NewTestDispenser(text))
		if (err == nil) != want {
			t.Errorf("%s: %v", text, err)
		}
	}
}
