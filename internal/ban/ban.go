package ban

import (
	"container/heap"
	"encoding/binary"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/caddysip/caddysip/internal/clock"
	"github.com/caddysip/caddysip/internal/ipset"
)

// DefaultMax is the default of Options.Max. That many bans take about 30 MB.
const DefaultMax = 100_000

// Entry is a ban.
type Entry struct {
	Source netip.Prefix // what is banned
	Reason string
	Since  time.Time
	Until  time.Time
}

// Options are the options of a List. The zero value has the defaults.
type Options struct {
	// Max is how many bans are held. One more removes the ban that ends first. Default 100,000.
	Max int
	// OnBan is called after each ban has taken effect; it may be nil. It must not call the List.
	OnBan func(source netip.Prefix)
}

// List is a set of banned sources. A look-up takes one atomic load while the list is empty, and
// never waits for a change of another shard. Expired bans are ignored, and removed by the next
// change or listing.
type List struct {
	opts Options
	size atomic.Int64
	// The lengths of banned prefixes, IPv4 and IPv6: seldom more than one of each.
	lengths [2]atomic.Pointer[[]uint8]
	shards  [shards]shard

	mu     sync.Mutex // held to change the list
	order  byEnd
	counts [2][129]int // bans by the length of their prefix
}

const shards = 32

type shard struct {
	mu   sync.RWMutex
	bans map[netip.Prefix]*ban
}

// ban is immutable except for its heap index, which List.mu guards.
type ban struct {
	Entry
	index int
}

// shown returns the entry with its times by the system's clock as it is now. If that has been set
// since, the ban still lasts as long as it was meant to.
func (b *ban) shown(now time.Time) Entry {
	e := b.Entry
	set := now.Round(0).Sub(e.Since.Round(0)) - now.Sub(e.Since)
	if set.Abs() >= clock.Tolerance {
		e.Since, e.Until = e.Since.Add(set), e.Until.Add(set)
	}
	return e
}

// New returns an empty list.
func New(opts Options) *List {
	if opts.Max <= 0 {
		opts.Max = DefaultMax
	}
	l := &List{opts: opts}
	for i := range l.shards {
		l.shards[i].bans = make(map[netip.Prefix]*ban)
	}
	return l
}

// Ban bans the source of an address for d, unless a ban that ends later is in force. It reports
// whether the source was not banned before.
func (l *List) Ban(addr netip.Addr, d time.Duration, reason string) bool {
	return l.set(ipset.Source(addr), d, reason, true)
}

// Set bans a prefix for d, replacing any ban of it, and reports whether it was not banned before.
func (l *List) Set(source netip.Prefix, d time.Duration, reason string) bool {
	return l.set(Canonical(source), d, reason, false)
}

func (l *List) set(source netip.Prefix, d time.Duration, reason string, keepLonger bool) bool {
	if !source.IsValid() || d <= 0 {
		return false
	}
	now := time.Now()
	b := &ban{Entry: Entry{Source: source, Reason: reason, Since: now, Until: now.Add(d)}}
	l.mu.Lock()
	l.prune(now)
	old := l.get(source)
	if old != nil {
		if keepLonger && !old.Until.Before(b.Until) {
			l.mu.Unlock()
			return false
		}
		b.Since = old.Since
		l.remove(old)
	}
	l.add(b)
	if len(l.order) > l.opts.Max {
		l.remove(l.order[0])
	}
	l.mu.Unlock()
	if l.opts.OnBan != nil {
		l.opts.OnBan(source)
	}
	return old == nil
}

// Unban ends the ban of the source of an address, and reports whether there was one.
func (l *List) Unban(addr netip.Addr) bool { return l.Remove(ipset.Source(addr)) }

// Remove ends the ban of a prefix, but not those of prefixes that contain it or are part of it. It
// reports whether there was one.
func (l *List) Remove(source netip.Prefix) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(time.Now())
	b := l.get(Canonical(source))
	if b == nil {
		return false
	}
	l.remove(b)
	return true
}

