package proxy

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/sip/routetoken"
)

// at makes a phone that speaks UDP from another of the machine's addresses.
func at(t *testing.T, s *handlertest.Server, host, user string) *phone {
	t.Helper()
	return newPhone(t, s, s.UDPFrom(host), user)
}

// outside is a call of alice, who has credentials, to somebody who is no user.
type outside struct {
	s           *handlertest.Server
	alice, far  *phone
	victim      *phone // somebody who has nothing to do with it
	invite, res handlertest.Message
	branch      string
}

const openly = "test_trust\nregister\nproxy {\nallow_private\n}"

// callOutside makes the call as far as the answer with that status, or the INVITE alone.
func callOutside(t *testing.T, status string) (c outside) {
	t.Helper()
	c.s = start(t, openly)
	c.alice, c.far, c.victim = udp(t, c.s, "alice"), at(t, c.s, "127.0.0.7", "far"), at(t, c.s, "127.0.0.9", "victim")
	c.branch = c.alice.invite(c.far.contact(), "X-User: alice")
	c.invite = c.far.Expect("INVITE ")
	if status == "" {
		return c
	}
	c.far.Answer(c.invite, status, "tag-far", "Contact: <"+c.far.contact()+">")
	c.res = c.alice.Expect("SIP/2.0 " + status)
	switch status[0] {
	case '1':
	case '2':
		c.alice.caller(c.res).send("ACK")
		c.far.Expect("ACK ")
	default:
		c.far.Expect("ACK ")
		c.alice.ack(c.branch, c.far.contact(), c.res)
	}
	return c
}

// caller and callee are the two ends, spoken for by anybody.
func (c *outside) caller(p *phone) dialog {
	routes := c.invite.Headers("Record-Route")
	slices.Reverse(routes)
	return dialog{p, c.far.contact(), c.invite.Header("From"), c.invite.Header("To") + ";tag=tag-far", c.invite.Header("Call-ID"), routes}
}

func (c *outside) callee(p *phone) dialog {
	d := c.far.callee(c.invite)
	d.phone = p
	return d
}

// refused sends requests of many kinds as one end of the call to everybody, and makes sure that
// nobody gets any.
func (c *outside) refused(t *testing.T, name string, d dialog) {
	t.Helper()
	dropped := c.s.Metric("caddy_sip_dropped_total", "reason=ack")
	acks := 0
	routes := d.routes
	for _, target := range []*phone{c.victim, c.alice, c.far} {
		for i, method := range []string{"MESSAGE", "INVITE", "BYE", "ACK", "INFO", "NOTIFY"} {
			for _, route := range []string{"", "<" + target.contact() + ";lr>", "<" + target.contact() + ">"} {
				d.target, d.routes = target.contact(), routes
				if route != "" {
					d.target, d.routes = "sip:x@far.example", append(slices.Clone(routes), route)
				}
				d.cseq += 10 * i
				d.send(method)
				if method == "ACK" {
					acks++
					continue
				}
				if res := d.Receive(); !strings.HasPrefix(res.Text, "SIP/2.0 481 ") {
					t.Fatalf("%s: %s to %s gets\n%s", name, method, target.user, res.Text)
				}
			}
		}
	}
	d.Nothing()
	for _, p := range []*phone{c.victim, c.alice, c.far} {
		if p != d.phone {
			p.Nothing()
		}
	}
	same(t, name+": ACKs that went nowhere", c.s.Metric("caddy_sip_dropped_total", "reason=ack")-dropped, float64(acks))
}

// TestStrangerWithToken has others who have read the Record-Route of a call, which is on its way
// through many hands.
func TestStrangerWithToken(t *testing.T) {
	for _, status := range []string{"", "180 Ringing", "200 OK"} {
		t.Run("after "+status, func(t *testing.T) {
			c := callOutside(t, status)
			tcp := newPhone(t, c.s, c.s.TCP(), "tcp") // from the address of alice, by another way
			for name, p := range map[string]*phone{"another address": at(t, c.s, "127.0.0.8", "other"), "another port": at(t, c.s, "127.0.0.7", "far"),
				"another transport": tcp, "a registered user": registered(t, c.s, "carol")} {
				c.refused(t, name+" as the caller", c.caller(p))
				c.refused(t, name+" as the callee", c.callee(p))
			}
		})
	}
}

// TestCalleeWithToken has the callee itself, who can reach the caller and nobody else, whatever it
// names.
func TestCalleeWithToken(t *testing.T) {
	c := callOutside(t, "200 OK")
	for i, restart := range []bool{false, true} {
		if restart {
			c.s.Restart()
		}
		d := c.callee(c.far)
		d.cseq = 100 * i
		own := d.routes
		for _, test := range []struct{ uri, route string }{
			{c.victim.contact(), ""}, {"sip:x@far.example;maddr=127.0.0.9", ""}, {"sip:victim@name.example", ""}, {"tel:+1900", ""},
			{c.victim.contact() + ";transport=tcp", ""}, {d.target, "<" + c.victim.contact() + ";lr>"}, {d.target, "<" + c.victim.contact() + ">"},
		} {
			for _, method := range []string{"MESSAGE", "INVITE", "ACK"} {
				d.target, d.routes = test.uri, own
				if test.route != "" {
					d.routes = append(slices.Clone(own), test.route)
				}
				d.send(method)
				m := c.alice.Expect(method + " ")
				if method == "ACK" {
					continue
				}
				c.alice.Answer(m, "200 OK", "")
				c.far.Receive()
				if method == "INVITE" {
					c.far.Expect("SIP/2.0 200")
				}
			}
		}
		c.victim.Nothing()
	}
}

