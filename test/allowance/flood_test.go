package allowance

import (
	"flag"
	"fmt"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var floodSteps = flag.Int("flood", 1000, "how many steps the flood has")

// ceiling is what TestFlood allows the server.
const ceiling = 128 << 20

// TestFlood has everybody send everything for an hour. State stays under the ceiling all the time,
// and phones that have registered before go on being served.
func TestFlood(t *testing.T) {
	environment(t)
	c := configurations[0]
	c.text = "limits {\nmemory 128MiB\n}\n" + c.text
	synctest.Test(t, func(t *testing.T) {
		r := start(t, t, c)
		defer r.end()
		r.open()
		r.lenient, r.refresh = true, 0
		pause := time.Hour / time.Duration(*floodSteps)
		refused, users, bulk := 0, 0, step{N: 10, Long: 400, CallID: 900, Agent: 100, Expires: 7200}
		several := rapid.SliceOfN(steps, 20, 20)
		for i := range *floodSteps {
			if i%20 == 0 {
				for _, s := range several.Example(i) {
					// Two phones are themselves, and are asked for below.
					if s.To != to102 && s.To != to103 && s.Who != phone2 && s.Who != phone3 {
						s.Wait = 0
						r.do(s)
					}
				}
			}
			for range 10 { // somebody registers users without end
				users++
				data, _ := r.request(r.actors[eve], &bulk, "REGISTER", fmt.Sprintf("sip:u%d@%s", users, serverIP), false)
				r.heard = nil
				r.send(r.actors[eve], false, data, "")
				for _, m := range r.heard {
					if m.status() == 503 && m.method() == "REGISTER" {
						refused++
					}
				}
			}
			r.pass(pause)
			if i%100 == 99 {
				r.served(t)
				r.forget()
				if n := heap(); n > ceiling {
					t.Fatalf("%d bytes after %d steps: %s", n, i, r.engine().Budget)
				}
			}
		}
		if refused == 0 {
			t.Errorf("%d users with ten contacts each were registered, and none refused: %s", users, r.engine().Budget)
		}
		t.Logf("%d users, %d refused; %s; %d bytes in use", users, refused, r.engine().Budget, heap())
	})
}

// served has a registered phone refresh, and another one called.
func (r *run) served(t *testing.T) {
	t.Helper()
	for _, s := range []struct {
		step
		answer string
	}{
		{step{Kind: register, Who: phone2, To: to102, Creds: right}, "REGISTER"},
		{step{Kind: register, Who: phone3, To: to103, Creds: right, TCP: true}, "REGISTER"},
		{step{Kind: ask, Who: phone2, Method: "INVITE", To: to103, Creds: right, React: accept}, "INVITE"},
	} {
		r.heard = nil
		r.do(s.step)
		ok := false
		for _, m := range r.heard {
			ok = ok || m.status() == 200 && strings.HasSuffix(m.get("cseq"), s.answer)
		}
		if !ok {
			t.Fatalf("%s is not served: %s", s.answer, r.engine().Budget)
		}
	}
}
