package location

import (
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/caddysip/caddysip/internal/sip/transport"
)

// device is a test's office: one user, whose phones register as a line of text says.
type device struct {
	t      *testing.T
	s      *Store
	cseq   map[string]uint32
	mu     sync.Mutex
	log    []string // what the hooks were called with; the sweeper calls them too
	max    int      // Update.Max
	refuse bool
}

func newDevice(t *testing.T) *device {
	d := &device{t: t, cseq: make(map[string]uint32)}
	note := func(what string) func(b *Binding) {
		return func(b *Binding) {
			d.mu.Lock()
			defer d.mu.Unlock()
			d.log = append(d.log, what+" "+b.Contact())
		}
	}
	d.s = newStore(t, Options{
		OnAdded: note("added"), OnMoved: note("moved"), OnExpired: note("expired"), OnConfirmed: note("confirmed"),
		OnRemoved: func(b *Binding, replaced bool) {
			note(map[bool]string{true: "replaced", false: "removed"}[replaced])(b)
		},
	})
	return d
}

// register registers contacts, each a URI. The options are call, i for the instance, reg, from,
// agent, owner, expires, and the words relayed, tcp, gone for a connection that has been closed, and first
// for a phone that counts from the beginning.
func (d *device) register(line string) error {
	d.t.Helper()
	var uris []string
	options := map[string]string{"call": "c", "agent": "snomD785/10.1.184.15", "from": "203.0.113.7:5060"}
	for word := range strings.FieldsSeq(line) {
		if name, value, ok := strings.Cut(word, "="); ok && !strings.HasPrefix(word, "sip:") {
			options[name] = value
		} else if strings.HasPrefix(word, "sip:") {
			uris = append(uris, word)
		} else {
			options[word] = "yes"
		}
	}
	call := options["call"]
	d.cseq[call]++
	if options["first"] != "" {
		d.cseq[call] = 1
	}
	u := update(call, d.cseq[call])
	for _, uri := range uris {
		uri, gone := strings.CutSuffix(uri, "!")
		c := contact(d.t, uri)
		c.Instance = []byte(options["i"])
		fmt.Sscan(options["reg"], &c.RegID)
		fmt.Sscan(options["expires"], &c.Expires)
		if gone {
			c.Expires = 0
		}
		u.Contacts = append(u.Contacts, c)
	}
	u.UserAgent, u.Owner, u.Relayed = []byte(options["agent"]), []byte(options["owner"]), options["relayed"] != ""
	u.Flow.Remote = netip.MustParseAddrPort(options["from"])
	if options["tcp"] != "" {
		u.Flow.Network, u.Flow.Conn = transport.TCP, new(transport.Conn)
	}
	if options["gone"] != "" {
		u.Flow.Network, u.Flow.Conn = transport.TCP, nil
	}
	u.Max, u.Refuse = d.max, d.refuse
	var r Result
	err := d.s.Update(u, &r)
	if got, want := contacts(r.Bindings), contacts(d.s.Lookup(u.AOR, nil)); err == nil && got != want {
		d.t.Fatalf("%s: the result has %q, the store %q", line, got, want)
	}
	return err
}

// state is what is called, and after a bar what is superseded.
func (d *device) state() string {
	called := d.s.Lookup([]byte(alice), nil)
	all := d.s.All([]byte(alice), nil)
	for i, b := range called {
		if all[i] != b {
			d.t.Fatalf("All has %q, Lookup %q", contacts(all), contacts(called))
		}
	}
	text := contacts(called)
	if len(all) > len(called) {
		text += " | " + contacts(all[len(called):])
	}
	return strings.TrimSpace(text)
}

