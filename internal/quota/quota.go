// Package quota divides a bounded number of places among users, so that one of them, or a few, cannot take all.
package quota

import "sync"

// Quota is a number of places. It is safe for concurrent use.
type Quota struct {
	max, each int

	mu    sync.Mutex
	taken int
	users map[string]int
}

// New returns max places, of which a user has each at most.
func New(max, each int) *Quota {
	return &Quota{max: max, each: each, users: make(map[string]int)}
}

// Take takes a place for a user, and reports whether there was one. The fewer are free the fewer one user may have: never
// more than are left for others. Nobody, "", is bound by the number of places alone.
func (q *Quota) Take(who string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	free, has := q.max-q.taken, q.users[who]
	if free <= 0 || who != "" && has > 0 && (has >= q.each || has >= free) {
		return false
	}
	q.taken++
	if who != "" {
		q.users[who] = has + 1
	}
	return true
}

// Give gives back a place that Take took.
func (q *Quota) Give(who string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	if who == "" {
		return
	}
	if q.users[who]--; q.users[who] == 0 {
		delete(q.users, who)
	}
}

// Taken returns how many places are taken.
func (q *Quota) Taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}
