package events

import (
	"encoding/json"
	"maps"
	"sync"

	"github.com/caddysip/caddysip/internal/budget"
)

// maxTexts is how many bytes of JSON a bus keeps for those who read the same events at about the
// same time.
const maxTexts = 1 << 20

// JSON returns an event as an object that has its type and time among its fields. All readers get
// the same bytes, and nobody changes them: they are made for the first one, and kept until many
// others have been made.
func (s *Subscription) JSON(e *Event) ([]byte, error) { return s.bus.texts.of(e) }

// texts are events in JSON, the last ones that were made.
type texts struct {
	budget *budget.Budget

	mu    sync.Mutex // held while one is made, so that the others who want it wait
	made  map[uint64][]byte
	order []uint64 // in which they were made
	bytes int
}

func (t *texts) of(e *Event) ([]byte, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if text := t.made[e.ID]; text != nil {
		return text, nil
	}
	data := make(map[string]any, 8)
	maps.Copy(data, e.Map())
	data["type"], data["time"] = e.Type, e.Time.UTC()
	text, err := json.Marshal(data)
	if err == nil {
		t.keep(e.ID, text)
	}
	return text, err
}

// keep keeps a text if there is room, in place of the first ones that were made. The caller holds
// the lock.
func (t *texts) keep(id uint64, text []byte) {
	n := cap(text)
	if n > maxTexts {
		return
	}
	for len(t.order) > 0 && (t.bytes+n > maxTexts || len(t.order) == Remembered) {
		t.forget()
	}
	if !t.budget.Take(budget.Events, n) {
		return
	}
	if t.made == nil {
		t.made = make(map[uint64][]byte)
	}
	t.made[id] = text
	t.order = append(t.order, id)
	t.bytes += n
}

func (t *texts) forget() {
	n := cap(t.made[t.order[0]])
	delete(t.made, t.order[0])
	t.order = t.order[1:]
	t.bytes -= n
	t.budget.Release(budget.Events, n)
}

// clear forgets them all.
func (t *texts) clear() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.budget.Release(budget.Events, t.bytes)
	t.made, t.order, t.bytes = nil, nil, 0
}