// TestTokenEnds has calls that end, after which their token is good for nothing.
func TestTokenEnds(t *testing.T) {
	t.Run("with the refusal", func(t *testing.T) {
		c := callOutside(t, "486 Busy Here")
		c.refused(t, "callee", c.callee(c.far))
		c.refused(t, "caller", c.caller(c.alice))
	})
	for status, over := range map[string]bool{"200 OK": true, "481 Gone": true, "408 Late": true, "500 Oops": false, "407 Who": false} {
		t.Run("with a BYE that gets "+status, func(t *testing.T) {
			c := callOutside(t, "200 OK")
			c.caller(c.alice).send("BYE")
			c.far.Answer(c.far.Expect("BYE "), status, "")
			if status[:3] == "408" {
				c.alice.Nothing() // RFC 4320 §4.2
			} else {
				c.alice.Expect("SIP/2.0 " + status[:3])
			}
			if over {
				c.refused(t, "callee", c.callee(c.far))
				c.refused(t, "caller", c.caller(c.alice))
				return
			}
			c.callee(c.far).send("BYE")
			c.alice.Answer(c.alice.Expect("BYE "), "200 OK", "")
			c.far.Expect("SIP/2.0 200")
		})
	}
	t.Run("not with a second INVITE", func(t *testing.T) {
		c := callOutside(t, "200 OK")
		c.caller(c.alice).send("INVITE")
		again := c.far.Expect("INVITE ")
		c.alice.Expect("SIP/2.0 100")
		c.far.Answer(again, "488 Not Acceptable Here", "")
		c.far.Expect("ACK ")
		c.alice.Expect("SIP/2.0 488")
		c.callee(c.far).send("BYE")
		c.alice.Expect("BYE ")
	})
}

// aged returns a Record-Route as the server would have written it that much earlier.
func aged(t *testing.T, c *outside, seconds uint32) string {
	t.Helper()
	app := c.s.App()
	signer := routetoken.Signer{Site: inside.AppOf(app), Calls: inside.AppOf(app).Engine.Calls}
	route := c.invite.Header("Record-Route")
	token, rest, _ := strings.Cut(strings.TrimPrefix(route, "<sip:"), "@")
	callID, tag := []byte(c.invite.Header("Call-ID")), []byte(c.invite.Tag("From"))
	read, _, ok := signer.Read([]byte(token), callID, tag, nil)
	if !ok {
		t.Fatalf("%s cannot be read", token)
	}
	read.Made -= seconds
	return "<sip:" + string(signer.Append(nil, &read, callID, tag)) + "@" + rest
}

// TestTokenDay has a call that is a day old.
func TestTokenDay(t *testing.T) {
	c := callOutside(t, "200 OK")
	c.invite.Text = strings.Replace(c.invite.Text, c.invite.Header("Record-Route"), aged(t, &c, 24*3600-60), 1)
	c.callee(c.far).send("INFO")
	c.alice.Answer(c.alice.Expect("INFO "), "200 OK", "")
	c.far.Expect("SIP/2.0 200")
	c.invite.Text = strings.Replace(c.invite.Text, c.invite.Header("Record-Route"), aged(t, &c, 60), 1)
	c.far.cseq = 50
	c.refused(t, "callee", c.callee(c.far))
	c.refused(t, "caller", c.caller(c.alice))
}

// TestForksEnd has a call that rings at two phones: the token of the one that was cancelled ends,
// though the call goes on.
func TestForksEnd(t *testing.T) {
	s, alice, phones := house(t, "register\nproxy", "1", "1")
	alice.invite(s.URI("bob"))
	invites := [2]handlertest.Message{phones[0].Expect("INVITE"), phones[1].Expect("INVITE")}
	phones[0].Answer(invites[0], "180 Ringing", "b0", "Contact: <"+phones[0].contact()+">")
	alice.Expect("SIP/2.0 180")
	phones[1].Answer(invites[1], "180 Ringing", "b1", "Contact: <"+phones[1].contact()+">")
	alice.Expect("SIP/2.0 180")
	end := func(i int) dialog {
		d := phones[i].callee(invites[i])
		d.local = invites[i].Header("To") + ";tag=b" + fmt.Sprint(i)
		return d
	}
	for i, p := range phones { // both are early dialogs (RFC 3311, RFC 3262)
		end(i).send("UPDATE")
		alice.Answer(alice.Expect("UPDATE "), "200 OK", "")
		p.Expect("SIP/2.0 200")
	}
	phones[0].Answer(invites[0], "200 OK", "b0", "Contact: <"+phones[0].contact()+">")
	ok := alice.Expect("SIP/2.0 200")
	phones[1].Answer(phones[1].Expect("CANCEL "), "200 OK", "b1")
	phones[1].Answer(invites[1], "487 Request Terminated", "b1")
	phones[1].Expect("ACK ")
	alice.caller(ok).send("ACK")
	phones[0].Expect("ACK ")
	end(1).send("INFO")
	phones[1].Expect("SIP/2.0 481")
	end(0).send("BYE")
	alice.Answer(alice.Expect("BYE "), "200 OK", "")
	phones[0].Expect("SIP/2.0 200")
	alice.Nothing()
}

