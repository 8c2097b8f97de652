package phone

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/emiago/sipgo/sip"
)

// CallState is the state of a call.
type CallState int

const (
	Calling  CallState = iota // the INVITE was sent
	Ringing                   // it rings, there or here
	Answered                  // both can speak
	Ended
)

func (s CallState) String() string {
	return [...]string{"calling", "ringing", "answered", "ended"}[s]
}

// Response is a status line.
type Response struct {
	Status int
	Reason string
}

// Call is a call, made by Dial or received.
type Call struct {
	// Incoming is true if the phone was called.
	Incoming bool

	// Number is the user part of the other side's URI.
	Number string

	p      *Phone
	hangup chan struct{} // an outgoing call is to end; closed once
	decide chan decision // what to answer an incoming call
	done   chan struct{} // closed when the call has ended
	sdp    []byte        // our offer or answer
	invite *sip.Request  // outgoing: the last that was sent
	auth   credentials   // outgoing
	dialog dialog        // set up before others see it; p.mu guards cseq and target then

	// Phone.mu guards these.
	state     CallState
	responses []Response
	err       error // why an unanswered call ended
	acked     int64 // the CSeq of the last ACK that came; -1: none
	hangingUp bool
	byeSent   bool
}

// State returns the state of the call.
func (c *Call) State() CallState {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return c.state
}

// Responses returns the responses to an outgoing call so far, or those that the phone has sent to
// an incoming one.
func (c *Call) Responses() []Response {
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	return slices.Clone(c.responses)
}

// Done is closed when the call has ended.
func (c *Call) Done() <-chan struct{} { return c.done }

// Wait returns when the call's state is at least s. Ended is the greatest state, so Wait also
// returns when the call ends without having reached s.
func (c *Call) Wait(ctx context.Context, s CallState) error {
	if err := c.p.wait(ctx, func() bool { return c.state >= s }); err != nil {
		return fmt.Errorf("waiting for the call with %s, which is %v: %w", c.Number, c.State(), err)
	}
	return nil
}

// Final waits for the final response to an outgoing call, not counting challenges. The error says
// why there is none.
func (c *Call) Final(ctx context.Context) (Response, error) {
	if err := c.Wait(ctx, Answered); err != nil {
		return Response{}, err
	}
	c.p.mu.Lock()
	defer c.p.mu.Unlock()
	if c.err != nil {
		return Response{}, c.err
	}
	for _, r := range slices.Backward(c.responses) {
		if r.Status >= 200 {
			return r, nil
		}
	}
	return Response{}, errors.New("the call ended without a final response")
}

// Hangup ends the call, and returns when it has ended. An unanswered outgoing call is cancelled, an
// incoming one is refused with 486.
func (c *Call) Hangup(ctx context.Context) error {
	p := c.p
	p.mu.Lock()
	state, first := c.state, !c.hangingUp
	c.hangingUp = true
	p.notify()
	p.mu.Unlock()
	switch {
	case state >= Answered || !first:
	case c.Incoming:
		c.settle(486, "Busy Here")
	default:
		close(c.hangup)
	}
	if err := c.Wait(ctx, Answered); err != nil {
		return err
	}
	return c.bye(ctx) // it was answered, perhaps just now
}

// bye ends an answered call, whatever the response to the BYE is (RFC 3261 §15.1.1).
func (c *Call) bye(ctx context.Context) error {
	p := c.p
	if c.Incoming {
		// RFC 3261 §15: the callee must not send BYE before it has the ACK.
		if err := p.wait(ctx, func() bool { return c.acked >= 0 || c.state == Ended }); err != nil {
			return err
		}
	}
	p.mu.Lock()
	over := c.state == Ended || c.byeSent
	c.byeSent = true
	p.mu.Unlock()
	if over {
		return c.Wait(ctx, Ended)
	}
	defer c.end(nil)
	_, err := p.do(ctx, func() *sip.Request {
		p.mu.Lock()
		defer p.mu.Unlock()
		return p.request(&c.dialog, sip.BYE)
	})
	return err
}

// note records a response, and the state that comes with it.
func (c *Call) note(status int, reason string) {
	p := c.p
	p.mu.Lock()
	c.responses = append(c.responses, Response{status, reason})
	if status > 100 && status < 200 {
		c.state = max(c.state, Ringing)
	} else if status >= 200 && status < 300 {
		c.state = max(c.state, Answered)
	}
	p.notify()
	p.mu.Unlock()
	p.onCall(c)
}

// end ends the call, once; err is why, if it was never answered.
func (c *Call) end(err error) {
	p := c.p
	p.mu.Lock()
	if c.state == Ended {
		p.mu.Unlock()
		return
	}
	if c.state < Answered {
		c.err = err
	}
	c.state = Ended
	p.calls = slices.DeleteFunc(p.calls, func(other *Call) bool { return other == c })
	close(c.done)
	p.notify()
	p.mu.Unlock()
	p.onCall(c)
}

func (p *Phone) onCall(c *Call) {
	if f := p.cfg.OnCall; f != nil {
		f(c)
	}
}

// newCall adds a call to p.calls.
func (p *Phone) newCall(d dialog, incoming bool, number string) *Call {
	c := &Call{
		Incoming: incoming, Number: number, p: p, dialog: d, auth: make(credentials), sdp: p.sdp(),
		hangup: make(
			chan struct{},
		), decide: make(chan decision, 1), done: make(chan struct{}), acked: -1,
	}
	if incoming {
		c.state = Ringing
	}
	p.mu.Lock()
	p.calls = append(p.calls, c)
	p.notify()
	p.mu.Unlock()
	return c
}

// Calls returns the calls that have not ended, the oldest first.
func (p *Phone) Calls() []*Call {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.Clone(p.calls)
}

// WaitIncoming returns the oldest ringing incoming call, and waits for one if there is none.
func (p *Phone) WaitIncoming(ctx context.Context) (*Call, error) {
	var call *Call
	err := p.wait(ctx, func() bool {
		for _, c := range p.calls {
			if c.Incoming && c.state == Ringing {
				call = c
				return true
			}
		}
		return false
	})
	if err != nil {
		return nil, fmt.Errorf("waiting for a call: %w", err)
	}
	return call, nil
}

// sdp returns a session description. There is no sound, so it says inactive
// and names the discard port.
func (p *Phone) sdp() []byte {
	host, _ := p.link.sentBy()
	family := "IP4"
	if bracket(host) != host {
		family = "IP6"
	}
	id := time.Now().Unix()
	return fmt.Appendf(nil, "v=0\r\no=- %d %d IN %s %s\r\ns=call\r\nc=IN %[3]s %[4]s\r\nt=0 0\r\n"+
		"m=audio 9 RTP/AVP 0 8\r\na=rtpmap:0 PCMU/8000\r\na=rtpmap:8 PCMA/8000\r\na=inactive\r\n", id, id, family, host)
}
