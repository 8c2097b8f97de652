package simulation

import (
	"fmt"
	"math/rand/v2"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/caddysip/caddysip/test/simnet"
	"github.com/caddysip/caddysip/test/simtest"
)

// world is everything that there is in a run.
type world struct {
	t      *testing.T
	seed   uint64
	start  time.Time
	luck   *rand.Rand
	net    *simnet.Net
	server *simtest.Server
	domain string
	oracle *oracle
	tasks  sync.WaitGroup

	changing chan struct{} // full while a key is being changed

	mu       sync.Mutex // of all phones, and of what follows
	phones   []*phone
	healthy  bool // nothing is wrong now
	diskGood bool
	busy     bool // the server is being started, stopped or reloaded
	keyNames []string
	doneMu   sync.Mutex
	done     map[string]int // what has happened
	settling bool           // nobody begins anything new
	over     bool

	failing sync.Mutex
	failed  int
	packets []string // all, or the latest
}

const maxFailures = 5

// fail reports what must not be, with what was sent before it.
func (w *world) fail(format string, args ...any) {
	w.failing.Lock()
	defer w.failing.Unlock()
	if w.failed++; w.failed > maxFailures {
		return
	}
	latest := w.packets[max(0, len(w.packets)-25):]
	w.t.Errorf("-sim.seed=%d, at %s: %s\nThe latest packets:\n%s", w.seed, w.at(time.Now()), fmt.Sprintf(format, args...), strings.Join(latest, "\n"))
}

// at writes a time as what has passed since the start.
func (w *world) at(t time.Time) string {
	if t.IsZero() {
		return "never"
	}
	return t.Sub(w.start).String()
}

// trace notes a packet.
func (w *world) trace(pk simnet.Packet) {
	line, rest, _ := strings.Cut(string(pk.Data), "\r\n")
	m := parse(rest)
	fate := ""
	if pk.Lost {
		fate = " lost"
	}
	w.failing.Lock()
	defer w.failing.Unlock()
	w.packets = append(w.packets, fmt.Sprintf("%s %s > %s %s, %s%s", w.at(pk.At), pk.From, pk.To, line, m.get("CSeq"), fate))
	if !*traced && len(w.packets) > 10_000 {
		w.packets = append(w.packets[:0], w.packets[9000:]...)
	}
}

// after calls f with the lock.
func (w *world) after(d time.Duration, f func()) {
	time.AfterFunc(d, func() {
		w.mu.Lock()
		defer w.mu.Unlock()
		if !w.over {
			f()
		}
	})
}

// note counts something that has happened.
func (w *world) note(what string) {
	w.doneMu.Lock()
	defer w.doneMu.Unlock()
	w.done[what]++
}

// count counts the ends of requests.
func (w *world) count(method string, m *message) {
	end := "none"
	if m != nil {
		end = fmt.Sprint(m.status())
	}
	w.note(method + " " + end)
}

const (
	phones   = 8
	settings = `
		keys {
			profile all {
				users *
				key 1 {
					label "Emergency"
					number 112
					locked
				}
			}
		}
`
	directives = "snom_lrc\nregister\nproxy"
)

func newWorld(t *testing.T, seed uint64) *world {
	w := &world{t: t, seed: seed, start: time.Now(), net: simnet.New(seed), domain: "192.0.2.10", done: map[string]int{}, changing: make(chan struct{}, 1), healthy: true, diskGood: true}
	w.luck = w.net.Seeded("world")
	w.oracle = newOracle(w)
	host := w.net.Host(w.domain)
	w.net.SetPaths(simnet.Path{Delay: 3 * time.Millisecond, Jitter: 4 * time.Millisecond})
	w.net.Tap(w.oracle.packet)
	w.server = simtest.Quiet(t, host, simtest.Caddyfile(host, settings, directives))
	for i := range phones {
		p := &phone{w: w, n: i + 1, user: fmt.Sprint(101 + i), host: w.net.Host(fmt.Sprintf("192.0.2.%d", 101+i)), port: 10_000, nat: i%2 == 1}
		p.luck = w.net.Seeded("phone " + p.user)
		w.phones = append(w.phones, p)
	}
	return w
}

// lives makes a phone do something from time to time.
func (p *phone) lives() {
	p.w.after(p.upTo(time.Minute), func() {
		switch what := p.luck.IntN(20); {
		case p.w.settling:
			return
		case p.sock == nil:
		case what < 7:
			p.call(p.w.phones[(p.n+p.luck.IntN(phones-1))%phones].user, time.Second+p.upTo(30*time.Second), p.upTo(2*time.Minute))
		case what < 13:
			p.light()
		case what < 15: // another port, as after a NAT has forgotten
			p.off()
			p.on()
			if p.wants {
				p.register(expires)
			}
		case what == 15:
			p.off()
			p.w.after(p.upTo(time.Minute), p.boot)
		case what == 16: // away without a word
			p.off()
			p.w.after(p.upTo(2*expires), p.boot)
		case what == 17 && p.wants:
			p.wants = false
			p.register(0)
			p.later(p.upTo(2*time.Minute), func() {
				p.wants = true
				p.register(expires)
			})
		}
		p.lives()
	})
}

