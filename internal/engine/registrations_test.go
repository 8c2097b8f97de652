package engine

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
	"github.com/caddysip/caddysip/wire"
)

// countingStorage is a storage that counts how often it is opened.
type countingStorage struct {
	name   string
	open   func() (storage.Engine, error)
	opened int
}

func (p *countingStorage) Identity() string { return p.name }

func (p *countingStorage) Open(context.Context) (storage.Engine, error) {
	p.opened++
	return p.open()
}

func file(path string) *countingStorage {
	return &countingStorage{name: "bolt:" + path, open: func() (storage.Engine, error) {
		b, err := store.OpenBolt(path)
		if err != nil {
			return nil, err
		}
		return b, nil
	}}
}

func newEngine(t testing.TB) *Engine {
	e := New()
	t.Cleanup(func() {
		if err := e.Destruct(); err != nil {
			t.Error(err)
		}
	})
	return e
}

func stored(s storage.Storage, listen ...Address) *Generation {
	return &Generation{Logger: zap.NewNop(), Storage: s, Listen: listen}
}

func mustAttach(t testing.TB, e *Engine, g *Generation) *Generation {
	t.Helper()
	if err := e.Attach(g); err != nil {
		t.Fatal(err)
	}
	return g
}

var phoneFlow = transport.Flow{
	Network: transport.UDP,
	Remote:  netip.MustParseAddrPort("203.0.113.7:40312"),
	Local:   netip.MustParseAddrPort("192.0.2.1:5060"),
}

// register binds a user's contact, or removes it when it expires at once.
func register(t testing.TB, e *Engine, user string, cseq int, expires time.Duration) {
	t.Helper()
	uri, err := wire.ParseURI([]byte("sip:" + user + "@192.0.2.20:5060;line=1"))
	if err != nil {
		t.Fatal(err)
	}
	var r location.Result
	if err := e.Location.Update(&location.Update{
		AOR: []byte(user + "@example.com"), CallID: []byte("call-" + user), CSeq: uint32(cseq), UserAgent: []byte("snom"), Flow: phoneFlow,
		Contacts: []location.ContactUpdate{{URI: uri, Expires: uint32(expires / time.Second), Q: 1000}},
	}, &r); err != nil {
		t.Fatal(err)
	}
}

// wantUsers checks who is registered.
func wantUsers(t testing.TB, e *Engine, want string) {
	t.Helper()
	var got []string
	e.Location.Range("", 0, func(aor string, bindings []*location.Binding) bool {
		user, _, _ := strings.Cut(aor, "@")
		got = append(got, user)
		for _, b := range bindings {
			if b.Source() != phoneFlow.Remote || b.Flow().Local != phoneFlow.Local || b.CallID() != "call-"+user {
				t.Errorf("%s has %+v", aor, b.Record())
			}
		}
		return true
	})
	if text := strings.Join(got, " "); text != want {
		t.Fatalf("registered are %q, want %q", text, want)
	}
}

// wantStored checks who is in a file that nobody has open.
func wantStored(t testing.TB, path, want string) {
	t.Helper()
	b, err := store.OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var got []string
	if _, err := b.Range(t.Context(), bucketRegistrations, "", func(e storage.Entry) error {
		user, _, _ := strings.Cut(e.Key, "@")
		got = append(got, user)
		return nil
	}); err != nil {
		t.Fatal(err)
	}
	if text := strings.Join(got, " "); text != want {
		t.Fatalf("stored are %q, want %q", text, want)
	}
}

