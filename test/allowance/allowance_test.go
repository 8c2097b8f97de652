package allowance

import (
	"flag"
	"net"
	"runtime"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/caddysip/caddysip/internal/budget"
)

// TestAllowance has whole servers driven by generated steps: whatever is sent to them, what they
// send, hold and compute because of it stays within what docs/security.md says.
func TestAllowance(t *testing.T) {
	for _, c := range configurations {
		t.Run(c.name, func(t *testing.T) {
			environment(t)
			rapid.Check(t, func(rt *rapid.T) {
				all := rapid.SliceOfN(steps, 1, 40).Draw(rt, "steps")
				rapid.SyncTest(rt, func(rt *rapid.T) {
					r := start(t, rt, c)
					defer r.end()
					r.open()
					for _, s := range all {
						r.do(s)
					}
					r.close()
				})
			})
		})
	}
}

// Few sequences run each time, and always the same ones, so that a change fails for what it has
// changed; .ci/run has more of them, with the work counted, and its long run has others each time:
// -rapid.seed 0, and -rapid.checks as many as you like.
func init() {
	for name, value := range map[string]string{"rapid.checks": "30", "rapid.seed": "1"} {
		if err := flag.Set(name, value); err != nil {
			panic(err)
		}
	}
}

// environment keeps what the server stores out of the home directory.
func environment(t *testing.T) {
	t.Setenv("XDG_DATA_HOME", t.TempDir())
	t.Setenv("XDG_CONFIG_HOME", t.TempDir())
	// What package net sets up once must not belong to a bubble.
	new(looked).resolve()
	if _, err := net.DefaultResolver.LookupHost(t.Context(), "outside.example"); err != nil {
		t.Fatal(err)
	}
}

// open has the phones register, and measures what a plain refresh costs.
func (r *run) open() {
	r.do(step{Kind: register, Who: phone2, To: to102, Creds: right})
	r.do(step{Kind: register, Who: phone3, To: to103, Creds: right, TCP: true})
	for range 3 {
		r.worst = 0
		r.do(step{Kind: register, Who: phone1, To: to101, Creds: right})
	}
	r.refresh = r.worst
	r.pass(time.Minute)
	r.forget()
	r.before = heap()
}

// close checks what is still held a minute after the last step.
func (r *run) close() {
	r.pass(time.Minute)
	received := r.received
	state := r.engine().Budget
	held, recent := state.String(), int(state.Used(budget.Events))
	r.forget()
	grown := heap() - r.before
	if recent > heldEvents {
		r.t.Logf("%s", held)
		r.t.Fatalf("more is held of the latest events than may be")
	}
	r.t.Logf("%d bytes received, %d held, %d of events", received, grown, recent)
	if grown > rows[stranger].held*received+recent+heldConstant {
		r.t.Logf("%d bytes were received, %d are held: %s", received, grown, held)
		r.t.Fatalf("more is held than received")
	}
}

// forget lets go of what the test has kept.
func (r *run) forget() {
	r.take()
	r.sent, r.dialogs, r.heard, r.received = nil, nil, nil, 0
	r.model.causes, r.model.groups = nil, make(map[string]*group)
	r.model.calls = make(map[string]*call)
	for _, a := range r.actors {
		a.waiting = nil
	}
}

// heap returns how many bytes are in use.
func heap() int {
	runtime.GC()
	runtime.GC() // what pools keep goes with the second
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return int(m.HeapAlloc)
}
