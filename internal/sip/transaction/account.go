package transaction

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"github.com/caddysip/caddysip/internal/budget"
)

const (
	// size is what a transaction takes beside messages, with its places in tables.
	size = 700
	// accounts is how many sources are told apart. Which of them share a place nobody can choose.
	accounts = 1 << 12
	// fewest is how many transactions one source may have, at least.
	fewest = 64
)

// account is what the transactions of one source hold: those that it began, and those that forward them.
type account struct{ transactions, bytes atomic.Int64 }

// account returns the account of a source, that of an IPv6 host's whole /64. It is an array, for there must be no lock.
func (t *Table) account(source netip.Addr) *account {
	source = source.WithZone("")
	if source.Is6() {
		prefix, _ := source.Prefix(64)
		source = prefix.Addr()
	}
	return &t.accounts[maphash.Comparable(t.seed, source)%accounts]
}

// take takes the memory of a transaction that is made. One that need not be is refused when there is no room, or when its
// source has half of all room already: what is left is for others. Who is trusted may have it all, and a request that was
// let in is forwarded.
func (c *core) take(limited bool) bool {
	t, n := c.table, size+len(c.key)+c.held
	if limited && c.key[0] != clientKey && t.crowded(c) || limited && !t.opts.Budget.Take(budget.Transactions, n) {
		return false
	}
	if !limited {
		t.opts.Budget.Force(budget.Transactions, n)
	}
	if c.account != nil {
		c.account.transactions.Add(1)
		c.account.bytes.Add(int64(n))
	}
	return true
}

// crowded reports whether a transaction's source has so many that it gets no more.
func (t *Table) crowded(c *core) bool {
	room := t.opts.Budget.Share(budget.Transactions)
	over := room > 0 && c.account.bytes.Load() > room/2
	if l := c.flow.Listener; !over && l != nil {
		n := l.Limits().Transactions
		over = n > 0 && c.account.transactions.Load() >= int64(max(n/2, fewest))
	}
	if !over {
		return false
	}
	limits := c.flow.Limits()
	return limits.Trusted == nil || !limits.Trusted.Contains(c.flow.Remote.Addr())
}

// give gives back what take took, and what hold added.
func (c *core) give() {
	n := size + len(c.key) + c.held
	c.table.opts.Budget.Give(budget.Transactions, n)
	if c.account != nil {
		c.account.transactions.Add(-1)
		c.account.bytes.Add(int64(-n))
	}
}

// keep makes b the message that is sent again, and accounts for it: it belongs to what is there already, so there is
// always room.
func (c *core) keep(b []byte) {
	c.hold(len(b) - len(c.message))
	c.message = b
}

// hold accounts for n more bytes; a negative n gives some back.
func (c *core) hold(n int) {
	c.held += n
	c.table.opts.Budget.Force(budget.Transactions, n)
	if c.account != nil {
		c.account.bytes.Add(int64(n))
	}
}