func TestRegistrationsSurviveAStop(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := file(filepath.Join(t.TempDir(), "sip.db"))
		e := newEngine(t)
		g := mustAttach(t, e, stored(s))
		register(t, e, "alice", 1, time.Hour)
		register(t, e, "bob", 1, time.Minute)
		register(t, e, "carol", 1, time.Hour)
		time.Sleep(time.Second)
		register(t, e, "alice", 2, 2*time.Hour)
		register(t, e, "carol", 2, 0)
		want := e.Location.Lookup([]byte("alice@example.com"), nil)[0].Record()
		e.Detach(g)

		time.Sleep(2 * time.Minute)
		e = newEngine(t)
		mustAttach(t, e, stored(s))
		wantUsers(t, e, "alice")
		if got := e.Location.Lookup([]byte("alice@example.com"), nil)[0].Record(); got != want {
			t.Fatalf("restored %+v\nwant     %+v", got, want)
		}
	})
}

func TestWhatExpiresIsDeleted(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "sip.db")
		e := newEngine(t)
		g := mustAttach(t, e, stored(file(path)))
		for i := range 20 {
			register(t, e, fmt.Sprintf("u%02d", i), 1, time.Duration(1+i)*time.Minute)
		}
		time.Sleep(18*time.Minute + 30*time.Second)
		n := 0
		_, err := e.Storage().Range(t.Context(), bucketRegistrations, "", func(storage.Entry) error { n++; return nil })
		if err != nil || n != 2 {
			t.Fatalf("%d are stored, %v", n, err)
		}
		e.Detach(g)
		wantStored(t, path, "u18 u19")
	})
}

func TestReloadKeepsTheStorageOpen(t *testing.T) {
	dir := t.TempDir()
	one, two := file(filepath.Join(dir, "one.db")), file(filepath.Join(dir, "two.db"))
	e := newEngine(t)
	g := mustAttach(t, e, stored(one))
	register(t, e, "alice", 1, time.Hour)
	for range 3 {
		next := mustAttach(t, e, stored(file(filepath.Join(dir, "one.db")))) // would be locked
		e.Detach(g)
		g = next
	}
	open := e.Storage()

	// Another storage gets what is in memory, the one before keeps what it had.
	next := mustAttach(t, e, stored(two))
	if e.Storage() == open {
		t.Fatal("the storage is still the one before")
	}
	register(t, e, "bob", 1, time.Hour)
	e.Detach(g)
	if _, err := open.Get(t.Context(), bucketRegistrations, "alice@example.com"); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("the storage that nobody wants: %v", err)
	}
	register(t, e, "alice", 2, 0)
	wantStored(t, filepath.Join(dir, "one.db"), "alice")
	g = next

	// What is in the one that comes back is restored beside what is in memory.
	next = mustAttach(t, e, stored(one))
	wantUsers(t, e, "alice bob")
	e.Detach(g)
	wantStored(t, filepath.Join(dir, "two.db"), "alice bob")
	e.Detach(next)
	e.Detach(next)
	wantUsers(t, e, "alice bob")
	if e.Storage() != nil {
		t.Fatal("there is a storage without a configuration")
	}
	if one.opened != 2 || two.opened != 1 {
		t.Fatalf("opened %d and %d times", one.opened, two.opened)
	}
}

// TestRollbackWritesWhereItWasBefore: a configuration that another app makes fail is detached
// before the one that it was to replace.
func TestRollbackWritesWhereItWasBefore(t *testing.T) {
	dir := t.TempDir()
	one, two := filepath.Join(dir, "one.db"), filepath.Join(dir, "two.db")
	e := newEngine(t)
	g := mustAttach(t, e, stored(file(one)))
	register(t, e, "alice", 1, time.Hour)
	register(t, e, "bob", 1, time.Hour)
	failing := mustAttach(t, e, stored(file(two)))
	register(t, e, "bob", 2, 0)
	register(t, e, "carol", 1, time.Hour)
	e.Detach(failing)
	register(t, e, "dave", 1, time.Hour)
	e.Detach(g)
	wantStored(t, one, "alice carol dave") // registrations are not rolled back
}

