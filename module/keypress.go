package module

import (
	"strconv"
	"strings"

	"github.com/caddysip/caddysip/internal/events"
	"github.com/caddysip/caddysip/internal/location"
	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
	"github.com/caddysip/caddysip/wire"
)

// KeyPress is a key that a user has pressed. Keys whose action is message send one; others call
// their number.
type KeyPress struct {
	AOR    string // who pressed it
	Key    string // its name, as a rule a number
	Number string // what the key is to dial, the user part of the Request-URI
	Again  bool   // the phone repeats what it has told already, having missed our answer
}

// KeyPress returns the key that the request says was pressed, nil if it is no such request. It is one
// only if it comes from where its From is registered, or from somebody who has authenticated:
// anybody can write such a MESSAGE, and doors may open to it.
func (r *Request) KeyPress() *KeyPress {
	if r.press != nil {
		return r.press
	}
	m := r.msg
	if m.Method != wire.MESSAGE || r.InDialog() || !isButtons(m.Header(wire.ContentType)) || !r.server.app.IsLocal(r.URI().Host) {
		return nil
	}
	list, err := buttons.ParseDocument(m.Body())
	if err != nil || len(list) != 1 {
		return nil
	}
	_, from := r.From()
	var room [128]byte
	aor, ok := r.server.app.AppendAOR(room[:0], &from)
	if !ok || r.AuthUser() == "" && !r.RegisteredHere(aor) {
		return nil
	}
	number := wire.AppendUnescaped(nil, r.URI().User)
	r.press = &KeyPress{
		AOR:    string(aor),
		Key:    list[0].Key,
		Number: strings.ToValidUTF8(string(number), "\uFFFD"),
		Again:  r.Retransmission(),
	}
	return r.press
}

// isButtons reports whether a Content-Type is that of the document about keys.
func isButtons(value []byte) bool {
	for i, c := range value {
		if c == ';' || c == ' ' || c == '\t' {
			value = value[:i]
			break
		}
	}
	return wire.EqualFold(value, buttons.ContentType)
}

// RegisteredHere reports whether an address-of-record has a binding from where the request comes.
func (r *Request) RegisteredHere(aor []byte) bool {
	var room [8]*location.Binding
	for _, b := range r.server.app.engine.Location.All(aor, room[:0]) {
		if b.Network() == r.in.Flow.Network && b.Source() == r.in.Flow.Remote {
			return true
		}
	}
	return false
}

// pressed tells that a key was pressed, once the phone has been told that we know.
func (s *Server) pressed(r *Request) {
	p := r.KeyPress()
	if p == nil || p.Again {
		return
	}
	data := map[string]any{"aor": p.AOR, "key": p.Key, "number": p.Number}
	if key, err := strconv.Atoi(p.Key); err == nil {
		data["key"] = key
	}
	s.app.engine.Events.Publish(events.KeyPressed, data)
}
