package module_test

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"
	_ "github.com/caddyserver/caddy/v2/modules/caddyevents/eventsconfig" // the events option

	"github.com/caddysip/caddysip/handler/handlertest"
	_ "github.com/caddysip/caddysip/handler/register"
)

func init() { caddy.RegisterModule(recorder{}) }

// recorder is an event handler that hands over what it is given, and takes its time if the test
// does.
type recorder struct{}

var recorded = make(chan caddy.Event)

func (recorder) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "events.handlers.test_recorder", New: func() caddy.Module { return recorder{} }}
}

func (recorder) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { return nil }

func (recorder) Handle(ctx context.Context, e caddy.Event) error {
	select {
	case recorded <- e:
	case <-ctx.Done():
	}
	if e.Data["aor"] == "panic@example.com" {
		panic("as it was asked to")
	}
	return nil
}

func TestCaddyEvents(t *testing.T) {
	addr := handlertest.FreeAddr(t)
	text := func(max int) string {
		return fmt.Sprintf(`{
	admin off
	events {
		on registered test_recorder
	}
	sip {
		domain example.com
		%s {
			register {
				max_contacts %d
			}
		}
	}
}
`, addr, max)
	}
	s := handlertest.StartCaddyfile(t, addr, text(10))
	p := s.UDP()
	count := 0
	register := func(user string, expires int) {
		t.Helper()
		count++
		p.Send("REGISTER sip:example.com SIP/2.0\nVia: SIP/2.0/{transport} {me};branch={branch};rport\nMax-Forwards: 70\nFrom: <sip:" + user +
			"@example.com>;tag=f\nTo: <sip:" + user + "@example.com>\nCall-ID: " + user + "\nCSeq: " + fmt.Sprint(count) +
			" REGISTER\nContact: <sip:" + user + ":secret@192.0.2.7>;expires=" + fmt.Sprint(expires) + "\nUser-Agent: snomD785/10.1.159.12\n\n")
		p.Expect("SIP/2.0 200")
	}
	want := func(user string) caddy.Event {
		t.Helper()
		select {
		case e := <-recorded:
			if e.Name() != "registered" || e.Data["aor"] != user+"@example.com" {
				t.Fatalf("%s %v, want registered %s", e.Name(), e.Data, user)
			}
			return e
		case <-time.After(10 * time.Second):
			t.Fatalf("nobody tells that %s is registered", user)
		}
		return caddy.Event{}
	}
	// The handler waits, the phones don't.
	for _, user := range []string{"101", "102", "101", "panic", "103"} {
		register(user, 600)
	}
	register("102", 0)
	e := want("101")
	if e.Origin() == nil || e.Origin().CaddyModule().ID != "sip" || e.Data["contact"] != "sip:101@192.0.2.7" || e.Data["model"] != "D785" ||
		e.Data["source"] != p.Addr.String() || e.Data["transport"] != "udp" {
		t.Errorf("the event is of %v and has %v", e.Origin(), e.Data)
	}
	want("102")
	want("panic")
	want("103")
	// A configuration that comes later emits each event once, and so does one that stays because
	// its successor fails.
	s.Load(text(9))
	register("104", 600)
	want("104")
	if err := s.TryLoad(strings.Replace(text(8), addr.Addr().String(), "192.0.2.254", 1)); err == nil {
		t.Fatal("listening on an address that is not ours works")
	}
	register("105", 600)
	want("105")
	select {
	case e := <-recorded:
		t.Errorf("nothing has happened, and this is told: %v", e)
	default:
	}
}