// TestDevices registers phones, each line a second after the one before, and checks what is called
// then, the latest first, and what is superseded.
func TestDevices(t *testing.T) {
	for name, steps := range map[string][]string{
		"a phone restarts with another port and line": {
			"sip:a@h:5060;line=1 i=x call=1 from=203.0.113.7:1", "sip:a@h:5060;line=1",
			"sip:a@h:6060;line=2 i=x call=2 from=203.0.113.7:2", "sip:a@h:6060;line=2 | sip:a@h:5060;line=1",
			"sip:a@h:6070;line=3 i=x call=3 from=203.0.113.7:3",
			"sip:a@h:6070;line=3 | sip:a@h:6060;line=2 sip:a@h:5060;line=1",
			"sip:a@h:6070;line=3 i=x call=3 from=203.0.113.7:3",
			"sip:a@h:6070;line=3 | sip:a@h:6060;line=2 sip:a@h:5060;line=1",
		},
		"a phone goes from UDP to TCP": {
			"sip:a@h;line=1 i=x reg=1 call=1", "sip:a@h;line=1",
			"sip:a@h;transport=tcp i=x reg=1 call=2 tcp from=203.0.113.7:2", "sip:a@h;transport=tcp | sip:a@h;line=1",
		},
		"a phone's connection breaks": {
			"sip:a@h:1;transport=tcp i=x reg=1 call=1 gone from=203.0.113.7:1", "sip:a@h:1;transport=tcp",
			"sip:a@h:2;transport=tcp i=x reg=1 call=2 tcp from=203.0.113.7:2", "sip:a@h:2;transport=tcp",
		},
		"two phones have one instance, and both are there": {
			"sip:a@h:1 i=x call=1 from=203.0.113.7:1", "sip:a@h:1",
			"sip:a@h:2 i=x call=2 from=203.0.113.7:2", "sip:a@h:2 | sip:a@h:1",
			"sip:a@h:1 i=x call=1 from=203.0.113.7:1", "sip:a@h:1 sip:a@h:2",
			"sip:a@h:2 i=x call=2 from=203.0.113.7:2", "sip:a@h:2 sip:a@h:1",
			"sip:a@h:1 i=x call=1 from=203.0.113.7:1", "sip:a@h:1 sip:a@h:2",
			// One restarts: that it is one of the two is all that is known.
			"sip:a@h:3 i=x call=3 from=203.0.113.7:3", "sip:a@h:3 sip:a@h:1 sip:a@h:2",
			"sip:a@h:2 i=x call=4 from=203.0.113.7:2", "sip:a@h:2 sip:a@h:3 sip:a@h:1",
		},
		"a phone without an instance is restarted and keeps its port": {
			"sip:a@h:5060;line=1 call=1", "sip:a@h:5060;line=1",
			"sip:a@h:5060;line=2 call=2", "sip:a@h:5060;line=2 | sip:a@h:5060;line=1",
		},
		"a phone has two lines that look alike": {
			"sip:a@h:5060;line=1 call=1", "sip:a@h:5060;line=1",
			"sip:a@h:5060;line=2 call=2", "sip:a@h:5060;line=2 | sip:a@h:5060;line=1",
			"sip:a@h:5060;line=1 call=1", "sip:a@h:5060;line=1 sip:a@h:5060;line=2",
			"sip:a@h:5060;line=2 call=2", "sip:a@h:5060;line=2 sip:a@h:5060;line=1",
			// One begins anew, as it would after a failure.
			"sip:a@h:5060;line=1 call=9", "sip:a@h:5060;line=1 sip:a@h:5060;line=2",
			"sip:a@h:5060;line=2 call=2", "sip:a@h:5060;line=2 sip:a@h:5060;line=1",
			// It is restarted, and has two again.
			"sip:a@h:5060;line=3 call=3", "sip:a@h:5060;line=3 sip:a@h:5060;line=2 | sip:a@h:5060;line=1",
			"sip:a@h:5060;line=4 call=4", "sip:a@h:5060;line=4 sip:a@h:5060;line=3 | sip:a@h:5060;line=2 " +
				"sip:a@h:5060;line=1",
		},
		"lines that differ in their user": {
			"sip:a@h:5060 call=1", "sip:a@h:5060",
			"sip:b@h:5060 call=2", "sip:b@h:5060 sip:a@h:5060",
			"sip:c@h:5060 call=2", "sip:c@h:5060 sip:b@h:5060 sip:a@h:5060",
		},
		"another port in the Contact, from the same socket": {
			"sip:a@h:5060 call=1", "sip:a@h:5060",
			"sip:a@h:5062 call=2", "sip:a@h:5062 sip:a@h:5060",
		},
		"another host in the Contact, from the same socket": {
			"sip:a@h:5060 call=1", "sip:a@h:5060",
			"sip:a@g:5060;line=1 call=2", "sip:a@g:5060;line=1 sip:a@h:5060",
			"sip:a@G:5060;line=2 call=3", "sip:a@G:5060;line=2 sip:a@h:5060 | sip:a@g:5060;line=1",
		},
		"another model, from the same socket": {
			"sip:a@h:5060;line=1 call=1 agent=Yealink", "sip:a@h:5060;line=1",
			"sip:a@h:5060;line=2 call=2", "sip:a@h:5060;line=2 sip:a@h:5060;line=1",
		},
		"another socket, without an instance": {
			"sip:a@h:5060;line=1 call=1", "sip:a@h:5060;line=1",
			"sip:a@h:5060;line=2 call=2 from=203.0.113.7:5061", "sip:a@h:5060;line=2 sip:a@h:5060;line=1",
			"sip:a@h:5060;line=3 call=3 from=203.0.113.7:5060 tcp",
			"sip:a@h:5060;line=3 sip:a@h:5060;line=2 sip:a@h:5060;line=1",
		},
		"phones behind an edge proxy": {
			"sip:a@h:5060;line=1 call=1 relayed", "sip:a@h:5060;line=1",
			"sip:a@h:5060;line=2 call=2 relayed", "sip:a@h:5060;line=2 sip:a@h:5060;line=1",
			"sip:a@h:5060;line=3 call=3", "sip:a@h:5060;line=3 sip:a@h:5060;line=2 sip:a@h:5060;line=1",
			"sip:a@h:5060;line=4 call=4 relayed",
			"sip:a@h:5060;line=4 sip:a@h:5060;line=3 sip:a@h:5060;line=2 sip:a@h:5060;line=1",
		},
		"a phone behind an edge proxy is restarted": {
			"sip:a@h:5060;line=1 i=x call=1 relayed", "sip:a@h:5060;line=1",
			"sip:a@h:5061;line=2 i=x call=2 relayed", "sip:a@h:5061;line=2 | sip:a@h:5060;line=1",
		},
		"two ways to one phone, on any transport": {
			"sip:a@h:1 i=x reg=1 call=1 from=203.0.113.7:1", "sip:a@h:1",
			"sip:a@h:2 i=x reg=2 call=2 from=203.0.113.7:2", "sip:a@h:2 sip:a@h:1",
			"sip:a@h:1 i=x reg=1 call=1 from=203.0.113.7:1", "sip:a@h:1 sip:a@h:2",
			"sip:a@h:3 i=x reg=1 call=3 from=203.0.113.7:3", "sip:a@h:3 sip:a@h:2 | sip:a@h:1",
		},
		"two ways to one phone with one Contact": {
			"sip:a@h i=x reg=1 call=1 from=203.0.113.7:1", "sip:a@h",
			"sip:a@h i=x reg=2 call=1 from=203.0.113.7:2", "sip:a@h sip:a@h",
			"sip:a@h! i=x reg=2 call=1 from=203.0.113.7:2", "sip:a@h",
			"sip:a@h i=x reg=2 call=1 from=203.0.113.7:2", "sip:a@h sip:a@h",
			"sip:a@h! call=1 from=203.0.113.7:2", "",
		},
		"old and new Contact in one request": {
			"sip:a@h:1 i=x reg=1 call=1", "sip:a@h:1",
			"sip:a@h:2 sip:a@h:1! i=x reg=1 call=1", "sip:a@h:2",
			"sip:a@h:2! sip:a@h:3 i=x reg=1 call=2", "sip:a@h:3",
		},
		"what one request sets stays together": {
			"sip:a@h:1 sip:a@h:2 i=x call=1", "sip:a@h:2 sip:a@h:1",
			"sip:a@h:1 sip:a@h:2 i=x call=2", "sip:a@h:2 sip:a@h:1",
			"sip:a@h:3 sip:a@h:4 i=x call=3", "sip:a@h:4 sip:a@h:3 | sip:a@h:1 sip:a@h:2",
		},
		"a phone removes what it has not registered": {
			"sip:a@h:1 i=x call=1", "sip:a@h:1",
			"sip:a@h:2! i=x call=2", "sip:a@h:1",
		},
		"a phone goes on with another Contact": {
			"sip:a@h:5060;transport=tcp i=x call=1 tcp", "sip:a@h:5060;transport=tcp",
			"sip:a@h:40001;transport=tcp i=x call=1 tcp", "sip:a@h:40001;transport=tcp",
			"sip:b@h:40001;transport=tcp i=x call=1 tcp from=203.0.113.8:1", "sip:b@h:40001;transport=tcp",
		},
		"a phone without an instance goes on with another Contact": {
			"sip:a@h:5060 call=1", "sip:a@h:5060",
			"sip:a@g:5062 call=1 from=203.0.113.8:1", "sip:a@g:5062",
			"sip:b@g:5062 call=1 from=203.0.113.8:1", "sip:b@g:5062 sip:a@g:5062",
			"sip:a@g:5063 call=1 from=203.0.113.8:1 agent=other", "sip:a@g:5063 sip:b@g:5062 sip:a@g:5062",
		},
		"phones that all use one Call-ID": {
			"sip:a@h:1 call=1 from=203.0.113.7:1", "sip:a@h:1",
			"sip:a@h:2 call=1 from=203.0.113.7:2 first", "sip:a@h:2 sip:a@h:1",
		},
		"another phone with the same Call-ID": {
			"sip:a@h:1 i=x call=1", "sip:a@h:1",
			"sip:a@h:2 i=y call=1", "sip:a@h:2 sip:a@h:1",
		},
		"two sites with the same private addresses": {
			"sip:a@192.168.1.7 i=x call=1 from=203.0.113.7:1", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=y call=2 from=203.0.113.8:1", "sip:a@192.168.1.7 sip:a@192.168.1.7",
			"sip:a@192.168.1.7! i=y call=2 from=203.0.113.8:1", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=y call=2 from=203.0.113.8:1", "sip:a@192.168.1.7 sip:a@192.168.1.7",
			"sip:a@192.168.1.7! call=2 from=203.0.113.8:2", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=x call=1 from=203.0.113.7:2", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7! call=9 from=203.0.113.9:1", "",
		},
		"a desk gets another phone": {
			"sip:a@192.168.1.7 i=x call=1", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=y call=2 from=203.0.113.7:9", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=z reg=1 call=3", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=y reg=2 call=4", "sip:a@192.168.1.7",
		},
		"two sites behind an edge proxy": {
			"sip:a@192.168.1.7 i=x call=1 relayed", "sip:a@192.168.1.7",
			"sip:a@192.168.1.7 i=y call=2 relayed", "sip:a@192.168.1.7 sip:a@192.168.1.7",
		},
		"instances that change with each start": {
			"sip:q1@x.invalid i=1 call=1 tcp", "sip:q1@x.invalid",
			"sip:q2@x.invalid i=2 call=2 tcp", "sip:q2@x.invalid sip:q1@x.invalid",
		},
		"somebody else registers for the user": {
			"sip:a@h:1 i=x call=1", "sip:a@h:1",
			"sip:a@h:2 i=x call=1 owner=bob", "sip:a@h:2 sip:a@h:1",
			"sip:a@h:3 i=x call=3", "sip:a@h:3 sip:a@h:2 | sip:a@h:1",
		},
		"a superseded phone is restarted at its old Contact": {
			"sip:a@h:1 i=x call=1", "sip:a@h:1",
			"sip:a@h:2 i=x call=2", "sip:a@h:2 | sip:a@h:1",
			"sip:a@h:1 i=x call=3", "sip:a@h:1 | sip:a@h:2",
		},
		"all are removed": {
			"sip:a@h:1 i=x call=1", "sip:a@h:1",
			"sip:a@h:2 i=x call=2", "sip:a@h:2 | sip:a@h:1",
			"sip:a@h:2! i=x call=2", "| sip:a@h:1",
			"sip:a@h:1! i=x call=1", "",
		},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				d := newDevice(t)
				for i := 0; i < len(steps); i += 2 {
					if err := d.register(steps[i]); err != nil {
						t.Fatalf("%s: %v", steps[i], err)
					}
					if got := d.state(); got != steps[i+1] {
						t.Fatalf("%s: there are %q, want %q", steps[i], got, steps[i+1])
					}
					if s, want := d.s, steps[i+1]; s.Registered([]byte(alice)) != (want != "" && want[0] != '|') {
						t.Fatalf("%s: registered is %v", steps[i], !s.Registered([]byte(alice)))
					}
					pass(time.Second)
				}
			})
		})
	}
}