// rest waits for as long as chance says.
func (w *world) rest(d time.Duration) { time.Sleep(time.Duration(w.luck.Int64N(int64(d)))) }

// set sets what is wrong with the world.
func (w *world) set(healthy bool) {
	w.mu.Lock()
	w.healthy = healthy
	w.mu.Unlock()
	w.oracle.wrong()
}

var good = simnet.Path{Delay: 3 * time.Millisecond, Jitter: 4 * time.Millisecond}

// trouble makes something go wrong, and right again.
func (w *world) trouble() {
	switch w.luck.IntN(8) {
	case 0, 1:
		w.note("bad network")
		w.set(false)
		w.net.SetPaths(simnet.Path{
			Delay: time.Duration(w.luck.IntN(50)) * time.Millisecond, Jitter: time.Duration(w.luck.IntN(50)) * time.Millisecond,
			Loss: w.luck.Float64() * 0.3, Duplicate: w.luck.Float64() * 0.2, Reorder: w.luck.Float64() * 0.2,
		})
		w.rest(2 * time.Minute)
		w.net.SetPaths(good)
		w.set(true)
	case 2:
		w.note("partition")
		w.set(false)
		p, server := w.phones[w.luck.IntN(phones)].host.Addr(), w.server.Host.Addr()
		ways := w.luck.IntN(3)
		if ways != 1 {
			w.net.SetPath(p, server, simnet.Path{Down: true})
		}
		if ways != 0 {
			w.net.SetPath(server, p, simnet.Path{Down: true})
		}
		w.rest(time.Minute)
		w.net.ResetPath(p, server)
		w.net.ResetPath(server, p)
		w.set(true)
	case 3:
		w.note("power cut")
		w.restart(w.server.Kill, true)
	case 4:
		w.note("restart")
		w.restart(w.server.Stop, false)
	case 5:
		w.note("reload")
		w.manage(func() {
			w.tasks.Wait() // a reload waits for who changes keys, for a mutex
			if err := w.server.Reload(); err != nil {
				w.fail("reloading: %v", err)
			}
		})
	default:
		w.note("bad disk")
		w.set(false)
		w.bad(simtest.Faults{
			Err:     []error{nil, nil, syscall.ENOSPC, syscall.EIO}[w.luck.IntN(4)],
			Errors:  float64(w.luck.IntN(2)) * 0.1,
			Short:   float64(w.luck.IntN(2)) * 0.1,
			Latency: time.Duration(w.luck.IntN(2)) * 40 * time.Millisecond,
		})
		w.rest(time.Minute)
		if w.luck.IntN(3) == 0 {
			w.note("power cut on a bad disk")
			w.restart(w.server.Kill, true)
		}
		w.bad(simtest.Faults{})
		w.set(true)
	}
}

func (w *world) bad(f simtest.Faults) {
	w.mu.Lock()
	w.diskGood = f == simtest.Faults{}
	w.mu.Unlock()
	w.server.Disk.Set(f)
	w.oracle.disk(!w.diskGood)
}

// manage starts, stops or reloads the server. The admin API is not asked meanwhile: Caddy has one
// lock for all that.
func (w *world) manage(f func()) {
	w.mu.Lock()
	w.busy = true
	w.mu.Unlock()
	f()
	w.mu.Lock()
	w.busy = false
	w.mu.Unlock()
}

func (w *world) restart(end func(), killed bool) {
	w.mu.Lock()
	was := w.healthy
	w.healthy = false
	w.mu.Unlock()
	w.manage(func() {
		if killed {
			w.oracle.ended(true)
		} else {
			w.tasks.Wait()
		}
		end()
		if !killed {
			w.oracle.ended(false)
		}
		w.tasks.Wait() // what was asked of the admin API has an end
		w.rest(20 * time.Second)
		if err := w.server.Run(); err != nil {
			w.fail("starting again: %v", err)
			w.server.Disk.Heal()
			if err := w.server.Run(); err != nil {
				w.t.Fatal(err)
			}
		}
	})
	w.set(was)
	w.check(true)
}

// check sees that what was acknowledged is there.
func (w *world) check(restarted bool) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.checkKeys(restarted)
	w.oracle.mu.Lock()
	defer w.oracle.mu.Unlock()
	for _, p := range w.phones {
		l := w.oracle.acked[p.user]
		if l == nil || time.Since(l.acked) > l.expires-slack {
			continue
		}
		w.note("registration checked")
		found := []netip.AddrPort{}
		for _, b := range w.server.Engine().Location.Lookup([]byte(p.user+"@"+w.aorDomain()), nil) {
			found = append(found, b.Source())
		}
		wrong := slices.ContainsFunc(found, func(a netip.AddrPort) bool { return !w.oracle.maybeAt(a, p.user) })
		if wrong || !slices.Contains(found, l.addr) {
			w.fail("%s is registered at %v, and was told at %s that it is so at %s", p.user, found, w.at(l.acked), l.addr)
		}
	}
}

func (w *world) aorDomain() string {
	_, answer := w.server.Admin("GET", "/sip/keys/x", "")
	_, rest, _ := strings.Cut(answer, `"x@`)
	domain, _, _ := strings.Cut(rest, `"`)
	return domain
}
