package delivery

import "github.com/caddysip/caddysip/internal/budget"

// maxAbsent is how many users without a phone are remembered. Who has been away for longest is
// forgotten first: a phone of his that is back gets all its keys again, and one that was to be put
// out meanwhile stays as it is.
const maxAbsent = 50_000

// What a user, a phone and a key take.
const (
	userCost     = 272
	phoneCost    = 272
	keyCost      = 16
	leftoverCost = 80
)

// absentees are users without a phone, in the order in which their last one went. One that has a
// phone again is passed over.
type absentees struct {
	list  []absentee
	head  int
	max   int    // how many there may be
	count int    // of those in the list that are absent still
	last  uint64 // number
}

type absentee struct {
	user   *user
	number uint64
}

// note has a user be absent, or not any more.
func (a *absentees) note(u *user, absent bool) {
	switch {
	case absent == (u.absent != 0):
	case absent:
		a.last++
		u.absent = a.last
		a.count++
		if a.head > 64 && a.head > len(a.list)/2 || len(a.list) > 2*a.count+64 {
			a.compact()
		}
		a.list = append(a.list, absentee{u, u.absent})
	default:
		u.absent = 0
		a.count--
	}
}

// compact drops those that are passed over.
func (a *absentees) compact() {
	kept := a.list[:0]
	for _, e := range a.list[a.head:] {
		if e.user.absent == e.number {
			kept = append(kept, e)
		}
	}
	clear(a.list[len(kept):])
	a.list, a.head = kept, 0
}

// oldest returns who has been absent for longest, nil when nobody is.
func (a *absentees) oldest() *user {
	for ; a.head < len(a.list); a.head++ {
		if e := a.list[a.head]; e.user.absent == e.number {
			return e.user
		}
		a.list[a.head] = absentee{}
	}
	a.list, a.head = nil, 0
	return nil
}

// account counts what is known of a user, and makes room for it. The caller holds the lock.
func (d *Delivery) account(u *user) {
	cost, known := 0, d.users[u.aor] == u
	if known {
		cost = userCost + len(u.aor) + 2*cap(u.recent)
		for i := range u.leftovers {
			cost += leftoverCost + 2*cap(u.leftovers[i].keys)
		}
		for _, p := range u.phones {
			cost += phoneCost + keyCost*cap(p.keys)
		}
	}
	d.absent.note(u, known && len(u.phones) == 0)
	for d.absent.count > d.absent.max {
		d.forgetAbsent(d.absent.oldest())
	}
	if d.users[u.aor] != u {
		cost = 0 // it was the oldest itself
	}
	// Phones that are there are as many as the registrar takes, and their keys as many as somebody
	// has set: there is always room.
	for cost > u.cost && !d.options.Budget.Take(budget.Keys, cost-u.cost) {
		oldest := d.absent.oldest()
		if oldest == nil || oldest == u {
			d.options.Budget.Force(budget.Keys, cost-u.cost)
			break
		}
		d.forgetAbsent(oldest)
	}
	if cost < u.cost {
		d.options.Budget.Release(budget.Keys, u.cost-cost)
	}
	u.cost = cost
}

// forgetAbsent forgets a user without a phone.
func (d *Delivery) forgetAbsent(u *user) {
	d.forgetUser(u)
	d.options.Budget.Release(budget.Keys, u.cost)
	u.cost = 0
	d.absent.note(u, false)
	d.behind.Mark(u.aor)
}

func (d *Delivery) forgetUser(u *user) {
	if d.users[u.aor] == u {
		delete(d.users, u.aor)
	}
	for i := range u.leftovers {
		if device := u.leftovers[i].device; d.leftovers[device] == u {
			delete(d.leftovers, device)
		}
	}
}
