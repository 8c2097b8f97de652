package allowance

import (
	"fmt"
	"testing"
	"testing/synctest"
	"time"
)

// cases are sequences of steps that have found something once, as rapid shrank them. Each is run in
// every configuration.
var cases = []struct {
	name  string
	steps []step
}{
	{"another uses what a call has recorded", []step{
		{Kind: ask, Who: user4, Method: "INVITE", To: toBob, Creds: right, React: accept},
		{Kind: within, Who: mallory, Method: "MESSAGE", To: toVictim, Route: recorded, Contact: elsewhere},
		{Kind: within, Who: mallory, Method: "INVITE", To: toVictim, Route: recordedVictim, Contact: elsewhere},
		{Kind: within, Who: mallory, Method: "ACK", To: toVictim, Route: recorded, Contact: elsewhere},
		{Kind: within, Who: bob, Method: "INFO", To: toVictim, Route: recorded, Contact: elsewhere, Swap: true},
		{Kind: within, Who: bob, Method: "INFO", To: toVictim, Route: recorded, Contact: elsewhere},
		{Kind: within, Who: user4, Method: "INFO", To: toVictim, Route: recordedVictim, Contact: elsewhere},
		{Kind: within, Who: eve, TCP: true, Method: "BYE", Route: recorded, Swap: true},
	}},
	{"a refusal is enough for that", []step{
		{Kind: ask, Who: user4, Method: "INVITE", To: toBob, Creds: right, React: refuse},
		{Kind: within, Who: mallory, Method: "MESSAGE", To: toVictim, Route: recorded, Contact: elsewhere},
		{Kind: within, Who: bob, Method: "INVITE", Route: recorded, Swap: true, Wait: time.Minute},
		{Kind: within, Who: bob, Method: "INVITE", Route: recorded, Swap: true},
	}},
	{"a caller who is nobody is called back", []step{
		{Kind: ask, Who: mallory, TCP: true, Method: "INVITE", To: to101, React: accept},
		{Kind: within, Who: user4, TCP: true, Method: "INVITE", To: toBob, Route: recorded, Swap: true},
	}},
	{"a trunk speaks in a dialog of others", []step{
		{Kind: ask, Who: user4, TCP: true, Method: "NOTIFY", To: to102, Creds: right, React: ring},
		{Kind: within, Who: trunk, Method: "REFER", To: to102, Creds: right, Route: recorded, Swap: true},
	}},
	{"a Path leads elsewhere", []step{
		{Kind: register, Who: phone1, To: to101, Creds: right, Path: elsewhere, New: true},
		{Kind: ask, Who: user4, Method: "MESSAGE", To: to101, Creds: right, Wait: 40 * time.Second},
		{Kind: register, Who: phone1, To: to101, Creds: right, Path: elsewhereIn, New: true},
		{Kind: ask, Who: user4, Method: "MESSAGE", To: to101, Creds: right, Wait: 40 * time.Second},
		{Kind: register, Who: phone1, To: to101, Creds: right, Path: byName, New: true},
		{Kind: ask, Who: user4, Method: "MESSAGE", To: to101, Creds: right, Wait: 40 * time.Second},
		{Kind: register, Who: edge, To: to101, Path: elsewhere, New: true},
		{Kind: ask, Who: user4, Method: "MESSAGE", To: to101, Creds: right, Wait: 40 * time.Second},
	}},
	{"what is refused looks at no phone", []step{
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 6, Params: 61},
		{Kind: ask, Who: phone3, Method: "REFER", As: "bob", To: to101, Creds: right},
	}},
	{"a Contact is elsewhere", []step{
		{Kind: register, Who: phone1, To: to101, Creds: right, Contact: elsewhere, N: 5, New: true},
		{Kind: register, Who: phone1, To: to101, Creds: right, Contact: elsewhereIn, N: 5, New: true},
		{Kind: register, Who: phone1, To: to101, Creds: right, Contact: byName, New: true},
		{Kind: register, Who: phone1, To: to101, Creds: right, Contact: atServer, New: true},
		{Kind: ask, Who: user4, Method: "INVITE", To: to101, Creds: right, Wait: 4 * time.Minute},
		{Kind: ask, Who: user4, Method: "MESSAGE", To: to101, Creds: right, Wait: 40 * time.Second},
	}},
	{"long texts are kept once for each contact", []step{
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 10, CallID: 60000},
		{Kind: register, Who: phone2, To: to102, Creds: right, N: 10, Agent: 60000},
		{Kind: register, Who: user4, To: to104, Creds: right, N: 10, Path: elsewhere, CallID: 30000, Agent: 30000},
		{Kind: register, Who: mallory, To: toNobody, N: 10, Agent: 20000, CallID: 20000},
		{Kind: register, Who: mallory, To: toNumber, N: 10, Agent: 20000, CallID: 20000},
	}},
	{"every parameter is compared with every other", []step{
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 10, Params: 60, Long: 1300},
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 20, Params: 60, Long: 1300, Contact: ownPort},
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 20, Params: 60, Long: 2600, Expires: -1},
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 9, Params: 60, Long: 900},
		{Kind: register, Who: phone1, To: to101, Creds: right, N: 20, Params: 60, Long: 900, Contact: ownPort, Expires: -1},
	}},
	{"twenty contacts in one packet", []step{
		{Kind: register, Who: mallory, To: to101, As: "104", N: 20},
	}},
	{"five contacts at one address", []step{
		{Kind: register, To: toNobody, Creds: right, N: 5, New: true},
		{Kind: ask, Who: edge, Method: "OPTIONS", To: toNobody, Creds: right, Wait: 5 * time.Second},
	}},
	{"ten thousand lines", []step{
		{Kind: garbage, Who: mallory, Body: 60000, Seed: 1},
		{Kind: garbage, Who: mallory, Body: 60000, Seed: 3},
		{Kind: garbage, Who: mallory, Body: 60000, Seed: 5, TCP: true},
	}},
}

// TestCases runs the cases.
func TestCases(t *testing.T) {
	for _, c := range configurations {
		t.Run(c.name, func(t *testing.T) {
			environment(t)
			for _, list := range cases {
				t.Run(list.name, func(t *testing.T) {
					synctest.Test(t, func(t *testing.T) {
						r := start(t, t, c)
						defer r.end()
						r.open()
						for _, s := range list.steps {
							r.do(s)
						}
						r.close()
					})
				})
			}
		})
	}
}

// TestEvents has one phone change its contacts until the events that the server remembers are all
// of those changes: however long their texts are, what is kept of them has a limit.
func TestEvents(t *testing.T) {
	environment(t)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t, configurations[0])
		defer r.end()
		r.open()
		for i := range 450 {
			r.do(step{Kind: register, Who: phone1, To: to101, N: 10, Long: 900, CallID: 900, Agent: 900, New: true, Contact: contact(i % 2)})
			r.do(step{Kind: register, Who: phone1, To: to101, Star: true, Expires: -1})
			r.forget()
		}
		r.received = 0
		r.close()
	})
}

// TestTexts has many users register ten contacts each, with the longest texts that are taken: those
// are held once.
func TestTexts(t *testing.T) {
	environment(t)
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t, configurations[0])
		defer r.end()
		r.open()
		a, s := r.actors[phone1], step{N: 10, CallID: 900, Agent: 900}
		for i := range 100 {
			data, _ := r.request(a, &s, "REGISTER", fmt.Sprintf("sip:%d@%s", 1000+i, serverIP), false)
			r.send(a, false, data, "")
		}
		if _, n := r.engine().Location.Len(); n < 1000 {
			t.Errorf("%d contacts are registered", n)
		}
		r.close()
	})
}
