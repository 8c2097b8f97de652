package delivery

import (
	"math/rand/v2"
	"net/netip"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/sip/transaction"
	"github.com/caddysip/caddysip/internal/sip/transport"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/wire"
)

const (
	// A phone that failed is asked again after firstRetry, and then after twice as long each time, up to lastRetry.
	firstRetry = 5 * time.Second
	lastRetry  = 5 * time.Minute

	// maxSilence is after how many messages without an answer a phone that never acknowledged any is taken to know none.
	maxSilence = 3
)

// push is one message on its way. The Delivery's lock guards done, slot, stale and answered; the rest stays as it is.
type push struct {
	d       *Delivery
	phone   *phone
	flow    transport.Flow
	contact string
	sent    time.Time
	keys    []sentKey
	room    [1]sentKey
	message []byte // what was sent; nil when no challenge could be answered

	done  bool // it has an outcome
	slot  bool // it counts as being in flight
	stale bool // the phone has registered anew meanwhile, and may have forgotten what it acknowledges

	answered bool // its challenge was answered
}

type sentKey struct {
	hash uint64
	key  uint16
	off  bool
}

// appendMessage appends the request to a phone: its Request-URI is the Contact as it was registered, since a phone knows itself by the parameters there.
func appendMessage(dst []byte, b *location.Binding, path []byte, flow transport.Flow, sentBy netip.AddrPort, body []byte) []byte {
	user, domain := b.AOR(), ""
	if i := strings.LastIndexByte(user, '@'); i >= 0 {
		user, domain = user[:i], user[i+1:]
	}
	var room [512]byte
	text := append(room[:0], "sip:server@"...)
	text = append(text, domain...)
	from := len(text)
	text = appendUser(append(text, "<sip:"...), user)
	text = append(append(append(text, '@'), domain...), '>')
	to := len(text)
	text = wire.AppendHostPort(text, sentBy)
	host := len(text)
	text = appendRandom(append(text, wire.MagicCookie...), 2)
	branch := len(text)
	text = appendRandom(text, 1)
	tag := len(text)
	text = appendRandom(text, 2)
	f := wire.RequestFields{
		Method:      "MESSAGE",
		URI:         requestURI(b.Contact()),
		Transport:   flow.Network.Token(),
		SentBy:      text[to:host],
		Branch:      text[host:branch],
		From:        text[:from],
		FromTag:     text[branch:tag],
		To:          text[from:to],
		CallID:      text[tag:],
		CSeq:        1,
		ContentType: buttons.ContentType,
		Body:        body,
	}
	if path != nil {
		f.Route = [][]byte{path} // RFC 3327 §5.3
	}
	return wire.AppendRequest(dst, &f)
}

// requestURI returns the Contact without the headers that no Request-URI has (RFC 3261 §19.1.1).
func requestURI(contact string) []byte {
	uri := []byte(contact)
	if u, err := wire.ParseURI(uri); err == nil && u.Headers != nil {
		uri = uri[:len(uri)-len(u.Headers)-1]
	}
	return uri
}