func (d *device) mustRegister(line string) {
	d.t.Helper()
	if err := d.register(line); err != nil {
		d.t.Fatalf("%s: %v", line, err)
	}
	pass(time.Second)
}

func (d *device) want(state string) {
	d.t.Helper()
	if got := d.state(); got != state {
		d.t.Fatalf("there are %q, want %q", got, state)
	}
}

func (d *device) wantLog(want string) {
	d.t.Helper()
	d.mu.Lock()
	defer d.mu.Unlock()
	if got := strings.Join(d.log, ", "); got != want {
		d.t.Fatalf("the hooks said %q, want %q", got, want)
	}
	d.log = nil
}

// TestSupersededHooks checks that a superseded binding is reported as removed once, and as added
// when it is back.
func TestSupersededHooks(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.mustRegister("sip:a@h:1 i=x call=1 expires=60")
		d.mustRegister("sip:a@h:2 i=x call=2")
		d.wantLog("added sip:a@h:1, added sip:a@h:2, replaced sip:a@h:1")
		d.mustRegister("sip:a@h:1 i=x call=1 expires=60")
		d.wantLog("added sip:a@h:1, confirmed sip:a@h:1")
		d.mustRegister("sip:a@h:1 i=x call=1 expires=60")
		d.mustRegister("sip:a@h:2 i=x call=2")
		d.wantLog("") // both are kept
		d.mustRegister("sip:a@h:1! i=x call=1")
		d.wantLog("removed sip:a@h:1")

		d.mustRegister("sip:b@h:1 i=y call=3 expires=60")
		d.mustRegister("sip:b@h:2 i=y call=4")
		d.mustRegister("sip:b@h:3 i=y call=4")
		d.wantLog("added sip:b@h:1, added sip:b@h:2, replaced sip:b@h:1, added sip:b@h:3, replaced sip:b@h:2")
		pass(70 * time.Second)
		d.wantLog("expired sip:b@h:1")
		d.want("sip:b@h:3 sip:a@h:2")
	})
}

