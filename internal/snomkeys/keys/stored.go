package keys

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"math"
	"slices"
	"strings"
	"time"

	"go.uber.org/zap"

	"github.com/caddysip/caddysip/storage"
)

// bucket holds an entry for each address-of-record about which a layer says something: a JSON
// document.
const bucket = "keys"

// version is the version of the documents. Whoever changes their form raises it, and appends to
// upgrades a function that turns the previous form into the new one.
var version = 1

// upgrade turns a document of one version into one of the next.
type upgrade func(json.RawMessage) (json.RawMessage, error)

// upgrades are the upgrades in order; the first is from version 1.
var upgrades []upgrade

// document is what is stored.
type document struct {
	Version int           `json:"version"`
	Keys    []storedEntry `json:"keys"`
}

// maxLasts is the longest time in milliseconds that fits into a time.Duration.
const maxLasts = int64(math.MaxInt64 / time.Millisecond)

type storedEntry struct {
	Layer Layer `json:"layer"`
	Record
	Locked  bool  `json:"locked,omitempty"`
	Expires int64 `json:"expires,omitempty"` // in milliseconds since 1970, by the system's clock
	Lasts   int64 `json:"lasts,omitempty"`   // its ttl in milliseconds; 0: not known
}

// encode returns the change that stores the records of an address-of-record.
func (s *Store) encode(aor string, records []Stored) (storage.Change, error) {
	c := storage.Change{Bucket: bucket, Key: aor}
	if len(records) == 0 {
		return c, nil
	}
	d := document{Version: version}
	for i := range records {
		r := &records[i]
		e := storedEntry{Layer: r.Layer, Record: r.Record, Locked: r.Locked}
		if !r.Expires.IsZero() {
			expires := s.clock.ToWall(r.Expires)
			e.Expires, e.Lasts = expires.UnixMilli(), r.ttl.Milliseconds()
			if expires.After(c.Expires) {
				c.Expires = expires
			}
		}
		d.Keys = append(d.Keys, e)
	}
	if slices.ContainsFunc(records, func(r Stored) bool { return r.Expires.IsZero() }) {
		c.Expires = time.Time{}
	}
	var b bytes.Buffer
	encoder := json.NewEncoder(&b)
	encoder.SetEscapeHTML(false)
	if err := encoder.Encode(d); err != nil {
		return c, err
	}
	c.Value = bytes.TrimSuffix(b.Bytes(), []byte("\n"))
	return c, nil
}

// versionError is about a document of a later version, which must not be lost.
type versionError struct{ version int }

func (e *versionError) Error() string {
	return fmt.Sprintf(
		"it has version %d, which this version of caddysip does not know: %d is the latest that it does; use a newer caddysip, or another storage",
		e.version,
		version,
	)
}

// decode parses a document of this version or an older one. No record lasts longer than its ttl
// from now on: one that would was stored while the system's clock was ahead.
func (s *Store) decode(value []byte) ([]Stored, error) {
	var d document
	if err := json.Unmarshal(value, &d); err != nil || d.Version != version {
		d = document{}
		value, err := current(value)
		if err != nil {
			return nil, err
		}
		if err := json.Unmarshal(value, &d); err != nil {
			return nil, err
		}
	}
	now := s.clock.Now()
	records := make([]Stored, 0, len(d.Keys))
	for _, e := range d.Keys {
		if err := e.Validate(); err != nil {
			return nil, fmt.Errorf("key %d: %w", e.Key, err)
		}
		if e.Layer == Profile {
			return nil, fmt.Errorf("key %d: profiles are not stored", e.Key)
		}
		r := Stored{Record: e.Record, Layer: e.Layer, Locked: e.Locked}
		if e.Expires != 0 {
			r.Expires = s.clock.FromWall(time.UnixMilli(e.Expires))
			r.ttl = time.Duration(min(max(e.Lasts, 0), maxLasts)) * time.Millisecond
			latest := time.UnixMilli(now.Add(r.ttl).UnixMilli())
			if r.ttl > 0 && latest.Before(r.Expires) {
				r.Expires = latest
			}
		}
		records = append(records, r)
	}
	slices.SortFunc(records, order)
	return slices.CompactFunc(records, func(a, b Stored) bool { return order(a, b) == 0 }), nil
}

