package phone

import (
	"net"
	"net/url"
	"strconv"
	"strings"

	"github.com/emiago/sipgo/sip"
)

// dialog is what a phone keeps of a dialog (RFC 3261 §12), or of a series of
// requests outside of one, which have all of it but a remote tag.
//
// sipgo's own dialogs are not used: they reverse Record-Route header fields
// without looking into them, and pick their sockets by themselves.
type dialog struct {
	callID    string
	local     sip.FromHeader // with our tag
	remote    sip.ToHeader   // with the other's tag, once there is one
	target    sip.Uri        // the remote target: the Request-URI
	routes    []string       // the route set, each as it was in Record-Route
	cseq      uint32         // of the last request that we sent
	useRoutes bool           // false: requests go to the server
}

// newDialog returns what a request to a URI outside of a dialog needs.
func (p *Phone) newDialog(to sip.Uri) dialog {
	d := dialog{callID: token(20), target: to}
	d.local.Address = p.aor
	d.local.Params.Add("tag", token(10))
	// RFC 3261 §8.1.1.2: parameters of the Request-URI do not belong in To.
	d.remote.Address = to
	d.remote.Address.UriParams, d.remote.Address.Headers = nil, nil
	return d
}

// matches reports whether a request from the other side is in this dialog.
func (d *dialog) matches(req *sip.Request) bool {
	callID, to, from := req.CallID(), req.To(), req.From()
	if callID == nil || to == nil || from == nil || callID.Value() != d.callID {
		return false
	}
	return tag(to.Params) == tag(d.local.Params) && tag(from.Params) == tag(d.remote.Params)
}

// request returns a request of the dialog. It takes the next CSeq, save for an
// ACK, whose CSeq the caller sets (RFC 3261 §13.2.2.4).
func (p *Phone) request(d *dialog, method sip.RequestMethod) *sip.Request {
	if method != sip.ACK {
		d.cseq++
	}
	req := sip.NewRequest(method, d.target)
	next := ""
	if d.useRoutes {
		next = address(d.target)
		if len(d.routes) > 0 {
			next = address(routeURI(d.routes[0]))
		}
	}
	p.link.route(req, next)

	host, port := p.link.sentBy()
	via := &sip.ViaHeader{
		ProtocolName:    "SIP",
		ProtocolVersion: "2.0",
		Transport:       p.link.via,
		Host:            host,
		Port:            port,
	}
	via.Params.Add("branch", sip.RFC3261BranchMagicCookie+"-"+token(16))
	via.Params.Add("rport", "")
	req.AppendHeader(via)
	for _, route := range d.routes {
		req.AppendHeader(sip.NewHeader("Route", route))
	}
	req.AppendHeader(sip.HeaderClone(&d.local))
	req.AppendHeader(sip.HeaderClone(&d.remote))
	callID := sip.CallIDHeader(d.callID)
	req.AppendHeader(&callID)
	req.AppendHeader(&sip.CSeqHeader{SeqNo: d.cseq, MethodName: method})
	maxForwards := sip.MaxForwardsHeader(70)
	req.AppendHeader(&maxForwards)
	req.AppendHeader(sip.NewHeader("User-Agent", p.cfg.UserAgent))
	req.SetBody(nil)
	return req
}

// withContent gives a message a body.
func withContent(msg sip.Message, contentType string, body []byte) {
	ct := sip.ContentTypeHeader(contentType)
	msg.AppendHeader(&ct)
	msg.SetBody(body)
}

// recordRoutes returns the values of a message's Record-Route, one for each
// proxy, in their order.
func recordRoutes(msg sip.Message) []string {
	var routes []string
	for _, h := range msg.GetHeaders("Record-Route") {
		routes = append(routes, splitList(h.Value())...)
	}
	return routes
}

// splitList splits a header field's value at the commas that are not inside
// of <> or quotes.
func splitList(value string) []string {
	var list []string
	var quoted, angle bool
	start := 0
	for i := 0; i < len(value); i++ {
		switch c := value[i]; {
		case quoted && c == '\\':
			i++
		case c == '"':
			quoted = !quoted
		case quoted:
		case c == '<':
			angle = true
		case c == '>':
			angle = false
		case c == ',' && !angle:
			list = append(list, strings.TrimSpace(value[start:i]))
			start = i + 1
		}
	}
	return append(list, strings.TrimSpace(value[start:]))
}

// routeURI returns the URI in a Route's value.
func routeURI(route string) (uri sip.Uri) {
	_, after, ok := strings.Cut(route, "<")
	if ok {
		route, _, _ = strings.Cut(after, ">")
	}
	_ = sip.ParseUri(route, &uri)
	return uri
}

// address returns where a URI leads over UDP, as host:port; empty if nowhere.
func address(uri sip.Uri) string {
	if uri.Host == "" {
		return ""
	}
	port := uri.Port
	if port == 0 {
		port = 5060
	}
	return net.JoinHostPort(strings.Trim(uri.Host, "[]"), strconv.Itoa(port))
}

func tag(params sip.HeaderParams) string {
	return params.GetOr("tag", "")
}

// userOf returns the user part of a URI as a person would write it.
func userOf(uri sip.Uri) string {
	if user, err := url.PathUnescape(uri.User); err == nil && user != "" {
		return user
	}
	return uri.String()
}
