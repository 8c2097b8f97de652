//go:build interop

package interop

import (
	"bytes"
	"flag"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// The storm's size. A longer run: go test -tags interop -run TestStorm -timeout 30m ./test/interop
// -storm.reloads 200 -storm.rate 20000 …
var (
	stormReloads = flag.Int("storm.reloads", 16, "how many reloads there are")
	stormRate    = flag.Int("storm.rate", 3000, "REGISTER and OPTIONS a second")
	stormUsers   = flag.Int("storm.users", 10_000, "users that are registered")
	stormCalls   = flag.Int("storm.calls", 20, "calls a second, by UDP and by TCP each")
)

// storm is a configuration of the server in the storm: what is on its main address, and what is
// beside it.
func storm(address, directives, beside string) string {
	return `{
	admin {admin}
	persist_config off
	sip {
		domain 127.0.0.1
		grace_period 2s
		` + address + ` {
			` + directives + `
			register
			proxy
		}
` + beside + `
	}
}
`
}

// TestStorm reloads while requests, registrations and calls go on, by UDP and TCP, with listeners
// added, removed and moved in between. Each request is answered, no connection ends, and no call is
// lost.
func TestStorm(t *testing.T) {
	s := start(t, binary, storm("{addr}", "", ""))
	main := port(s.addr)
	extra, site := freeAddr(t), freeAddr(t)

	// Calls, each of which lasts over several reloads.
	var calls []*sipp
	interval := 300 * time.Millisecond
	seconds := (time.Duration(*stormReloads)*interval)/time.Second + 2
	limit := fmt.Sprintf("%ds", int((seconds*time.Second + patience).Seconds()))
	for i, tr := range []transport{udp, tcp} {
		user := fmt.Sprint("90", i)
		total := fmt.Sprint(int(seconds) * *stormCalls)
		callee := port(freeAddr(t))
		s.register(t, user, callee, tr)
		uas := s.sipp(t, "uas.xml", callee, tr, "-m", total, "-timeout", limit)
		uas.bound(t, callee, tr)
		uac := s.sipp(t, "uac.xml", port(freeAddr(t)), tr, "-s", user, "-m", total, "-r", fmt.Sprint(*stormCalls), "-d", "1000", "-timeout", limit)
		calls = append(calls, uas, uac)
	}

	var askers []*asker
	const each = 16
	for i := range each {
		askers = append(askers, s.asker(t, s.addr, fmt.Sprint("udp", i), udp, *stormUsers/2/each), s.asker(t, s.addr, fmt.Sprint("tcp", i), tcp, *stormUsers/2/each))
	}
	done := make(chan struct{})
	var asking sync.WaitGroup
	asking.Go(func() { keepAsking(askers, *stormRate, done) })

	// With each configuration Caddy's admin endpoint begins anew, and ends the connections that are
	// at rest.
	admin := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	var took []time.Duration
	load := func(text string) {
		text = strings.NewReplacer("{addr}", s.addr, "{admin}", s.admin).Replace(text)
		began := time.Now()
		res, err := admin.Post("http://"+s.admin+"/load", "text/caddyfile", strings.NewReader(text))
		for try := 0; err != nil && try < 3; try++ { // now and then Caddy's old endpoint is gone before it has answered
			res, err = admin.Post("http://"+s.admin+"/load", "text/caddyfile", strings.NewReader(text))
		}
		if err != nil {
			t.Fatal(err)
		}
		took = append(took, time.Since(began))
		defer res.Body.Close()
		if body, _ := io.ReadAll(res.Body); res.StatusCode != 200 {
			t.Errorf("reloading: %s: %s", res.Status, body)
		}
	}
	leave := func() {}
	tick := time.NewTicker(interval)
	defer tick.Stop()
	var all []*asker // on the listener that comes and goes
	for i := range *stormReloads {
		<-tick.C
		rule := fmt.Sprintf("@gone uri_user gone\n\t\t\trespond @gone 410 \"After %d\"", i)
		beside := "\t\t" + extra + " {\n\t\t\tregister\n\t\t}"
		switch i % 8 {
		case 0: // another rule
			load(storm("{addr}", rule, ""))
		case 1: // a listener more, with somebody who asks there
			load(storm("{addr}", rule, beside))
			visitors := []*asker{s.asker(t, extra, fmt.Sprint("visitor", i), udp, 10), s.asker(t, extra, fmt.Sprint("visiting", i), tcp, 10)}
			all = append(all, visitors...)
			left := make(chan struct{})
			var visit sync.WaitGroup
			visit.Go(func() { keepAsking(visitors, 100, left) })
			leave = func() {
				close(left)
				visit.Wait()
				for _, v := range visitors {
					v.finish()
				}
				leave = func() {}
			}
		case 2: // an HTTP site beside
			load(strings.Replace(storm("{addr}", rule, beside), "{\n\tadmin", "{\n\tauto_https off\n\tadmin", 1) +
				fmt.Sprintf("http://%s {\n\trespond \"%d\"\n}\n", site, i))
		case 3: // the listener is removed while somebody asks there
			load(storm("{addr}", rule, ""))
		case 4: // what cannot be loaded
			text := strings.NewReplacer("{addr}", s.addr, "{admin}", s.admin).Replace(storm("{addr}", "proxy sip:[", ""))
			res, err := admin.Post("http://"+s.admin+"/load", "text/caddyfile", strings.NewReader(text))
			if err != nil {
				t.Fatal(err)
			}
			res.Body.Close()
			if res.StatusCode == 200 {
				t.Error("a broken configuration was loaded")
			}
			load(storm("{addr}", rule, ""))
			leave() // before the grace period ends
		case 5, 7: // all addresses, and from them to one
			load(storm(":"+main, rule, ""))
		case 6:
			load(storm("{addr}", rule, ""))
		}
	}
	leave()
	close(done)
	asking.Wait()
	for _, p := range calls {
		p.wait(t)
	}
	answered, repeated, registered := 0, 0, 2 // of the calls
	for _, a := range askers {
		a.finish()
	}
	for _, a := range append(askers, all...) {
		answered += a.answered
		repeated += a.repeated
		registered += len(a.known)
	}
	if n := s.metric(t, "caddy_sip_bindings"); n != float64(registered) {
		t.Errorf("%v users are registered, %d were told so", n, registered)
	}
	slices.Sort(took)
	t.Logf("%d requests answered, %d of them sent again, %d calls by UDP and TCP each, %d users; %d reloads took %v at the median, %v at the 95th percentile, %v at most",
		answered, repeated, int(seconds)**stormCalls, registered, len(took), took[len(took)/2], took[len(took)*95/100], took[len(took)-1])
	if bytes.Contains([]byte(s.output()), []byte("panic")) {
		t.Error("there was a panic")
	}
}

// keepAsking has the askers send so many requests a second in all.
func keepAsking(askers []*asker, rate int, done <-chan struct{}) {
	const step = 5 * time.Millisecond
	tick := time.NewTicker(step)
	defer tick.Stop()
	began, sent := time.Now(), 0
	for i := 0; ; i++ {
		due := int(float64(rate)*time.Since(began).Seconds()) - sent
		for n := 0; n < due; {
			part := min(due-n, 8)
			i++
			askers[i%len(askers)].ask(part)
			n += part
		}
		sent += due
		if i%100 == 0 {
			for _, a := range askers {
				a.repeat()
			}
		}
		select {
		case <-tick.C:
		case <-done:
			return
		}
	}
}
