package phone

import (
	"fmt"
	"mime"
	"strings"

	"github.com/emiago/sipgo"
	"github.com/emiago/sipgo/sip"

	"github.com/caddysip/caddysip/internal/snomkeys/buttons"
)

// allow lists the methods that the phone answers with other than 405.
const allow = "INVITE, ACK, CANCEL, BYE, OPTIONS, NOTIFY, MESSAGE"

// serve registers the handlers of incoming requests. sipgo answers the CANCEL of a ringing call.
func (p *Phone) serve(ua *sipgo.UserAgent) error {
	server, err := sipgo.NewServer(ua, sipgo.WithServerLogger(p.log))
	if err != nil {
		return err
	}
	ok := func(req *sip.Request, tx sip.ServerTransaction) { p.respond(req, tx, 200, "OK") }
	server.OnInvite(p.checked(p.onInvite))
	server.OnAck(p.onAck)
	server.OnBye(p.checked(p.onBye))
	server.OnMessage(p.checked(p.onMessage))
	server.OnOptions(p.checked(ok))
	server.OnNotify(p.checked(ok))
	server.OnCancel(func(req *sip.Request, tx sip.ServerTransaction) {
		p.respond(req, tx, 481, "Call/Transaction Does Not Exist")
	})
	server.OnNoRoute(p.checked(func(req *sip.Request, tx sip.ServerTransaction) {
		p.respond(req, tx, 405, "Method Not Allowed")
	}))
	return nil
}

// checked passes on only requests for this phone that require no extension.
func (p *Phone) checked(handle sipgo.RequestHandler) sipgo.RequestHandler {
	return func(req *sip.Request, tx sip.ServerTransaction) {
		if req.CallID() == nil || req.From() == nil || req.To() == nil {
			p.respond(req, tx, 400, "Bad Request")
			return
		}
		// A Snom phone knows its lines by the random parameter of their
		// Contacts: it can't be called by anybody who merely knows its address.
		if p.line != "" && req.Recipient.UriParams.GetOr("line", "") != p.line {
			p.respond(req, tx, 404, "Not Found")
			return
		}
		// RFC 3261 §8.2.2.3
		if required := req.GetHeaders("Require"); len(required) > 0 {
			res := p.response(req, 420, "Bad Extension")
			for _, h := range required {
				res.AppendHeader(sip.NewHeader("Unsupported", h.Value()))
			}
			p.send(tx, res)
			return
		}
		handle(req, tx)
	}
}

// response builds a response.
func (p *Phone) response(req *sip.Request, status int, reason string) *sip.Response {
	res := sip.NewResponseFromRequest(req, status, reason, nil)
	res.AppendHeader(sip.NewHeader("User-Agent", p.cfg.UserAgent))
	if req.Method == sip.OPTIONS && status == 200 || status == 405 {
		res.AppendHeader(sip.NewHeader("Allow", allow))
		res.AppendHeader(sip.NewHeader("Accept", accept))
	}
	return res
}

// send sends a response. An error is only logged: the other side will retransmit or time out.
func (p *Phone) send(tx sip.ServerTransaction, res *sip.Response) {
	if err := tx.Respond(res); err != nil {
		p.log.Debug("response not sent", "status", res.StatusCode, "error", err)
	}
}

func (p *Phone) respond(req *sip.Request, tx sip.ServerTransaction, status int, reason string) {
	p.send(tx, p.response(req, status, reason))
}

// accept lists the types of content that the phone takes. RFC 3428 §4 has
// text/plain in every MESSAGE client.
const accept = "application/sdp, " + buttons.ContentType + ", text/plain"

func (p *Phone) onMessage(req *sip.Request, tx sip.ServerTransaction) {
	contentType := ""
	if h := req.ContentType(); h != nil {
		contentType, _, _ = mime.ParseMediaType(h.Value())
	}
	switch contentType {
	case buttons.ContentType:
		list, err := buttons.ParseDocument(req.Body())
		if err != nil {
			p.log.Warn("malformed document", "error", err)
			res := p.response(req, 400, "Bad Request")
			host, _ := p.link.sentBy()
			res.AppendHeader(
				sip.NewHeader("Warning", fmt.Sprintf("399 %s %q", bracket(host), err.Error())),
			)
			p.send(tx, res)
			return
		}
		list = p.setKeys(list)
		p.respond(req, tx, 200, "OK")
		if f := p.cfg.OnKey; f != nil {
			for _, b := range list {
				f(b)
			}
		}
	case "text/plain":
		p.respond(req, tx, 200, "OK")
		if f := p.cfg.OnText; f != nil {
			f(userOf(req.From().Address), strings.ToValidUTF8(string(req.Body()), "\uFFFD"))
		}
	default:
		res := p.response(req, 415, "Unsupported Media Type")
		res.AppendHeader(sip.NewHeader("Accept", accept))
		p.send(tx, res)
	}
}