// current returns a document upgraded to this version.
func current(value json.RawMessage) (json.RawMessage, error) {
	var v struct {
		Version int `json:"version"`
	}
	if err := json.Unmarshal(value, &v); err != nil {
		return nil, err
	}
	if v.Version > version {
		return nil, &versionError{v.Version}
	}
	if v.Version < version-len(upgrades) {
		return nil, fmt.Errorf("it has version %d, which never was", v.Version)
	}
	for _, upgrade := range upgrades[len(upgrades)-(version-v.Version):] {
		next, err := upgrade(value)
		if err != nil {
			return nil, fmt.Errorf("bringing it up to date: %w", err)
		}
		value = next
	}
	return value, nil
}

// rewriteBatch is how many documents are written again at once.
const rewriteBatch = 256

// Rewrite stores everything with a ttl again. It is called when the system's clock has been set:
// stored records end by that clock.
func (s *Store) Rewrite(ctx context.Context) error {
	s.mu.RLock()
	aors := slices.Sorted(maps.Keys(s.expiry.byAOR))
	s.mu.RUnlock()
	for some := range slices.Chunk(aors, rewriteBatch) {
		if err := s.rewrite(ctx, some); err != nil {
			return fmt.Errorf("storing keys: %w", err)
		}
	}
	return nil
}

func (s *Store) rewrite(ctx context.Context, aors []string) error {
	changes := make([]Change, len(aors))
	for i := range aors {
		changes[i].AOR = aors[i]
	}
	defer s.lock(changes)()
	if s.engine == nil {
		return nil
	}
	now := s.clock.Now()
	batch := storage.Batch{Sync: true}
	for _, aor := range aors {
		c, err := s.encode(aor, durable(s.get(aor).live(now)))
		if err != nil {
			return err
		}
		batch.Changes = append(batch.Changes, c)
	}
	err := write(ctx, s.engine, batch)
	s.setUnsure(batch, err != nil)
	return err
}

// SwitchTo directs writing to e, and replaces what the store holds with what is stored there; nil
// turns writing off and keeps what the store holds. Volatile records stay. After an error nothing
// has changed.
func (s *Store) SwitchTo(e storage.Engine) error {
	use, err := s.Load(e)
	if err != nil {
		return err
	}
	use()
	return nil
}

// Load does the part of SwitchTo that can fail, reading e, and returns a function that does the
// rest. In between nothing else may write to e.
func (s *Store) Load(e storage.Engine) (use func(), err error) {
	s.stripes[0].Lock()
	same := s.engine == e
	s.stripes[0].Unlock()
	if same {
		return func() {}, nil
	}
	if e == nil {
		return func() { s.use(nil, nil) }, nil
	}
	aors := make(map[string]packed)
	now := s.clock.Now()
	_, err = e.Range(context.Background(), bucket, "", func(entry storage.Entry) error {
		records, err := s.decode(entry.Value)
		if v := new(versionError); errors.As(err, &v) {
			return fmt.Errorf("the keys of %s: %w", entry.Key, err)
		}
		if err != nil {
			s.logger().Error(
				"stored keys can't be read: they are lost when others are set",
				zap.String("aor", entry.Key),
				zap.Error(err),
			)
			return nil // the others are not
		}
		if p := pack(slices.DeleteFunc(records, func(r Stored) bool { return r.expired(now) })); p != "" {
			aors[strings.Clone(entry.Key)] = p
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("loading keys: %w", err)
	}
	return func() { s.use(e, aors) }, nil
}

// use makes e the engine, and aors the records held; nil keeps the records.
func (s *Store) use(e storage.Engine, aors map[string]packed) {
	for i := range s.stripes {
		s.stripes[i].Lock()
	}
	s.engine = e
	s.mu.Lock()
	clear(s.unsure)
	s.mu.Unlock()
	var changed []string
	if aors != nil {
		changed = s.replace(aors)
	}
	for i := range s.stripes {
		s.stripes[i].Unlock()
	}
	for _, aor := range changed {
		s.changed(change{aor: aor})
	}
}

// replace makes aors the records held, plus those that are volatile, and returns the
// addresses-of-record whose records have changed. The caller holds all stripes.
func (s *Store) replace(aors map[string]packed) (changed []string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := s.clock.Now()
	for aor, p := range s.aors {
		records := aors[aor].live(now)
		for r := range p.all() {
			if r.Volatile {
				at, found := slices.BinarySearchFunc(records, r, order)
				if found {
					records[at] = r
				} else {
					records = slices.Insert(records, at, r)
				}
			}
		}
		q := pack(records)
		delete(aors, aor)
		if q != p {
			s.set(aor, q)
			changed = append(changed, aor)
		}
	}
	for aor, p := range aors {
		s.set(aor, p)
		changed = append(changed, aor)
	}
	return changed
}
