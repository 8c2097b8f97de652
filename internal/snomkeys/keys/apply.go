package keys

import (
	"context"
	"fmt"
	"hash/maphash"
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/storage"
)

// Change sets or deletes what a layer says about a key of an address-of-record.
type Change struct {
	AOR   string
	Layer Layer // not Profile, which is the configuration's

	Record *Record // nil: the layer says nothing about Key any more
	Key    int     // may be left out where there is a Record

	Locked   bool          // users can't change it; only of the admin layer
	Volatile bool          // it is not stored, and goes with the process; only of the event layer: for what belongs to a call
	TTL      time.Duration // after which it ends by itself, also while no server runs; 0: never

	// Replace deletes everything that the layer says about the address-of-record before. Without a
	// Record and a Key that is all.
	Replace bool

	// Expect is the Revision that the address-of-record must have before the first of the changes,
	// or else none is made; empty: any.
	Expect string
}

// ChangeError says which of several changes is not possible, and why. Err is a *FieldError or
// ErrConflict.
type ChangeError struct {
	Index int // in what was given to Apply
	AOR   string
	Err   error
}

func (e *ChangeError) Error() string { return fmt.Sprintf("%s: %v", e.AOR, e.Err) }

func (e *ChangeError) Unwrap() error { return e.Err }

// Check returns a *FieldError if the change is not possible.
func (c *Change) Check() error {
	refuse := func(field, reason string) error { return &FieldError{Field: field, Reason: reason} }
	switch {
	case c.AOR == "" || len(c.AOR) > storage.MaxKey:
		return refuse(
			"aor",
			fmt.Sprintf("has %d bytes, 1 to %d are possible", len(c.AOR), storage.MaxKey),
		)
	case c.Layer != Admin && c.Layer != User && c.Layer != Event:
		return refuse(
			"layer",
			"must be one of admin user event: profiles are changed in the configuration",
		)
	case c.Locked && c.Layer != Admin:
		return refuse("locked", "is possible in the admin layer alone")
	case c.Volatile && c.Layer != Event:
		return refuse("volatile", "is possible in the event layer alone")
	case c.TTL < 0:
		return refuse("ttl", "must not be negative")
	case c.Record != nil && c.Key != 0 && c.Key != c.Record.Key:
		return refuse("key", fmt.Sprintf("is %d here and %d there", c.Key, c.Record.Key))
	case c.Record != nil:
		return c.Record.Validate()
	case c.Key == 0 && c.Replace:
		return nil
	}
	return Record{Key: c.Key}.Validate()
}

// writeTime is how long a write to the storage may take.
const writeTime = 10 * time.Second

// ErrHangs means that the storage has not answered within 10 seconds.
var ErrHangs = fmt.Errorf("it did not answer within %v", writeTime)

// Apply makes all changes in their order, or none of them if it returns an error: a *ChangeError
// for a change that is not possible, or the storage's error. The changes are in the storage when it
// returns, and survive a power cut. After ErrHangs the storage may still make the changes; then a
// restart shows them.
func (s *Store) Apply(ctx context.Context, changes []Change) error {
	for i := range changes {
		if err := changes[i].Check(); err != nil {
			return &ChangeError{i, changes[i].AOR, err}
		}
	}
	changed, err := s.apply(ctx, changes)
	if err != nil {
		return err
	}
	s.changed(changed...)
	return nil
}

func (s *Store) apply(ctx context.Context, changes []Change) (changed []change, err error) {
	defer s.lock(changes)()
	now := s.clock.Now()
	plans, err := s.plan(changes, now)
	if err != nil {
		return nil, err
	}
	after := make(map[string]packed)
	var batch storage.Batch
	for _, p := range plans {
		after[p.aor] = pack(p.records)
		same := after[p.aor] == pack(p.before)
		if same {
			delete(after, p.aor)
		} else {
			changed = append(changed, change{p.aor, changedKeys(p.before, p.records)})
		}
		if s.engine == nil ||
			(same || pack(durable(p.records)) == pack(durable(p.before))) && !s.isUnsure(p.aor) {
			continue
		}
		c, err := s.encode(p.aor, durable(p.records))
		if err != nil {
			return nil, err
		}
		batch.Changes = append(batch.Changes, c)
	}
	more := 0
	for aor, p := range after {
		more += costOf(aor, p) - costOf(aor, s.get(aor))
	}
	if more > 0 {
		if !s.options.Budget.Take(budget.Keys, more) {
			return nil, ErrFull
		}
		defer s.options.Budget.Release(budget.Keys, more) // set counts for itself
	}
	if len(batch.Changes) > 0 {
		batch.Sync = true
		if err := write(ctx, s.engine, batch); err != nil {
			s.setUnsure(batch, true)
			return nil, fmt.Errorf("storing keys: %w", err)
		}
		s.setUnsure(batch, false)
	}
	s.mu.Lock()
	for aor, p := range after {
		s.set(aor, p)
	}
	s.mu.Unlock()
	return changed, nil
}

