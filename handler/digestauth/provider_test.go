package digestauth

import (
	"context"
	"errors"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/digest"
)

func init() {
	caddy.RegisterModule(new(guests))
	caddy.RegisterModule(new(inlineGuests))
	caddy.RegisterModule(new(useless))
}

// guests is a provider that blocks until gate lets it go.
type guests struct {
	Users []string `json:"users,omitempty"`
}

// gate is what guests wait for; asked tells that one does.
var gate struct {
	sync.Mutex
	asked, open chan struct{}
}

func (*guests) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.authentication.providers.test_guests", New: func() caddy.Module { return new(guests) }}
}

func (g *guests) UnmarshalCaddyfile(d *caddyfile.Dispenser) error {
	d.Next()
	for nesting := d.Nesting(); d.NextBlock(nesting); {
		g.Users = append(g.Users, d.RemainingArgs()...)
	}
	return nil
}

func (g *guests) HA1(ctx context.Context, user, realm, algorithm string) (string, error) {
	gate.Lock()
	asked, open := gate.asked, gate.open
	gate.Unlock()
	if asked != nil {
		asked <- struct{}{}
		<-open
	}
	if _, ok := ctx.Deadline(); !ok {
		return "", errors.New("there is no deadline")
	}
	return (&inlineGuests{*g}).HA1(ctx, user, realm, algorithm)
}

// asks is how often guests have been asked.
var asks atomic.Int64

// inlineGuests is a provider that doesn't block.
type inlineGuests struct{ guests }

func (*inlineGuests) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.authentication.providers.test_inline_guests", New: func() caddy.Module { return new(inlineGuests) }}
}

func (g *inlineGuests) HA1(_ context.Context, user, realm, algorithm string) (string, error) {
	asks.Add(1)
	switch user {
	case "broken":
		return "", errors.New("the table is on fire")
	case "short":
		return "short", nil // which is no hash
	}
	if !slices.Contains(g.Users, user) {
		return "", nil
	}
	return digest.HA1(digest.ParseAlgorithm(algorithm), user, realm, "secret-"+user), nil
}

func (*inlineGuests) Nonblocking() {}

// useless is a module in the namespace that is no provider.
type useless struct{}

func (*useless) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.authentication.providers.test_useless", New: func() caddy.Module { return new(useless) }}
}

func TestProviders(t *testing.T) {
	for _, kind := range []string{"test_guests", "test_inline_guests"} {
		for _, transport := range []string{"udp", "tcp"} {
			t.Run(kind+" "+transport, func(t *testing.T) {
				s := handlertest.Start(t, "digest_auth {\nuser alice secret-alice\nprovider "+kind+" {\nusers alice bob\n}\n}\nregister\nproxy")
				registered(t, s, transport, "alice")
				bob := registered(t, s, transport, "bob")
				carol := newPhone(t, s, transport, "carol")
				counts(t, s, func() {
					carol.ask(carol.register(carol.answers(carol.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)), "401")
				}, "challenged", "wrong")
				// What is relayed is what came, without the credentials.
				alice := newPhone(t, s, transport, "alice")
				alice.Send(alice.request("MESSAGE", uri("bob"), alice.answers(alice.challenged("MESSAGE", uri("bob")), "MESSAGE", uri("bob"), 1), "X-Y: z"))
				got := bob.Expect("MESSAGE ")
				same(t, "X-Y", got.Header("X-Y"), "z")
				same(t, "Proxy-Authorization", got.Header("Proxy-Authorization"), "")
				bob.Answer(got, "200 OK", "x")
				alice.Expect("SIP/2.0 200")
				short := newPhone(t, s, transport, "short")
				short.ha1 = "short"
				short.ask(short.register(short.answers(short.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)), "401")
				broken := newPhone(t, s, transport, "broken")
				broken.ask(broken.register(broken.answers(broken.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)), "500")
			})
		}
	}
}

// TestAllProviders has a user whom the first provider knows: the others are asked as well, so that
// the time does not tell who knows him.
func TestAllProviders(t *testing.T) {
	const provider = "provider test_inline_guests {\nusers alice\n}\n"
	s := handlertest.Start(t, "digest_auth {\n"+provider+provider+provider+"}\nregister")
	before := asks.Load()
	registered(t, s, "udp", "alice")
	same(t, "providers asked", asks.Load()-before, 3)
}

// TestFull fills what one source may have waiting at the providers. More is refused. An answer to no challenge of ours, which anybody could send, takes
// nobody's place and finds out as before.
func TestFull(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\nprovider test_guests {\nusers alice\n}\n}\nregister")
	gate.Lock()
	gate.asked, gate.open = make(chan struct{}, 1000), make(chan struct{})
	open := gate.open
	gate.Unlock()
	t.Cleanup(func() {
		gate.Lock()
		gate.asked, gate.open = nil, nil
		gate.Unlock()
	})
	alice, other := newPhone(t, s, "udp", "alice"), newPhone(t, s, "udp", "alice")
	challenge := alice.challenged("REGISTER", "sip:127.0.0.1")
	forged := *challenge
	forged.Nonce = "made up"
	for range 10 {
		other.ask(other.register(other.answers(&forged, "REGISTER", "sip:127.0.0.1", 1)), "401")
	}
	const running, queued = 32, 512
	request := strings.Replace(alice.register(alice.answers(challenge, "REGISTER", "sip:127.0.0.1", 1)), "{branch}", "z9hG4bKsame", 1)
	for range running + queued {
		alice.Send(request)
	}
	same(t, "Retry-After", alice.ask(request, "503").Header("Retry-After"), "5")
	other.ask(other.register(other.answers(&forged, "REGISTER", "sip:127.0.0.1", 2)), "401")
	unknown := *challenge
	unknown.Algorithm = "SHA-512-256" // which is not offered
	alice.ask(alice.register(alice.answers(&unknown, "REGISTER", "sip:127.0.0.1", 3)), "401")
	close(open)
	alice.Expect("SIP/2.0 200")
	for deadline := time.Now().Add(10 * time.Second); inside.AppOf(s.App()).Engine.Budget.Used(budget.Waiting) != 0; runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("left: %s", inside.AppOf(s.App()).Engine.Budget)
		}
	}
}

// TestBlocking has a provider that takes its time. Nobody else waits.
func TestBlocking(t *testing.T) {
	s := handlertest.Start(t, "digest_auth {\nprovider test_guests {\nusers alice\n}\n}\nregister")
	gate.Lock()
	gate.asked, gate.open = make(chan struct{}), make(chan struct{})
	gate.Unlock()
	t.Cleanup(func() {
		gate.Lock()
		gate.asked, gate.open = nil, nil
		gate.Unlock()
	})
	alice, other := newPhone(t, s, "udp", "alice"), newPhone(t, s, "udp", "bob")
	request := strings.Replace(alice.register(alice.answers(alice.challenged("REGISTER", "sip:127.0.0.1"), "REGISTER", "sip:127.0.0.1", 1)),
		"{branch}", "z9hG4bKsame", 1)
	alice.Send(request)
	alice.Send(request) // it is repeated meanwhile
	<-gate.asked
	<-gate.asked
	other.ask(other.register(), "401")
	same(t, "bindings", bindings(s, "alice@localhost"), 0)
	close(gate.open)
	alice.Expect("SIP/2.0 200")
	alice.Expect("SIP/2.0 200")
	same(t, "bindings", bindings(s, "alice@localhost"), 1)
}
