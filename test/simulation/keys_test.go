package simulation

import (
	"encoding/json"
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// keyState is what the admin layer may say about a key: the label that was acknowledged last, and
// those that may have been written since, whose requests failed or were cut off.
type keyState struct {
	user string
	key  int
	may  []string // "" is none
	busy bool
}

func (k *keyState) name() string { return fmt.Sprintf("%s/%d", k.user, k.key) }

// setKey sets or clears a key by the admin API.
func (w *world) setKey(user string, key int, label string) {
	name := fmt.Sprintf("%s/%d", user, key)
	k := w.oracle.keys[name]
	if k == nil {
		k = &keyState{user: user, key: key, may: []string{""}}
		w.oracle.keys[name] = k
		w.keyNames = append(w.keyNames, name)
	}
	if k.busy || !w.server.Running() || w.busy {
		return
	}
	k.busy = true
	epoch := w.oracle.epoch
	w.tasks.Go(func() {
		// The server has those who change keys wait for each other, for a mutex: in a bubble time
		// would stand still.
		w.changing <- struct{}{}
		defer func() { <-w.changing }()
		var status int
		var answer string
		path := "/sip/keys/" + name
		if label == "" {
			status, answer = w.server.Admin("DELETE", path, "")
		} else {
			status, answer = w.server.Admin("PUT", path, fmt.Sprintf(`{"label": %q, "light": "on", "number": "9"}`, label))
		}
		w.mu.Lock()
		defer w.mu.Unlock()
		k.busy = false
		switch {
		case status/100 == 2 && epoch == w.oracle.epoch:
			k.may = []string{label}
			w.note("key set")
		default:
			if status != 404 && w.healthy && epoch == w.oracle.epoch {
				w.fail("setting key %s: %d %s", name, status, answer)
			}
			k.may = append(k.may, label)
			w.note("key not set")
		}
	})
}

// checkKeys sees that what was acknowledged of keys is there. After a restart it is what is stored,
// and nothing else can come up any more.
func (w *world) checkKeys(restarted bool) {
	for _, name := range w.keyNames {
		k := w.oracle.keys[name]
		if k.busy {
			continue
		}
		if got := w.keyLabel(name, "admin"); !slices.Contains(k.may, got) {
			w.fail("key %s is %q, and what was acknowledged is one of %q", name, got, k.may)
		} else if restarted {
			k.may = []string{got}
		}
	}
}

// keyLabel returns the label that a layer has for a key, empty if none.
func (w *world) keyLabel(name, layer string) string {
	status, answer := w.server.Admin("GET", "/sip/keys/"+name+"?layer="+layer, "")
	if status == 404 {
		return ""
	}
	var record struct{ Label string }
	if err := json.Unmarshal([]byte(answer), &record); err != nil || status != 200 {
		w.fail("reading key %s: %d %s", name, status, answer)
	}
	return record.Label
}

// keysTold judges a MESSAGE that sets keys: one that says the same as the one before, which the
// phone has acknowledged, is one too many, unless the phone or the server has begun anew, or the
// phone has dialled a light: whoever dials one that he should have does not see it.
func (o *oracle) keysTold(to netip.AddrPort, m *message) {
	list, err := buttons.ParseDocument([]byte(m.body))
	if err != nil || len(list) == 0 {
		o.w.fail("a MESSAGE of the server that can't be read: %v\n%s", err, m.body)
		return
	}
	for _, b := range list {
		t := &telling{branch: m.branch(), body: fmt.Sprint(b), sent: time.Now(), epoch: o.epoch}
		name := to.String() + "/" + b.Key
		last := o.told[name]
		o.told[name], o.told[to.String()+m.branch()] = t, t
		if last != nil && last.body == t.body && last.epoch == t.epoch && !last.answered.IsZero() && time.Since(last.answered) > slack {
			const repeated = 33 * time.Second // an INVITE is, for so long
			if dialled := o.lately[to]; !o.fresh(to).After(last.sent) && time.Since(dialled) > repeated &&
				!dialled.After(last.sent) {
				o.w.fail("%s was told key %s a second time: %s", to, b.Key, t.body)
			}
		}
	}
}

// fresh returns when the phone at an address began to be registered there.
func (o *oracle) fresh(to netip.AddrPort) (at time.Time) {
	for _, l := range o.places[o.owner[to]] {
		switch {
		case l.addr != to:
		case l.lapsed():
			return time.Now()
		case l.fresh.After(l.first):
			at = l.fresh
		default:
			at = l.first
		}
	}
	return at
}
