package quota

import "sync"

// Quota is a number of slots. It is safe for concurrent use.
type Quota struct {
	max, each int

	mu    sync.Mutex
	taken int
	users map[string]int
}

// New returns a quota of max slots, of which one user may have each at most.
func New(max, each int) *Quota {
	return &Quota{max: max, each: each, users: make(map[string]int)}
}

// Take takes a slot for a user, and reports whether there was one. The fewer slots are free, the
// fewer one user may have: never more than are left for others. The user "" is bounded by max
// alone.
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

// Give returns a slot that Take took.
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

// Taken returns how many slots are taken.
func (q *Quota) Taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}