// TestContinuedSince checks that a phone that continues with another Contact keeps the time since
// when it is registered.
func TestContinuedSince(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.mustRegister("sip:a@h:1 i=x call=1")
		since := d.s.Lookup([]byte(alice), nil)[0].Registered()
		d.mustRegister("sip:a@h:2 i=x call=1")
		if got := d.s.Lookup([]byte(alice), nil)[0].Registered(); !got.Equal(since) {
			t.Errorf("registered since %v, want %v", got, since)
		}
		d.mustRegister("sip:a@h:3 i=x call=2")
		if got := d.s.Lookup([]byte(alice), nil)[0].Registered(); got.Equal(since) {
			t.Errorf("a phone that was restarted is registered since %v", since)
		}
		since = d.s.Lookup([]byte(alice), nil)[0].Registered()
		pass(time.Minute)
		d.cseq["2"] = 0 // it always uses one Call-ID
		d.mustRegister("sip:a@h:4 i=x call=2")
		d.want("sip:a@h:4 | sip:a@h:3 sip:a@h:2")
		if got := d.s.Lookup([]byte(alice), nil)[0].Registered(); got.Equal(since) {
			t.Errorf("a phone that was restarted is registered since %v", since)
		}
	})
}

// TestOvertakenContact checks that a late REGISTER neither undoes the one that replaced its
// Contact, nor restores what is superseded.
func TestOvertakenContact(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.mustRegister("sip:a@h:1 i=x call=1")
		d.mustRegister("sip:a@h:2 i=x call=1")
		d.cseq["1"] = 0
		if err := d.register("sip:a@h:1 i=x call=1"); err != ErrOutOfOrder {
			t.Fatalf("error is %v", err)
		}
		d.want("sip:a@h:2")
		d.mustRegister("sip:a@h:3 i=x call=2")
		if d.cseq["1"] = 1; d.register("sip:a@h:2 i=x call=1") != nil { // a retransmission
			t.Fatal("a retransmission is refused")
		}
		d.want("sip:a@h:3 | sip:a@h:2")
	})
}

