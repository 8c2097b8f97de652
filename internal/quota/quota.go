package quota

import "sync"

// Quota is a number of slots. It is safe for concurrent use.
type Quota struct {
	max, each int

	mu    sync.Mutex
	taken int
	users map[string]int
}

// New returns a quota of max slots, of which one user may take at most each.
func New(max, each int) *Quota {
	return &Quota{max: max, each: each, users: make(map[string]int)}
}

// Take takes a slot for a user, and reports whether there was one. The fewer slots are free, the
// fewer one user may have: never more than are free for others. The user "" is limited by max
// alone.
func (q *Quota) Take(user string) bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	free, has := q.max-q.taken, q.users[user]
	if free <= 0 || user != "" && has > 0 && (has >= q.each || has >= free) {
		return false
	}
	q.taken++
	if user != "" {
		q.users[user] = has + 1
	}
	return true
}

// Release returns a slot that Take took.
func (q *Quota) Release(user string) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.taken--
	if user == "" {
		return
	}
	if q.users[user]--; q.users[user] == 0 {
		delete(q.users, user)
	}
}

// Taken returns how many slots are taken.
func (q *Quota) Taken() int {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.taken
}
