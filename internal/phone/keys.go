package phone

import (
	"context"
	"errors"
	"fmt"
	"strconv"

	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// ErrNoNumber is returned by Press for a key without a number. Nothing was sent.
var ErrNoNumber = errors.New("the key has no number")

// setKeys applies a document and returns the changed keys. Each description replaces its key as a
// whole; properties that it leaves out get the phone's defaults.
func (p *Phone) setKeys(list []buttons.Button) []buttons.Button {
	set := list[:0]
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, b := range list {
		if !p.hasKey(b.Key) {
			// As on the phone, the 200 doesn't promise that a lamp is lit.
			p.log.Warn("this phone has no such key", "key", b.Key, "keys", p.cfg.Keys)
			continue
		}
		if b.Light == "" {
			b.Light = "off"
		}
		if b.Action == "" {
			b.Action = "invite"
		}
		p.state.Keys[b.Key] = b
		p.state.KeyChanges++
		set = append(set, b)
	}
	if len(set) > 0 {
		p.notify()
	}
	return set
}

// hasKey reports whether a key can have that name: the number of one of the
// phone's keys, or any name that is no number.
func (p *Phone) hasKey(name string) bool {
	n, err := strconv.Atoi(name)
	return err != nil || n >= 1 && n <= p.cfg.Keys
}

// Press presses a key. A key with the action invite dials its number, and the call is returned. A
// key with the action message sends a MESSAGE to its number; Press returns when it is answered,
// with a
// *StatusError unless the answer is a 2xx. For a key without a number it returns ErrNoNumber.
func (p *Phone) Press(ctx context.Context, key string) (*Call, error) {
	b := p.State().Keys[key]
	if b.Number == "" {
		return nil, fmt.Errorf("key %s: %w", key, ErrNoNumber)
	}
	if b.Action != "message" {
		return p.Dial(ctx, b.Number)
	}
	uri, err := p.uri(b.Number)
	if err != nil {
		return nil, fmt.Errorf("key %s: %w", key, err)
	}
	body, err := buttons.AppendDocument(nil, buttons.Button{Key: key})
	if err != nil {
		return nil, err
	}
	d := p.newDialog(uri)
	res, err := p.do(ctx, func() *sip.Request {
		req := p.request(&d, sip.MESSAGE)
		withContent(req, buttons.ContentType, body)
		return req
	})
	if err != nil {
		return nil, err
	}
	return nil, statusError(sip.MESSAGE, res)
}
