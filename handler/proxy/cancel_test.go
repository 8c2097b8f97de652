package proxy

import (
	"context"
	"errors"
	"fmt"
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/caddyserver/caddy/v2"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/module"
)

// TestCancel passes the caller's CANCEL on to every phone, and the phones' 487 back.
func TestCancel(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1")
	branch := alice.invite(s.URI("bob"))
	var invites []handlertest.Message
	for i, p := range phones {
		invites = append(invites, p.Expect("INVITE"))
		p.Answer(invites[i], "180 Ringing", fmt.Sprint("t", i))
		alice.Expect("SIP/2.0 180")
	}
	const reason = `SIP;cause=200;text="Call completed elsewhere"|Q.850 ;cause=16`
	alice.cancel(branch, s.URI("bob"), "Reason: "+strings.Replace(reason, "|", "\nReason: ", 1))
	for i, p := range phones {
		cancel := p.Expect("CANCEL " + p.contact())
		same(t, "Reason", strings.Join(cancel.Headers("Reason"), "|"), reason)
		same(t, "Vias of the CANCEL", len(cancel.Headers("Via")), 1)
		same(t, "Via of the CANCEL", cancel.Header("Via"), invites[i].Header("Via"))
		alice.Nothing() // no 487 before the last phone's
		p.Answer(cancel, "200 OK", "")
		p.Answer(invites[i], "487 Request Terminated", fmt.Sprint("t", i), "X-Phone: 1")
		p.Expect("ACK")
	}
	res := alice.Expect("SIP/2.0 487")
	has(t, res, "X-Phone: 1\r\n")
	alice.ack(branch, s.URI("bob"), res)
	alice.Nothing()
}

// TestCancelEarly cancels before the phone has said anything: the CANCEL waits for that (RFC 3261
// §9.1).
func TestCancelEarly(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1")
	bob := phones[0]
	branch := alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	alice.cancel(branch, s.URI("bob"))
	bob.Nothing()
	alice.Nothing()
	bob.Answer(invite, "100 Trying", "")
	cancel := bob.Expect("CANCEL")
	none(t, cancel, "Reason:") // the caller has given none: the call was missed
	bob.Answer(cancel, "200 OK", "")
	bob.Answer(invite, "487 Request Terminated", "b")
	bob.Expect("ACK")
	alice.Expect("SIP/2.0 487")
}

// TestCancelLongReason cancels with more reasons than are kept: the first goes on.
func TestCancelLongReason(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1")
	bob := phones[0]
	branch := alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")
	alice.cancel(branch, s.URI("bob"), "Reason: SIP;cause=200\nReason: Q.850;text=\""+strings.Repeat("x", 500)+"\"")
	same(t, "Reason", strings.Join(bob.Expect("CANCEL").Headers("Reason"), "|"), "SIP;cause=200")
}

// TestCancelCrossed has the phone picked up while the CANCEL is under way.
func TestCancelCrossed(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1")
	bob := phones[0]
	branch := alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")
	alice.cancel(branch, s.URI("bob"))
	cancel := bob.Expect("CANCEL")
	bob.pickUp(invite)
	bob.Answer(cancel, "200 OK", "")
	alice.Expect("SIP/2.0 200")
	alice.Nothing() // and no 487
}

// TestCancelOther gives the caller 487 though the phone says something else, but not when that is
// for all phones.
func TestCancelOther(t *testing.T) {
	for answer, want := range map[string]string{"486 Busy Here": "487", "407 Who": "487", "600 Busy": "600"} {
		t.Run(answer, func(t *testing.T) {
			s, alice, phones := house(t, "register\nproxy", "1")
			bob := phones[0]
			branch := alice.invite(s.URI("bob"))
			invite := bob.Expect("INVITE")
			bob.Answer(invite, "180 Ringing", "b")
			alice.Expect("SIP/2.0 180")
			alice.cancel(branch, s.URI("bob"))
			bob.Answer(bob.Expect("CANCEL"), "200 OK", "")
			bob.Answer(invite, answer, "b", `Proxy-Authenticate: Digest realm="x"`)
			alice.Expect("SIP/2.0 " + want)
		})
	}
}

