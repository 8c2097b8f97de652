package domains

import (
	"context"
	"maps"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// maxAliases is how many names from requests are remembered. One more replaces another.
	maxAliases = 64
	// aliasLifetime is how long a name is remembered. When it is used after that, it is looked up
	// again.
	aliasLifetime = 10 * time.Minute
	// maxReverse is for how many addresses the names are looked up, one after the other, within
	// reverseTimeout.
	maxReverse     = 16
	reverseTimeout = 10 * time.Second
)

// Aliases are names that lead to addresses we listen on. The zero value has none, and is safe for
// concurrent use.
type Aliases struct {
	mu sync.Mutex // held while all is replaced
	// The names in lower case, and how long each is remembered; zero time: forever.
	all atomic.Pointer[map[string]time.Time]
}

// Alias reports whether a host is one of the names.
func (a *Aliases) Alias(host []byte) bool {
	all := a.all.Load()
	if all == nil {
		return false
	}
	until, ok := (*all)[string(host)]
	if !ok {
		until, ok = (*all)[strings.ToLower(string(host))]
	}
	return ok && (until.IsZero() || time.Now().Before(until))
}

// Remember adds a name that was found to lead to us, for a while.
func (a *Aliases) Remember(name string) { a.add(name, time.Now().Add(aliasLifetime)) }

// keep adds a name forever.
func (a *Aliases) keep(name string) { a.add(name, time.Time{}) }

func (a *Aliases) add(name string, until time.Time) {
	name = strings.ToLower(strings.TrimSuffix(name, "."))
	a.mu.Lock()
	defer a.mu.Unlock()
	var all map[string]time.Time
	if p := a.all.Load(); p != nil {
		all = maps.Clone(*p)
	} else {
		all = make(map[string]time.Time)
	}
	if old, ok := all[name]; ok && old.IsZero() {
		return
	}
	now, learned := time.Now(), 0
	maps.DeleteFunc(all, func(_ string, t time.Time) bool { return !t.IsZero() && !now.Before(t) })
	for _, t := range all {
		if !t.IsZero() {
			learned++
		}
	}
	for other, t := range all {
		if learned < maxAliases || until.IsZero() {
			break
		}
		if !t.IsZero() {
			delete(all, other)
			learned--
		}
	}
	all[name] = until
	a.all.Store(&all)
}

// resolver is a *net.Resolver.
type resolver interface {
	LookupAddr(ctx context.Context, addr string) (names []string, err error)
	LookupNetIP(ctx context.Context, network, host string) ([]netip.Addr, error)
}

// FindNames looks up the names of our addresses, and adds those that lead back to us: phones may
// know the server by one of them. It returns when it is done, or ctx is.
func (s *Set) FindNames(ctx context.Context) { s.findNames(ctx, net.DefaultResolver) }

func (s *Set) findNames(ctx context.Context, dns resolver) {
	ctx, cancel := context.WithTimeout(ctx, reverseTimeout)
	defer cancel()
	addrs := slices.SortedFunc(maps.Keys(s.addrs), netip.Addr.Compare)
	for _, a := range addrs[:min(len(addrs), maxReverse)] {
		names, _ := dns.LookupAddr(ctx, a.String())
		for _, name := range names[:min(len(names), maxReverse)] {
			back, _ := dns.LookupNetIP(ctx, "ip", name)
			if slices.ContainsFunc(back, func(b netip.Addr) bool { return s.addrs[b.Unmap()] }) {
				s.keep(name)
			}
		}
	}
}
