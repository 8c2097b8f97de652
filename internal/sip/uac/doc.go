// Package uac is the user agent client of the server itself (RFC 3261 §8.1): it sends the requests
// that nobody has asked us to forward, such as the MESSAGE that sets a lamp, and tells their sender
// what became of them.
//
// Sending one takes a Client, which the engine has, a Request, which says what is sent and where,
// and an Exchange, which lives until the outcome is known:
//
//	type call struct {
//		exchange uac.Exchange
//		// …
//	}
//
//	// Done implements uac.Handler.
//	func (c *call) Done(final *wire.Message, err error) { … }
//
//	r := uac.Request{Flow: flow, SentBy: sentBy, Method: "MESSAGE", URI: contact}
//	r.ContentType, r.Body = "text/plain", body
//	r.SetAOR("101@example.com")
//	err := client.Send(&c.exchange, &r, c, nil)
//
// Done is called once, unless Send has returned an error: with the final response, or with the
// reason why there is none. It is called by the transaction layer, with no lock held, and must not
// block. Nothing waits meanwhile: there is no goroutine and no timer for a request, only its
// transaction. An Exchange that is part of the sender's own state costs no allocation, and a
// Request can be used again as soon as Send has returned.
//
// Three things are decided here, once for all requests:
//
// Size. A request goes the way its phone registered over, whatever its size: RFC 3261 §18.1.1 would
// have one of more than MaxDatagram bytes go over TCP, where few phones listen, and none behind a
// NAT. IP takes it there in pieces. Request.BodyRoom tells who can say it in fewer words, or would
// rather not, how much fits.
//
// Retransmissions. Where nobody has shown that he receives what is sent there, the request is
// repeated a few times only (transaction.UnvalidatedRetransmits), and one of more than MaxDatagram
// bytes not at all, so that a forged address gets little from us.
//
// Challenges. A 401 or 407 is answered once, with the same Call-ID, tag and To, the next CSeq and a
// new branch (RFC 3261 §22.2). A second challenge, be it for a nonce that has become stale, is
// final like any other response: each request begins anew, no nonce is kept, and its count is
// always 1. What is signed, and for whom, Credentials says.
package uac