// TestCancelSequential tries nobody else after a CANCEL.
func TestCancelSequential(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "0.5")
	branch := alice.invite(s.URI("bob"))
	invite := phones[0].Expect("INVITE")
	phones[0].Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")
	alice.cancel(branch, s.URI("bob"))
	phones[0].Answer(phones[0].Expect("CANCEL"), "200 OK", "")
	phones[0].Answer(invite, "487 Request Terminated", "b")
	alice.Expect("SIP/2.0 487")
	phones[1].Nothing()
}

// TestCancelUnknown refuses the CANCEL of nothing, and one that comes from somebody else.
func TestCancelUnknown(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1")
	bob := phones[0]
	alice.request("CANCEL", s.URI("bob"))
	alice.Expect("SIP/2.0 481")
	bob.Nothing()

	branch := alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")
	bob.pickUp(invite)
	alice.Expect("SIP/2.0 200")
	alice.cancel(branch, s.URI("bob")) // too late: 200, and nothing else
	bob.Nothing()
	alice.Nothing()
}

// TestCancelLooking cancels while the callee's name is being looked up.
func TestCancelLooking(t *testing.T) {
	looking, answer := make(chan struct{}, 100), make(chan struct{})
	defer close(answer)
	setResolver(t, func(ctx context.Context, _, _ string) (net.Conn, error) {
		looking <- struct{}{}
		<-answer
		return nil, errors.New("no DNS here")
	})
	s := start(t, "test_trust\nproxy")
	alice := udp(t, s, "alice")
	branch := alice.invite("sip:bob@name.example", "X-User: alice")
	<-looking
	alice.cancel(branch, "sip:bob@name.example")
	res := alice.Expect("SIP/2.0 487")
	alice.ack(branch, "sip:bob@name.example", res)
	alice.Nothing()
}

// setResolver has the next server look up all names through connections that dial makes.
func setResolver(t *testing.T, dial func(ctx context.Context, network, address string) (net.Conn, error)) {
	before := lookups
	lookups = newNames(&net.Resolver{PreferGo: true, Dial: dial})
	t.Cleanup(func() { lookups = before })
}

// teller is a handler that has itself told of the transaction before the request is relayed; with
// X-Late, only after it was cancelled.
type teller struct{ trust }

func init() { caddy.RegisterModule(new(teller)) }

func (*teller) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.handlers.test_teller", New: func() caddy.Module { return new(teller) }}
}

func (*teller) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
	if !r.Is("INVITE") {
		return next(w, r)
	}
	cancelled := make(cancelled)
	if err := r.Transaction(cancelled); err != nil {
		return err
	}
	if r.Header("X-Late") == nil {
		return next(w, r)
	}
	if err := w.WriteResponse(&module.Response{Status: 100}); err != nil {
		return err
	}
	r.Go(w, "test", func() error {
		<-cancelled
		return next(w, r)
	})
	return nil
}

// cancelled is closed by a CANCEL.
type cancelled chan struct{}

func (c cancelled) OnCancel() { close(c) }

func (cancelled) OnTerminated(error) {}

// TestCancelTold cancels what another handler has made the transaction of, as respond does for a
// provisional response: both are told.
func TestCancelTold(t *testing.T) {
	s, alice, phones := house(t, "register\ntest_teller\nproxy", "1")
	bob := phones[0]
	branch := alice.invite(s.URI("bob"))
	invite := bob.Expect("INVITE")
	bob.Answer(invite, "180 Ringing", "b")
	alice.Expect("SIP/2.0 180")
	alice.cancel(branch, s.URI("bob"))
	bob.Answer(bob.Expect("CANCEL"), "200 OK", "")
	bob.Answer(invite, "487 Request Terminated", "b")
	bob.Expect("ACK")
	alice.ack(branch, s.URI("bob"), alice.Expect("SIP/2.0 487"))

	branch = alice.invite(s.URI("bob"), "X-Late: yes")
	alice.sendCancel(branch, s.URI("bob"))
	answers := []string{alice.Receive().Line(), alice.Receive().Line()} // in any order: the 487 comes from elsewhere
	slices.Sort(answers)
	same(t, "answers", strings.Join(answers, "|"), "SIP/2.0 200 OK|SIP/2.0 487 Request Terminated")
	bob.Nothing()
}