func TestMemoryIsNotWrittenTwice(t *testing.T) {
	e := newEngine(t)
	m := &countingStorage{name: "memory", open: func() (storage.Engine, error) { return store.NewMemory(), nil }}
	g := mustAttach(t, e, stored(m))
	register(t, e, "alice", 1, time.Hour)
	path := filepath.Join(t.TempDir(), "sip.db")
	next := mustAttach(t, e, stored(file(path)))
	e.Detach(g)
	e.Detach(next)
	wantStored(t, path, "alice")
	e.Detach(mustAttach(t, e, stored(nil))) // nowhere at all
}

func TestStorageThatCannotBeOpened(t *testing.T) {
	dir := t.TempDir()
	e := newEngine(t)
	g := mustAttach(t, e, stored(file(filepath.Join(dir, "sip.db"))))
	register(t, e, "alice", 1, time.Hour)
	open := e.Storage()
	failing := &countingStorage{name: "failing", open: func() (storage.Engine, error) { return nil, errors.New("no such luck") }}
	if err := e.Attach(stored(failing)); err == nil || !strings.Contains(err.Error(), "no such luck") {
		t.Fatalf("error is %v", err)
	}
	unreadable := &countingStorage{name: "unreadable", open: func() (storage.Engine, error) {
		m := store.NewMemory()
		return m, m.Close()
	}}
	if err := e.Attach(stored(unreadable)); !errors.Is(err, storage.ErrClosed) {
		t.Fatalf("error is %v", err)
	}

	// Nor is one kept open when the listeners cannot be opened.
	taken, err := net.ListenPacket("udp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	other := filepath.Join(dir, "other.db")
	address := Address{Network: transport.UDP, Addr: netip.MustParseAddrPort(taken.LocalAddr().String())}
	if err := e.Attach(stored(file(other), address)); err == nil {
		t.Fatal("a port that is taken was opened")
	}
	wantStored(t, other, "")

	if e.Storage() != open {
		t.Fatal("another storage is in force")
	}
	register(t, e, "bob", 1, time.Hour)
	e.Detach(g)
	wantStored(t, filepath.Join(dir, "sip.db"), "alice bob")
}

// TestOneDamagedRecord: what cannot be read is one user's.
func TestOneDamagedRecord(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	e := newEngine(t)
	g := mustAttach(t, e, stored(file(path)))
	register(t, e, "alice", 1, time.Hour)
	register(t, e, "bob", 1, time.Hour)
	e.Detach(g)
	b, err := store.OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := b.Write(t.Context(), storage.Batch{Changes: []storage.Change{
		{Bucket: bucketRegistrations, Key: "aaron@example.com", Value: []byte("nonsense")},
		{Bucket: bucketRegistrations, Key: "alice@example.com", Value: append([]byte{2}, bytes.Repeat([]byte{1}, 20)...)},
	}}); err != nil {
		t.Fatal(err)
	}
	b.Close()
	e = newEngine(t)
	mustAttach(t, e, stored(file(path)))
	wantUsers(t, e, "bob")
}

// TestManyRegistrations: all are there again, each once, though more are changed than one batch
// holds.
func TestManyRegistrations(t *testing.T) {
	path := filepath.Join(t.TempDir(), "sip.db")
	e := newEngine(t)
	g := mustAttach(t, e, stored(file(path)))
	const n = 10_000
	want := make([]string, n)
	for i := range n {
		want[i] = fmt.Sprintf("user%05d", i)
		register(t, e, want[i], 1, time.Hour)
		if i%3 == 0 {
			register(t, e, want[i], 2, time.Hour)
		}
	}
	e.Detach(g)
	e = newEngine(t)
	mustAttach(t, e, stored(file(path)))
	wantUsers(t, e, strings.Join(want, " "))
	for i, user := range want {
		cseq := uint32(1)
		if i%3 == 0 {
			cseq = 2
		}
		if b := e.Location.Lookup([]byte(user+"@example.com"), nil); len(b) != 1 || b[0].CSeq() != cseq {
			t.Fatalf("%s has %d bindings, CSeq %d", user, len(b), b[0].CSeq())
		}
	}
}