// Banned reports whether an address is banned. It allocates nothing.
func (l *List) Banned(addr netip.Addr) bool {
	if l.size.Load() == 0 {
		return false
	}
	addr = addr.Unmap()
	lengths := l.lengths[family(addr)].Load()
	if lengths == nil {
		return false
	}
	for _, bits := range *lengths {
		p, err := addr.Prefix(int(bits))
		if err != nil {
			continue
		}
		if b := l.get(p); b != nil && time.Now().Before(b.Until) {
			return true
		}
	}
	return false
}

// Get returns the ban of exactly this prefix.
func (l *List) Get(source netip.Prefix) (Entry, bool) {
	b := l.get(Canonical(source))
	now := time.Now()
	if b == nil || !now.Before(b.Until) {
		return Entry{}, false
	}
	return b.shown(now), true
}

// All returns the bans, sorted by source.
func (l *List) All() []Entry {
	l.mu.Lock()
	now := time.Now()
	l.prune(now)
	all := make([]Entry, len(l.order))
	for i, b := range l.order {
		all[i] = b.shown(now)
	}
	l.mu.Unlock()
	slices.SortFunc(all, func(a, b Entry) int { return Compare(a.Source, b.Source) })
	return all
}

// Compare orders prefixes as All does: by address, a wider one first.
func Compare(a, b netip.Prefix) int {
	if c := a.Addr().Compare(b.Addr()); c != 0 {
		return c
	}
	return a.Bits() - b.Bits()
}

// Len returns how many bans are in force.
func (l *List) Len() int {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.prune(time.Now())
	return len(l.order)
}

// prune removes the bans that have ended. The lock is held.
func (l *List) prune(now time.Time) {
	for len(l.order) > 0 && !now.Before(l.order[0].Until) {
		l.remove(l.order[0])
	}
}

func (l *List) add(b *ban) {
	s := l.shard(b.Source)
	s.mu.Lock()
	s.bans[b.Source] = b
	s.mu.Unlock()
	heap.Push(&l.order, b)
	l.size.Store(int64(len(l.order)))
	l.count(b.Source, 1)
}

func (l *List) remove(b *ban) {
	s := l.shard(b.Source)
	s.mu.Lock()
	delete(s.bans, b.Source)
	s.mu.Unlock()
	heap.Remove(&l.order, b.index)
	l.size.Store(int64(len(l.order)))
	l.count(b.Source, -1)
}

// count updates the prefix lengths that have to be looked up.
func (l *List) count(p netip.Prefix, change int) {
	f := family(p.Addr())
	n := &l.counts[f][p.Bits()]
	before := *n
	*n += change
	if (before == 0) == (*n == 0) {
		return
	}
	var lengths []uint8
	for bits, n := range l.counts[f] {
		if n > 0 {
			lengths = append(lengths, uint8(bits))
		}
	}
	l.lengths[f].Store(&lengths)
}

func (l *List) get(p netip.Prefix) *ban {
	s := l.shard(p)
	s.mu.RLock()
	b := s.bans[p]
	s.mu.RUnlock()
	return b
}

func (l *List) shard(p netip.Prefix) *shard {
	a := p.Addr().As16()
	h := binary.BigEndian.Uint64(a[:8]) ^ binary.BigEndian.Uint64(a[8:])
	return &l.shards[h*0x9E3779B97F4A7C15>>(64-5)]
}

func family(a netip.Addr) int {
	if a.Is4() {
		return 0
	}
	return 1
}

// Canonical returns a prefix masked, and an IPv4-mapped one as IPv4, as the list stores it.
func Canonical(p netip.Prefix) netip.Prefix {
	if a := p.Addr(); a.Is4In6() && p.Bits() >= 96 {
		p = netip.PrefixFrom(a.Unmap(), p.Bits()-96)
	}
	return p.Masked()
}

// byEnd is a heap: the ban that ends first is at the front.
type byEnd []*ban

func (h byEnd) Len() int           { return len(h) }
func (h byEnd) Less(i, j int) bool { return h[i].Until.Before(h[j].Until) }
func (h byEnd) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].index, h[j].index = i, j
}

// Push implements heap.Interface.
func (h *byEnd) Push(x any) {
	b := x.(*ban)
	b.index = len(*h)
	*h = append(*h, b)
}

// Pop implements heap.Interface.
func (h *byEnd) Pop() any {
	old := *h
	b := old[len(old)-1]
	old[len(old)-1] = nil
	*h = old[:len(old)-1]
	return b
}
