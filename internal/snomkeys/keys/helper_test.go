package keys

import (
	"context"
	"errors"
	"path/filepath"
	"reflect"
	"sync"
	"testing"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/internal/store"
	"github.com/caddysip/caddysip/storage"
)

const alice, bob = "alice@example.com", "bob@example.com"

// engines are the storages that everything is tested with.
var engines = map[string]func(t testing.TB) storage.Engine{
	"memory": func(t testing.TB) storage.Engine { return closing(t, store.NewMemory()) },
	"bolt":   func(t testing.TB) storage.Engine { return openBolt(t, filepath.Join(t.TempDir(), "sip.db")) },
}

func openBolt(t testing.TB, path string) storage.Engine {
	t.Helper()
	b, err := store.OpenBolt(path)
	if err != nil {
		t.Fatal(err)
	}
	return closing(t, b)
}

func closing(t testing.TB, e storage.Engine) storage.Engine {
	t.Cleanup(func() { _ = e.Close() })
	return e
}

// recorder is whom a store tells what has changed.
type recorder struct {
	mu   sync.Mutex
	aors []string
}

func (r *recorder) add(aor string, _ ...int) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.aors = append(r.aors, aor)
}

// take returns what was told since the last time.
func (r *recorder) take() []string {
	r.mu.Lock()
	defer r.mu.Unlock()
	aors := r.aors
	r.aors = nil
	return aors
}

// start returns a store that uses e, and whom it tells.
func start(t testing.TB, e storage.Engine, registered ...string) (*Store, *recorder) {
	t.Helper()
	r := new(recorder)
	s := New(Options{
		OnChange: r.add,
		Registered: func(f func(string)) {
			for _, aor := range registered {
				f(aor)
			}
		},
		Logger: zap.NewNop,
	})
	t.Cleanup(s.Close)
	if err := s.SwitchTo(e); err != nil {
		t.Fatal(err)
	}
	r.take()
	return s, r
}

func mustApply(t testing.TB, s *Store, changes ...Change) {
	t.Helper()
	if err := s.Apply(context.Background(), changes); err != nil {
		t.Fatal(err)
	}
}

// label is a record that is told apart by its label.
func label(key int, text string) *Record { return &Record{Key: key, Light: "on", Label: text} }

// shows compares what the keys of a phone should show, by key and label.
func shows(t *testing.T, s *Store, aor string, want map[int]string) {
	t.Helper()
	got := make(map[int]string)
	for _, e := range s.Effective(aor, Phone{}) {
		got[e.Key] = e.Label
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s shows %v, want %v", aor, got, want)
	}
}

// failing is an engine that can be made to refuse.
type failing struct {
	storage.Engine
	mu     sync.Mutex
	err    error
	writes int
	sync   bool // the last write was
	lands  bool // what is refused is made all the same, as when only the last of it could not be synced
}

var errFull = errors.New("no space left on device")

func (f *failing) fail(err error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.err = err
}

func (f *failing) Write(ctx context.Context, b storage.Batch) ([]uint64, error) {
	f.mu.Lock()
	f.writes++
	f.sync = b.Sync
	err, lands := f.err, f.lands
	f.mu.Unlock()
	if err != nil && lands {
		_, _ = f.Engine.Write(ctx, b)
	}
	if err != nil {
		return nil, err
	}
	return f.Engine.Write(ctx, b)
}