// TestMakeRoom checks which binding is removed when there are too many.
func TestMakeRoom(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.max = 3
		d.mustRegister("sip:a@h:1 call=1 from=203.0.113.7:1")
		d.mustRegister("sip:a@h:2 i=x call=2 from=203.0.113.7:2")
		d.mustRegister("sip:a@h:3 call=3 gone from=203.0.113.7:3")
		d.mustRegister("sip:a@h:1 call=1 from=203.0.113.7:1")
		d.mustRegister("sip:a@h:4 i=x call=4 from=203.0.113.7:4") // itself superseding one
		d.want("sip:a@h:4 sip:a@h:1 sip:a@h:3")
		d.mustRegister("sip:a@h:5 call=5 from=203.0.113.7:5") // one that cannot be reached
		d.want("sip:a@h:5 sip:a@h:4 sip:a@h:1")
		d.mustRegister("sip:a@h:6 call=6 from=203.0.113.7:6") // the oldest
		d.want("sip:a@h:6 sip:a@h:5 sip:a@h:4")
		d.mustRegister("sip:a@h:7 sip:a@h:8 sip:a@h:9 call=7 from=203.0.113.7:7")
		d.want("sip:a@h:9 sip:a@h:8 sip:a@h:7")
		d.mu.Lock()
		d.log = nil
		d.mu.Unlock()
		if err := d.register("sip:a@h:1 sip:a@h:2 sip:a@h:3 sip:a@h:4 call=8 from=203.0.113.7:8"); err != ErrTooMany {
			t.Fatalf("error is %v", err)
		}
		d.want("sip:a@h:9 sip:a@h:8 sip:a@h:7")
		d.wantLog("")
	})
}