// appendUser appends the user part of an address-of-record, with what cannot stand there escaped (RFC 3261 §25.1).
func appendUser(dst []byte, user string) []byte {
	const hex = "0123456789ABCDEF"
	for i := range len(user) {
		c := user[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte("-_.!~*'()&=+$,;?/", c) >= 0 {
			dst = append(dst, c)
		} else {
			dst = append(dst, '%', hex[c>>4], hex[c&15])
		}
	}
	return dst
}

// appendRandom appends n random words.
func appendRandom(dst []byte, n int) []byte {
	for range n {
		dst = strconv.AppendUint(dst, rand.Uint64()|1<<63, 16)
	}
	return dst
}

// send sends the message that prepare has made.
func (d *Delivery) send(f *push) { f.transmit(d.message, nil) }

// transmit sends a request to the phone. With out it must not be changed any more.
func (f *push) transmit(request []byte, out *transport.Outbox) {
	var o transaction.ClientOptions
	if !f.d.options.Proven(f.flow) {
		o.MaxRetransmits = transaction.UnvalidatedRetransmits
	}
	if _, err := f.d.options.Client.NewClient(request, f.flow, f, out, o); err != nil {
		f.d.finish(f, 0, err)
	}
}

// OnResponse implements transaction.ClientHandler.
func (f *push) OnResponse(_ *transaction.Client, m *wire.Message, out *transport.Outbox) {
	if m.Status < 200 || (m.Status == 401 || m.Status == 407) && f.answer(m, out) {
		return
	}
	f.d.finish(f, m.Status, nil)
}

// OnFailure implements transaction.ClientHandler.
func (f *push) OnFailure(_ *transaction.Client, err error) { f.d.finish(f, 0, err) }

// OnTerminated implements transaction.ClientHandler.
func (f *push) OnTerminated(*transaction.Client) {}

// result is what the outcome of a message means.
type result uint8

const (
	acknowledged result = iota
	refused             // this record; it is not sent again
	unsupported         // this phone has no such keys
	silent              // no answer
	failed              // it may work later
)

func resultOf(status int, err error) result {
	switch {
	case err == transaction.ErrTimeout || status == 408:
		return silent
	case err != nil:
		return failed
	case status < 300:
		return acknowledged
	case status == 405 || status == 415 || status == 501:
		return unsupported
	case status >= 500 && status < 600:
		return failed
	}
	return refused
}

var resultNames = [...]string{"acknowledged", "refused", "refused", "timeout", "failed"}

// finish notes the outcome of a message.
func (d *Delivery) finish(f *push, status int, err error) {
	r := resultOf(status, err)
	d.mu.Lock()
	if f.done {
		d.mu.Unlock()
		return
	}
	f.done = true
	d.release(f)
	d.pending--
	p := f.phone
	p.flight = nil
	d.apply(p, f, r, status)
	d.account(p.user)
	d.queue(p)
	aor := p.user.aor
	d.tell(aor)
	d.mu.Unlock()
	if err == transaction.ErrClosed {
		return // the server stops
	}
	d.behind.Mark(aor)
	d.options.Count(resultNames[r])
	f.report(r, aor, status, err)
	d.awake()
}

// apply changes what is known of the phone. The caller holds the lock.
func (d *Delivery) apply(p *phone, f *push, r result, status int) {
	if r != silent {
		p.silent = 0
	}
	switch r {
	case acknowledged, refused:
		p.known = p.known || r == acknowledged
		p.failures, p.status = 0, 0
		if !f.stale {
			p.answered(f.keys, status)
		}
	case unsupported:
		p.unsupported, p.status = true, uint16(status)
	default:
		p.status = uint16(status)
		p.failures = min(p.failures+1, 100)
		if r == silent {
			p.silent = min(p.silent+1, maxSilence)
		}
		if p.silent >= maxSilence && !p.known {
			p.unsupported = true
			return
		}
		if !f.stale {
			p.retry = time.Now().Add(backoff(p.failures)).UnixNano()
			d.retries.add(p)
		}
	}
}

// mayShow notes that the phone may show the keys from now on, whether we hear of it or not. It tells whether that is news.
func (p *phone) mayShow(keys []sentKey) (news bool) {
	for _, k := range keys {
		if i, found := findKey(p.keys, k.key); !found {
			p.keys = slices.Insert(p.keys, i, keyState{key: k.key})
			news = true
		}
	}
	return news
}

// answered notes what the phone has answered.
func (p *phone) answered(keys []sentKey, status int) {
	now := uint32(time.Now().Unix())
	for _, k := range keys {
		i, found := findKey(p.keys, k.key)
		if k.off && status < 300 {
			if found {
				p.keys = slices.Delete(p.keys, i, i+1) // nothing is left to be known of it
			}
			continue
		}
		if !found {
			p.keys = slices.Insert(p.keys, i, keyState{})
		}
		p.keys[i] = keyState{k.hash, now, k.key, uint16(status)}
	}
}

// Jitter returns a random time from 0 to less than d. A simulation that is to be repeated has its own.
var Jitter = func(d time.Duration) time.Duration { return rand.N(d) }

// backoff returns how long to wait after so many failures, more or less: phones that failed together are not asked together.
func backoff(failures uint8) time.Duration {
	d := min(firstRetry<<min(failures-1, 10), lastRetry)
	return d - d/5 + Jitter(2*d/5)
}

// report tells of the outcome, without a lock.
func (f *push) report(r result, aor string, status int, err error) {
	name := "key_failed"
	if r == acknowledged {
		name = "key_acknowledged"
	}
	for _, k := range f.keys {
		data := map[string]any{"aor": aor, "contact": string(wire.WithoutPassword([]byte(f.contact))), "key": int(k.key)}
		if status != 0 {
			data["status"] = status
		}
		if r != acknowledged {
			data["error"] = problem(status, err == transaction.ErrTimeout)
		}
		f.d.options.Emit(name, data)
	}
}