// isUnsure reports whether the storage may hold something else about an address-of-record than
// memory: a write has failed or not ended, and what it wrote may be there or get there. Then even a
// change that changes nothing is written before it is acknowledged, since a restart must find it.
func (s *Store) isUnsure(aor string) bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	_, unsure := s.unsure[aor]
	return unsure
}

// setUnsure records whether isUnsure holds for the addresses-of-record of a batch.
func (s *Store) setUnsure(batch storage.Batch, unsure bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for i := range batch.Changes {
		if unsure {
			s.unsure[batch.Changes[i].Key] = struct{}{}
		} else {
			delete(s.unsure, batch.Changes[i].Key)
		}
	}
}

// write writes to the storage. It does not wait for ever for a disk that hangs, so that neither a
// reload nor a stop does.
func write(ctx context.Context, e storage.Engine, batch storage.Batch) error {
	done := make(chan error, 1)
	go func() {
		_, err := e.Write(ctx, batch)
		done <- err
	}()
	timer := time.NewTimer(writeTime)
	defer timer.Stop()
	select {
	case err := <-done:
		return err
	case <-timer.C:
		return ErrHangs
	}
}

// plan is the outcome of the changes for one address-of-record.
type plan struct {
	aor             string
	before, records []Stored // without what has expired
}

// plan computes the outcome of the changes.
func (s *Store) plan(changes []Change, now time.Time) ([]*plan, error) {
	var list []*plan
	byAOR := make(map[string]*plan)
	for i := range changes {
		c := &changes[i]
		p := byAOR[c.AOR]
		if p == nil {
			p = &plan{aor: c.AOR, before: s.get(c.AOR).live(now)}
			p.records = slices.Clone(p.before)
			byAOR[c.AOR] = p
			list = append(list, p)
		}
		if c.Expect != "" && c.Expect != revision(p.before) {
			return nil, &ChangeError{i, c.AOR, ErrConflict}
		}
		p.make(c, now)
	}
	return list, nil
}

// make applies one change.
func (p *plan) make(c *Change, now time.Time) {
	if c.Replace {
		p.records = slices.DeleteFunc(p.records, func(r Stored) bool { return r.Layer == c.Layer })
	}
	r := Stored{Layer: c.Layer, Locked: c.Locked, Volatile: c.Volatile}
	r.Key = c.Key
	if c.Record != nil {
		r.Record = *c.Record
	}
	if c.TTL > 0 {
		// As they are stored.
		r.Expires = time.UnixMilli(now.Add(c.TTL).UnixMilli())
		r.ttl = max(c.TTL.Truncate(time.Millisecond), time.Millisecond)
	}
	if r.Key == 0 {
		return
	}
	at, found := slices.BinarySearchFunc(p.records, r, order)
	switch {
	case c.Record == nil && found:
		p.records = slices.Delete(p.records, at, at+1)
	case c.Record == nil:
	case found:
		p.records[at] = r
	default:
		p.records = slices.Insert(p.records, at, r)
	}
}

// durable returns the records that are to be stored.
func durable(records []Stored) []Stored {
	if !slices.ContainsFunc(records, func(r Stored) bool { return r.Volatile }) {
		return records
	}
	return slices.DeleteFunc(slices.Clone(records), func(r Stored) bool { return r.Volatile })
}

// lock locks the stripes of all the addresses-of-record, always in the same order, and returns a
// function that unlocks them.
func (s *Store) lock(changes []Change) (unlock func()) {
	var wanted [len(s.stripes)]bool
	for i := range changes {
		wanted[maphash.String(s.seed, changes[i].AOR)%uint64(len(wanted))] = true
	}
	for i := range wanted {
		if wanted[i] {
			s.stripes[i].Lock()
		}
	}
	return func() {
		for i := range wanted {
			if wanted[i] {
				s.stripes[i].Unlock()
			}
		}
	}
}
