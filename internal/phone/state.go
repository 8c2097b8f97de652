package phone

import (
	"context"
	"fmt"
	"maps"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// State is what the phone shows.
type State struct {
	Registered bool

	// Keys are the keys that have been set, by name. A light that was not
	// given is off and an action invite, as on the phone.
	Keys map[string]buttons.Button

	// KeyChanges counts how often a key has been set, to the same values too.
	KeyChanges int
}

// State returns the phone's state. It is the caller's.
func (p *Phone) State() State {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.state.clone()
}

func (s State) clone() State {
	s.Keys = maps.Clone(s.Keys)
	return s
}

// Wait returns when ok is true of the phone's state, now or after a change. If ctx or the phone
// ends before, it returns an error that contains the state, and wraps ctx's error or ErrClosed.
func (p *Phone) Wait(ctx context.Context, ok func(State) bool) error {
	err := p.wait(ctx, func() bool { return ok(p.state.clone()) })
	if err != nil {
		return fmt.Errorf("waiting for the phone, which is at %+v: %w", p.State(), err)
	}
	return nil
}

// wait returns when ok is true, which it calls with p.mu held.
func (p *Phone) wait(ctx context.Context, ok func() bool) error {
	for {
		p.mu.Lock()
		good, changed, closed := ok(), p.changed, p.closed
		p.mu.Unlock()
		switch {
		case good:
			return nil
		case closed:
			return ErrClosed
		}
		select {
		case <-changed:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
}

// notify wakes everybody in wait. p.mu is held.
func (p *Phone) notify() {
	close(p.changed)
	p.changed = make(chan struct{})
}
