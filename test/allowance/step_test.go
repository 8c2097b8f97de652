package allowance

import (
	"fmt"
	"reflect"
	"strings"
	"time"

	"pgregory.net/rapid"
)

// kind is what somebody does in a step.
type kind string

const (
	register  kind = "register"  // a REGISTER
	ask       kind = "ask"       // a request outside any dialog
	within    kind = "within"    // a request with a dialog's Call-ID, tags and Record-Route, by whoever has seen them or not
	answer    kind = "answer"    // a response to a request that somebody got
	again     kind = "again"     // an earlier message, from the same place or another
	mutate    kind = "mutate"    // an earlier message with changes
	garbage   kind = "garbage"   // bytes
	cancel    kind = "cancel"    // of an INVITE that was sent
	keepalive kind = "keepalive" // CRLFs
	pass      kind = "pass"      // time passes
)

// step is one thing that happens. The zero value of each field is the most ordinary one. What is
// chosen by number is taken modulo of what there is.
type step struct {
	Kind kind
	Who  who
	TCP  bool

	Method  string        // of ask and within
	To      target        // the Request-URI; for register, whose address-of-record
	As      string        // user in From; "": who it is
	Creds   creds         //
	Route   route         //
	Contact contact       // what the Contacts say
	N       int           // how many Contacts
	Long    int           // bytes in each Contact
	Params  int           // parameters in each Contact
	Path    contact       // of register; own: none
	CallID  int           // bytes that the Call-ID is longer
	Agent   int           // bytes that the User-Agent is longer
	Body    int           // bytes
	Snom    bool          // the User-Agent is a Snom phone's
	Expires int           // 0: 600; -1: 0
	Star    bool          // register: Contact: *
	Inst    bool          // register: an instance and reg-id
	New     bool          // a new Call-ID
	Extra   extra         //
	Which   int           // of what is known: dialogs, messages, waiting requests
	Swap    bool          // within: as the callee
	Status  int           // of answer
	React   reaction      // what those do who get a request because of this step
	Wait    time.Duration // afterwards
	Seed    uint64        // of mutate and garbage
}

// target is where a request is addressed to.
type target int

var targets = []string{
	"sip:101@" + serverIP,
	"sip:102@" + serverIP,
	"sip:103@" + serverIP,
	"sip:104@" + serverIP,
	"sip:999@" + serverIP,
	"sip:" + serverIP,
	"sip:433@" + serverIP, // a lamp
	"sip:0123@" + serverIP,
	"sip:bob@" + bobIP + ":5060",
	"sip:bob@outside.example",
	"sip:v@" + victimIP + ":5060",
	"sip:v@" + victimIP + ":5060;transport=tcp",
	"sip:v@victim.example",
	"sip:v@many.example",
	"sip:bob@" + bobIP + ";maddr=" + victimIP,
	"sip:101@" + serverIP + ";maddr=" + victimIP,
	"sip:101@" + serverIP + ":5060;transport=tcp",
	"tel:+4930123",
	"sip:127.0.0.1",
	"sip:0123@" + trunkIP,
}

// The targets that cases name.
const (
	to101 target = iota
	to102
	to103
	to104
	toNobody
	toServer
	toLamp
	toNumber
	toBob
	toBobByName
	toVictim
	toVictimTCP
	toVictimByName
	toMany
)

// creds are what a request carries.
type creds int

const (
	without creds = iota
	right
	wrong
	another // the right ones of another user than From says
)

// contact is a place that a Contact or a Path names.
type contact int

const (
	own         contact = iota // the actor's address
	ownPort                    // with another port
	elsewhere                  // the victim's
	elsewhereIn                // the victim's, by TCP
	byName                     // the victim's, by name
	atPhone                    // another phone's
	atServer                   // the server itself
	contacts
)

// route is what a request has for Route.
type route int

const (
	none      route = iota
	recorded        // within: what the dialog recorded
	viaVictim       // to the victim
	viaServer       // to the server and then the victim
	recordedVictim
	strictVictim
	foreign // what another dialog recorded
	routes
)

// extra is a header field that a request may have besides.
type extra int

var extras = []string{
	"",
	"P-Asserted-Identity: <sip:boss@" + serverIP + ">",
	"Alert-Info: <http://" + serverIP + ">;info=alert-autoanswer",
	"Event: check-sync;reboot=true",
	"Event: dialog",
	"Max-Breadth: 1000000",
	"Require: 100rel, path, outbound, pref, a, b, c, d",
	"Proxy-Require: a, b, c, d, e, f, g, h",
	"Refer-To: <sip:v@" + victimIP + ">",
	"Replaces: a;to-tag=b;from-tag=c",
	"Record-Route: <sip:" + victimIP + ";lr>",
	"Content-Type: application/x-buttons",
	"Session-Expires: 90",
	"Supported: path, outbound, gruu",
	"Path: <sip:" + victimIP + ";lr>",
	"Max-Forwards: 0",
}