// TestForkedFurtherOn has one branch make two dialogs (RFC 3261 §13.2.2.4): the caller ends one of
// them, and the other goes on until it ends.
func TestForkedFurtherOn(t *testing.T) {
	c := callOutside(t, "200 OK")
	c.far.Answer(c.invite, "200 OK", "tag-second", "Contact: <"+c.far.contact()+">")
	second := c.alice.caller(c.alice.Expect("SIP/2.0 200"))
	for _, method := range []string{"ACK", "BYE"} {
		second.send(method)
		m := c.far.Expect(method + " ")
		if method == "BYE" {
			c.far.Answer(m, "200 OK", "")
			c.alice.Expect("SIP/2.0 200")
		}
	}
	second.send("INFO")
	c.alice.Expect("SIP/2.0 481")
	unknown := c.callee(c.far)
	unknown.local = c.invite.Header("To") + ";tag=third"
	unknown.send("INFO")
	c.far.Expect("SIP/2.0 481")
	c.callee(c.far).send("BYE")
	c.alice.Answer(c.alice.Expect("BYE "), "200 OK", "")
	c.far.Expect("SIP/2.0 200")
	c.refused(t, "callee", c.callee(c.far))
}

// TestTransferEnds has a phone tell how a transfer went after the call that was transferred has
// ended (RFC 5057 §5), and nothing else.
func TestTransferEnds(t *testing.T) {
	c := callOutside(t, "200 OK")
	c.caller(c.alice).send("REFER", "Refer-To: <sip:carol@127.0.0.1>")
	c.far.Answer(c.far.Expect("REFER "), "202 Accepted", "")
	c.alice.Expect("SIP/2.0 202")
	notify := func(state string, headers ...string) {
		t.Helper()
		c.callee(c.far).send("NOTIFY", append([]string{"Event: refer", "Subscription-State: " + state}, headers...)...)
	}
	told := func() {
		t.Helper()
		c.alice.Answer(c.alice.Expect("NOTIFY "), "200 OK", "")
		c.far.Expect("SIP/2.0 200")
	}
	notify("active;expires=60")
	told()
	c.caller(c.alice).send("BYE")
	c.far.Answer(c.far.Expect("BYE "), "200 OK", "")
	c.alice.Expect("SIP/2.0 200")
	c.callee(c.far).send("INFO")
	c.far.Expect("SIP/2.0 481")
	notify("active", "Event: check-sync")
	c.far.Expect("SIP/2.0 481")
	notify("active;expires=30")
	told()
	notify("terminated;reason=noresource")
	told()
	notify("terminated;reason=noresource")
	c.far.Expect("SIP/2.0 481")
	c.alice.Nothing()
}

// TestTransferKeepsCall has the subscription of a transfer end before the call does.
func TestTransferKeepsCall(t *testing.T) {
	c := callOutside(t, "200 OK")
	c.caller(c.alice).send("REFER", "Refer-To: <sip:carol@127.0.0.1>")
	c.far.Answer(c.far.Expect("REFER "), "202 Accepted", "")
	c.alice.Expect("SIP/2.0 202")
	c.callee(c.far).send("NOTIFY", "Event: refer", "Subscription-State: terminated;reason=noresource")
	c.alice.Answer(c.alice.Expect("NOTIFY "), "200 OK", "")
	c.far.Expect("SIP/2.0 200")
	c.caller(c.alice).send("BYE")
	c.far.Expect("BYE ")
}

// TestSubscriptionEnds has a subscription end with its last NOTIFY.
func TestSubscriptionEnds(t *testing.T) {
	s := start(t, "register\nproxy")
	alice, bob := registered(t, s, "alice"), registered(t, s, "bob")
	alice.request("SUBSCRIBE", s.URI("bob"))
	subscribe := bob.Expect("SUBSCRIBE ")
	bob.pickUp(subscribe)
	alice.Expect("SIP/2.0 200")
	for _, state := range []string{"active", "terminated;reason=timeout"} {
		bob.callee(subscribe).send("NOTIFY", "Event: dialog", "Subscription-State: "+state)
		alice.Answer(alice.Expect("NOTIFY "), "200 OK", "")
		bob.Expect("SIP/2.0 200")
	}
	bob.callee(subscribe).send("NOTIFY", "Event: dialog", "Subscription-State: active")
	bob.Expect("SIP/2.0 481")
	alice.Nothing()
}
