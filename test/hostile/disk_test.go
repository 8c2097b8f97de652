package hostile

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"sync"
	"testing"

	"github.com/caddyserver/caddy/v2"
	"github.com/caddyserver/caddy/v2/caddyconfig/caddyfile"

	"github.com/caddysip/caddysip/handler/handlertest"
	"github.com/caddysip/caddysip/internal/inside"
	"github.com/caddysip/caddysip/internal/store"
	_ "github.com/caddysip/caddysip/module/storage"
	"github.com/caddysip/caddysip/storage"
)

func init() {
	caddy.RegisterModule(new(disk))
}

// disk is a storage whose writes wait until the test lets them go on, and fail if it says so.
type disk struct{}

func (*disk) CaddyModule() caddy.ModuleInfo {
	return caddy.ModuleInfo{ID: "sip.storage.hostile_disk", New: func() caddy.Module { return new(disk) }}
}

func (*disk) UnmarshalCaddyfile(d *caddyfile.Dispenser) error { d.Next(); return nil }
func (*disk) Identity() string                                { return "hostile_disk" }
func (*disk) Open(context.Context) (storage.Engine, error)    { return theDisk, nil }

var theDisk *diskEngine

type diskEngine struct {
	*store.Memory
	begun chan struct{} // takes one when a write begins

	mu      sync.Mutex
	hold    chan struct{} // writes wait until it is closed
	changes []string      // the keys of what was written
}

func newDisk(t *testing.T) *diskEngine {
	theDisk = &diskEngine{Memory: store.NewMemory(), begun: make(chan struct{}, 1000), hold: make(chan struct{})}
	t.Cleanup(func() { theDisk.Close() })
	return theDisk
}

func (d *diskEngine) Write(ctx context.Context, b storage.Batch) ([]uint64, error) {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	d.begun <- struct{}{}
	select {
	case <-hold:
	case <-ctx.Done():
		return nil, ctx.Err()
	}
	d.mu.Lock()
	for _, c := range b.Changes {
		d.changes = append(d.changes, c.Key)
	}
	d.mu.Unlock()
	return d.Memory.Write(ctx, b)
}

func withStorage(t *testing.T, line string) *handlertest.Server {
	t.Helper()
	addr := handlertest.FreeAddr(t)
	return handlertest.StartCaddyfile(t, addr,
		fmt.Sprintf("{\n\tadmin off\n\tsip {\n\t\tstorage %s\n\t\t%s {\n\t\t\tregister\n\t\t\tproxy\n\t\t}\n\t}\n}\n", line, addr))
}

// stored returns the users in the storage.
func stored(t *testing.T, s *handlertest.Server) map[string]bool {
	t.Helper()
	all := make(map[string]bool)
	if _, err := inside.AppOf(s.App()).Engine.Storage().Range(t.Context(), "registrations", "", func(e storage.Entry) error {
		user, _, _ := strings.Cut(strings.TrimPrefix(e.Key, "sip:"), "@")
		all[user] = true
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	return all
}

// TestSlowDisk: no phone waits for the disk, and each user is queued for it once, however often he
// registers.
func TestSlowDisk(t *testing.T) {
	d := newDisk(t)
	s := withStorage(t, "hostile_disk")
	p := udp(t, s, "")
	register := func(user, expires int) {
		p.user = fmt.Sprint("u", user)
		p.register("Call-ID: reg-"+p.user, fmt.Sprint("Expires: ", expires))
	}
	register(0, 600)
	<-d.begun // it writes the first, and goes on doing so
	const users, times = 100, 20
	for n := range times {
		for i := range users {
			register(i, 600+n)
		}
	}
	for i := range 10 {
		register(i, 0)
	}
	if got := stored(t, s); len(got) != 0 {
		t.Errorf("the disk has %v already", got)
	}
	p.request("OPTIONS", s.URI("u5"))
	p.Expect("SIP/2.0 480 ") // what has changed counts at once
	close(d.hold)
	eventually(t, "everything to be written", func() bool { return len(stored(t, s)) == users-10 })
	d.mu.Lock()
	defer d.mu.Unlock()
	if n := len(d.changes); n > users+1 {
		t.Errorf("%d changes were written for %d users, who have registered %d times", n, users, times)
	}
}

// TestSlowDiskEnds stops the server during a slow write: registrations that are queued behind it
// are written as well.
func TestSlowDiskEnds(t *testing.T) {
	d := newDisk(t)
	s := withStorage(t, "hostile_disk")
	p := udp(t, s, "u1")
	p.register()
	<-d.begun
	udp(t, s, "u2").register()
	released := make(chan struct{})
	go func() { // when the end has come, the disk gets on
		defer close(released)
		<-d.begun
		close(d.hold)
	}()
	if err := caddy.Stop(); err != nil {
		t.Fatal(err)
	}
	<-released
	d.mu.Lock()
	defer d.mu.Unlock()
	slices.Sort(d.changes)
	if got := len(slices.Compact(d.changes)); got != 2 {
		t.Errorf("written were %q", d.changes)
	}
}
