package transaction

import (
	"hash/maphash"
	"net/netip"
	"sync/atomic"

	"github.com/caddysip/caddysip/internal/budget"
	"github.com/caddysip/caddysip/internal/ipset"
)

const (
	// transactionSize is the number of bytes that a transaction takes beside its messages, its
	// entries in tables included.
	transactionSize = 700
	// accounts is the number of accounts. Nobody can choose which sources share one.
	accounts = 1 << 12
	// minPerSource is the number of transactions that one source may always have, whatever the
	// limit in all.
	minPerSource = 64
)

// account counts what the transactions of one source take: those that it began, and those that
// forward them.
type account struct{ transactions, bytes atomic.Int64 }

// account returns the account of a source. It is in an array, so that no lock is needed.
func (t *Table) account(addr netip.Addr) *account {
	return &t.accounts[maphash.Comparable(t.seed, ipset.Source(addr).Addr())%accounts]
}

// take reserves the memory of a new transaction and reports whether there was room. With limited it
// is refused when there is none, or when its source has half of all already: the rest is for
// others. Trusted sources may have it all, and a request that was let in is forwarded.
func (c *core) take(limited bool) bool {
	t, n := c.table, transactionSize+len(c.key)+c.messageBytes
	if limited && c.key[0] != clientKey && t.overShare(c) || limited && !t.opts.Budget.Take(budget.Transactions, n) {
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

// overShare reports whether the source of a transaction has so many that it gets no more.
func (t *Table) overShare(c *core) bool {
	room := t.opts.Budget.Share(budget.Transactions)
	over := room > 0 && c.account.bytes.Load() > room/2
	if l := c.flow.Listener; !over && l != nil {
		n := l.Limits().Transactions
		over = n > 0 && c.account.transactions.Load() >= int64(max(n/2, minPerSource))
	}
	if !over {
		return false
	}
	limits := c.flow.Limits()
	return limits.Trusted == nil || !limits.Trusted.Contains(c.flow.Remote.Addr())
}

// give returns what take and hold have reserved.
func (c *core) give() {
	n := transactionSize + len(c.key) + c.messageBytes
	c.table.opts.Budget.Release(budget.Transactions, n)
	if c.account != nil {
		c.account.transactions.Add(-1)
		c.account.bytes.Add(int64(-n))
	}
}

// keep makes b the message that is sent again, and accounts for it. There is always room, because
// the transaction is there already.
func (c *core) keep(b []byte) {
	c.hold(len(b) - len(c.message))
	c.message = b
}

// hold accounts for n more bytes, or fewer if n is negative.
func (c *core) hold(n int) {
	c.messageBytes += n
	c.table.opts.Budget.Force(budget.Transactions, n)
	if c.account != nil {
		c.account.bytes.Add(int64(n))
	}
}
