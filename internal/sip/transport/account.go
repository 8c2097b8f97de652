package transport

import (
	"net/netip"
	"sync/atomic"

	"github.com/caddysip/caddysip/internal/budget"
)

const (
	// connSize is the number of bytes that an idle connection takes: its buffer, the stack of its
	// goroutine, its entries in tables.
	connSize = 6 << 10
	// connAllowance is how many bytes a connection may hold for reading, and again for writing,
	// whatever its source holds already: enough for an ordinary message, so that one attacker in an
	// office does not silence the others there.
	connAllowance = 4 << 10
	// maxPerSource is how many bytes the connections of one source may hold beyond that.
	maxPerSource = 16 << 20
)

// account counts what all connections of one source hold.
type account struct {
	conns int          // guarded by the lock of conns
	bytes atomic.Int64 // beyond each connection's connAllowance
}

// openAccount counts a connection in the account of its source.
func (t *conns) openAccount(from netip.Addr) *account {
	a := t.accounts[from]
	if a == nil {
		a = new(account)
		t.accounts[from] = a
	}
	a.conns++
	return a
}

// closeAccount undoes openAccount.
func (t *conns) closeAccount(from netip.Addr) {
	a := t.accounts[from]
	if a.conns--; a.conns == 0 {
		delete(t.accounts, from)
	}
}

// perSource returns how many bytes the connections of one source may hold now.
func (m *Manager) perSource() int64 {
	if ceiling := m.opts.Budget.Ceiling(); ceiling > 0 {
		return min(maxPerSource, ceiling/16)
	}
	return maxPerSource
}

// resize accounts for a connection that holds now bytes instead of before. It returns false, and
// changes nothing, if there is no room for more.
func (c *Conn) resize(k budget.Kind, before, now int) bool {
	b := c.m.opts.Budget
	more := int64(max(0, now-connAllowance) - max(0, before-connAllowance))
	if more <= 0 {
		c.account.bytes.Add(more)
		b.Force(k, now-before)
		return true
	}
	if c.account.bytes.Add(more) > c.m.perSource() || !b.Take(k, now-before) {
		c.account.bytes.Add(-more)
		c.m.opts.Dropped(DropMemory)
		return false
	}
	return true
}
