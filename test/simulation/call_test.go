package simulation

import (
	"fmt"
	"slices"
	"strings"
	"time"
)

// call is one end of a call.
type call struct {
	id, local, remote string // local and remote as in From or To
	target            string // the other end's Contact
	route             []string
	cseq              int
	invite            *message // of the called end
	final             string   // what the called end has answered
	acked             bool
	up, over          bool
}

func (p *phone) find(id string) *call {
	for _, c := range p.calls {
		if c.id == id {
			return c
		}
	}
	return nil
}

func (p *phone) forget(c *call) {
	c.over = true
	p.calls = slices.DeleteFunc(p.calls, func(o *call) bool { return o == c })
}

// invite writes an INVITE to a number.
func (p *phone) invite(number, id, branch, params string) string {
	return build("", "INVITE sip:"+number+"@"+p.w.domain+" SIP/2.0", p.via(branch), "Max-Forwards: 70",
		"From: <sip:"+p.user+"@"+p.w.domain+">;tag=f"+id, "To: <sip:"+number+"@"+p.w.domain+">", "Call-ID: "+id, "CSeq: 1 INVITE",
		"Contact: "+p.contact(params), "User-Agent: snom370/8.7.5.48")
}

// light dials a light of the tutorial.
func (p *phone) light() {
	id := "l" + p.id()
	branch := "z9hG4bK-" + id
	p.w.oracle.lit(p, id)
	p.ask(&client{method: "INVITE", request: p.invite(fmt.Sprint(431+p.luck.IntN(10)), id, branch, ";x="+id)}, branch)
}

// call calls a number. It hangs up, before or after it is answered, in its time.
func (p *phone) call(number string, patience, talk time.Duration) {
	id := "c" + p.id()
	branch := "z9hG4bK-" + id
	c := &call{id: id, cseq: 1}
	p.calls = append(p.calls, c)
	p.w.oracle.calling(p, id, number)
	request := p.invite(number, id, branch, "")
	t := &client{method: "INVITE", request: request}
	cancelled := false
	t.final = func(m *message) {
		if m == nil || m.status() >= 300 {
			p.forget(c)
			return
		}
		first := !c.up && !c.over
		if first {
			c.up = true
			c.local, c.remote, c.target = m.get("From"), m.get("To"), uriOf(m.get("Contact"))
			c.route = m.all("Record-Route")
			slices.Reverse(c.route)
		}
		if m.get("To") == c.remote {
			p.send(p.within(c, "ACK", 1, "z9hG4bK-a"+id))
		}
		if first {
			if cancelled {
				talk = 0
			}
			p.later(talk, func() { p.hangUp(c) })
		}
	}
	p.ask(t, branch)
	p.later(patience, func() {
		if t.over {
			return
		}
		cancelled = true
		if !t.proceed {
			return // it must not be cancelled yet (RFC 3261 §9.1), and ends by itself
		}
		first, rest, _ := strings.Cut(request, "\r\n")
		_, uri, _ := strings.Cut(first, " ")
		rest = strings.Replace(rest, "CSeq: 1 INVITE", "CSeq: 1 CANCEL", 1)
		p.ask(&client{method: "CANCEL", request: "CANCEL " + uri + "\r\n" + rest, final: func(*message) {
			p.later(timeout+slack, func() { // the server waits as long for the phone (RFC 3261 §9.1)
				if !t.over && t.sock == p.sock {
					p.w.oracle.hangs(p, t)
					p.end(t, nil)
				}
			})
		}}, branch+"\x00cancel")
	})
}

// within writes a request of a call.
func (p *phone) within(c *call, method string, cseq int, branch string) string {
	lines := []string{method + " " + c.target + " SIP/2.0", p.via(branch), "Max-Forwards: 70"}
	for _, r := range c.route {
		lines = append(lines, "Route: "+r)
	}
	return build("", append(lines, "From: "+c.local, "To: "+c.remote, "Call-ID: "+c.id, fmt.Sprintf("CSeq: %d %s", cseq, method))...)
}

func (p *phone) hangUp(c *call) {
	if c.over {
		return
	}
	p.forget(c)
	c.cseq++
	branch := "z9hG4bK-b" + p.id()
	p.ask(&client{method: "BYE", request: p.within(c, "BYE", c.cseq, branch)}, branch)
}

// called is an INVITE that has come.
func (p *phone) called(m *message) {
	id := m.get("Call-ID")
	key := m.branch() + "INVITE"
	tag := "t" + p.id()
	c := &call{id: id, invite: m, cseq: 1000}
	reply := func(status string, more ...string) {
		p.servers[key] = respond(m, status, tag, more...)
		p.send(p.servers[key])
	}
	p.calls = append(p.calls, c)
	if p.luck.IntN(10) > 0 {
		reply("180 Ringing", "Contact: "+p.contact(""))
	} else {
		reply("100 Trying")
	}
	answer := func(status string) {
		if c.over || c.final != "" {
			return
		}
		reply(status, "Contact: "+p.contact(""))
		c.final = p.servers[key]
		c.local, c.remote, c.target = parse(c.final).get("To"), m.get("From"), uriOf(m.get("Contact"))
		c.route = m.all("Record-Route")
		p.repeat(c, t1, time.Now())
	}
	switch p.luck.IntN(6) {
	case 0:
		p.later(p.upTo(3*time.Second), func() { answer("486 Busy Here") })
	case 1: // it rings until the caller gives up
	default:
		p.later(p.upTo(15*time.Second), func() {
			answer("200 OK")
			if p.luck.IntN(2) == 0 {
				p.later(p.upTo(time.Minute), func() {
					if c.acked {
						p.hangUp(c)
					}
				})
			}
		})
	}
	c.invite.start = key // where its answer is
}

func (p *phone) upTo(d time.Duration) time.Duration { return time.Duration(p.luck.Int64N(int64(d))) }

// repeat sends a final response until it is acknowledged.
func (p *phone) repeat(c *call, interval time.Duration, since time.Time) {
	p.later(interval, func() {
		switch {
		case c.acked || c.over:
		case time.Since(since) > timeout:
			if parse(c.final).status() < 300 {
				c.acked = true
				p.hangUp(c)
			} else {
				p.forget(c)
			}
		default:
			p.send(c.final)
			p.repeat(c, min(2*interval, t2), since)
		}
	})
}

func (p *phone) acknowledged(m *message) {
	if c := p.find(m.get("Call-ID")); c != nil && c.final != "" {
		c.acked = true
		if parse(c.final).status() >= 300 {
			p.forget(c)
		}
	}
}

func (p *phone) cancelled(m *message, answer func(string, ...string)) {
	c := p.find(m.get("Call-ID"))
	if c == nil || c.invite == nil {
		answer("481 Call/Transaction Does Not Exist")
		return
	}
	answer("200 OK")
	if c.final == "" {
		early := parse(p.servers[c.invite.start])
		c.final = respond(c.invite, "487 Request Terminated", param(early.get("To"), "tag"))
		p.servers[c.invite.start] = c.final
		p.send(c.final)
		p.repeat(c, t1, time.Now())
	}
}

func (p *phone) bye(m *message, answer func(string, ...string)) {
	if c := p.find(m.get("Call-ID")); c != nil {
		p.forget(c)
		answer("200 OK")
		return
	}
	answer("481 Call/Transaction Does Not Exist")
}