// TestRefuse checks that with Refuse only superseded bindings make room.
func TestRefuse(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		d.max, d.refuse = 1, true
		d.mustRegister("sip:a@h:1 i=x call=1 from=203.0.113.7:1")
		d.mustRegister("sip:a@h:2 i=x call=2 from=203.0.113.7:2")
		d.want("sip:a@h:2")
		d.wantLog("added sip:a@h:1, added sip:a@h:2, replaced sip:a@h:1")
		if err := d.register("sip:a@h:3 i=y call=3 from=203.0.113.7:3"); err != ErrTooMany {
			t.Fatalf("error is %v", err)
		}
		d.want("sip:a@h:2")
		wantLen(t, d.s, 1, 1)
	})
}

// TestRestoreDevices checks that superseded bindings stay so over a restart, and that two phones
// stay two.
func TestRestoreDevices(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		d := newDevice(t)
		for _, line := range []string{
			"sip:a@h:1 i=x call=1", "sip:a@h:2 i=x call=2", "sip:a@h:1 i=x call=1",
			"sip:b@h:1 i=y call=3 relayed", "sip:b@h:2 i=y call=4",
			"sip:c@h:1 i=z call=5", "sip:c@h:2 i=z call=6", "sip:c@h:2! i=z call=6",
		} {
			d.mustRegister(line)
		}
		const state = "sip:b@h:2 sip:a@h:1 sip:a@h:2 | sip:c@h:1 sip:b@h:1"
		d.want(state)
		data, _ := d.s.AppendStored(nil, d.s.All([]byte(alice), nil))
		records, err := ParseStored(alice, data)
		if err != nil {
			t.Fatal(err)
		}

		after := newDevice(t)
		if err := after.s.Restore(records...); err != nil {
			t.Fatal(err)
		}
		after.want(state)
		for i, b := range after.s.All([]byte(alice), nil) {
			if got, want := b.Record(), records[i]; got != want {
				t.Errorf("restored %+v, want %+v", got, want)
			}
		}

		// A phone was faster than its record.
		after = newDevice(t)
		after.mustRegister("sip:b@h:9 i=y call=9")
		if err := after.s.Restore(records...); err != nil {
			t.Fatal(err)
		}
		after.want("sip:b@h:9 sip:a@h:1 sip:a@h:2 | sip:c@h:1 sip:b@h:2 sip:b@h:1")
	})
}