// reaction is what those do who get a request.
type reaction int

const (
	nothing  reaction = iota
	accept            // 200; INVITE is 180, 200
	ring              // 180 and no more
	refuse            // 486
	redirect          // 302 to the victim
	demand            // 401 with a challenge
	demandProxy
	flood // 200 as large as a datagram can be
	busy  // 503
	reactions
)

var methods = []string{"INVITE", "INVITE", "MESSAGE", "OPTIONS", "SUBSCRIBE", "NOTIFY", "REFER", "PUBLISH", "INFO", "ACK", "BYE", "UPDATE", "FOO"}

var sizes = rapid.SampledFrom([]int{0, 0, 0, 0, 1, 30, 300, 3000, 20000, 60000})

func pick[T ~int](n T) *rapid.Generator[T] {
	return rapid.Custom(func(t *rapid.T) T { return T(rapid.IntRange(0, int(n)-1).Draw(t, "")) })
}

// rarely draws from g one time in n.
func rarely[T any](t *rapid.T, n int, g *rapid.Generator[T]) (v T) {
	if rapid.IntRange(0, n-1).Draw(t, "") == n-1 {
		v = g.Draw(t, "")
	}
	return v
}

var someTime = rapid.SampledFrom([]time.Duration{0, 0, 0, 100 * time.Millisecond, time.Second, 5 * time.Second, 33 * time.Second, 4 * time.Minute})

var steps = rapid.Custom(func(t *rapid.T) step {
	s := step{
		Kind: rapid.SampledFrom([]kind{register, register, ask, ask, ask, within, within, answer, again, mutate, garbage, cancel, keepalive, pass}).Draw(t, "kind"),
		Who:  pick(cast).Draw(t, "who"),
		TCP:  rarely(t, 4, rapid.Just(true)),
		Wait: rarely(t, 3, someTime),
	}
	switch s.Kind {
	case register, ask, within:
		s.drawRequest(t)
	case answer:
		s.Status = rapid.SampledFrom([]int{100, 180, 183, 200, 202, 302, 401, 407, 481, 486, 491, 500, 503, 600, 603}).Draw(t, "status")
		s.Contact = rarely(t, 3, pick(contacts))
		s.Extra = rarely(t, 5, pick(extra(len(extras))))
		s.Body = rarely(t, 4, sizes)
	case mutate, garbage:
		s.Seed = rapid.Uint64().Draw(t, "seed")
		s.Body = sizes.Draw(t, "bytes")
	}
	s.React = pick(reactions).Draw(t, "react")
	s.Which = rapid.IntRange(0, 30).Draw(t, "which")
	return s
})

func (s *step) drawRequest(t *rapid.T) {
	s.To = pick(target(len(targets))).Draw(t, "to")
	s.Creds = rapid.SampledFrom([]creds{without, right, right, right, wrong, another}).Draw(t, "creds")
	s.Contact = rarely(t, 2, pick(contacts))
	s.Route = rarely(t, 3, pick(routes))
	s.Extra = rarely(t, 4, pick(extra(len(extras))))
	s.CallID = rarely(t, 6, sizes)
	s.Agent = rarely(t, 6, sizes)
	s.Body = rarely(t, 6, sizes)
	s.Snom = rapid.Bool().Draw(t, "snom")
	s.New = rapid.Bool().Draw(t, "new")
	s.As = rarely(t, 4, rapid.SampledFrom([]string{"101", "102", "104", "999", "bob"}))
	switch s.Kind {
	case register:
		s.N = rarely(t, 3, rapid.IntRange(0, 25))
		s.Long = rarely(t, 4, sizes)
		s.Params = rarely(t, 4, rapid.IntRange(0, 64))
		s.Path = rarely(t, 3, pick(contacts))
		s.Expires = rarely(t, 3, rapid.SampledFrom([]int{-1, 1, 60, 7200, 1 << 30}))
		s.Star = rarely(t, 15, rapid.Just(true))
		s.Inst = rarely(t, 4, rapid.Just(true))
	default:
		s.Method = rapid.SampledFrom(methods).Draw(t, "method")
		s.Swap = rapid.Bool().Draw(t, "swap")
	}
	if s.Kind == within && s.Route == none {
		s.Route = recorded
	}
}

// GoString shows what is not ordinary about a step, so that it can be copied into a case.
func (s step) GoString() string {
	var fields []string
	v := reflect.ValueOf(s)
	for i := range v.NumField() {
		if f := v.Field(i); !f.IsZero() {
			text := fmt.Sprintf("%#v", f.Interface())
			if d, ok := f.Interface().(time.Duration); ok {
				text = fmt.Sprintf("%d", d)
			}
			fields = append(fields, v.Type().Field(i).Name+": "+text)
		}
	}
	return "{" + strings.Join(fields, ", ") + "}"
}
