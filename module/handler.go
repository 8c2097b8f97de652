package module

// Handler is a SIP handler module (namespace sip.handlers). It answers the request through w, or
// changes it, or acts on it, and calls next to let the handlers behind it have it; a handler that
// leaves a request alone returns next(w, r).
//
// ServeSIP runs on the goroutine that reads the socket and must not block: what may wait (a look-up
// over HTTP, the disk, DNS) goes through Request.Go, and what happens later (responses to a relayed
// request) arrives by callback. w may be used after ServeSIP has returned if Request.Keep was
// called before.
//
// A handler that wants the outcome of what follows passes a wrapped w to next and sees every
// response on its way out. A handler that would answer leaves a request alone that has been
// answered (w.Status() != 0).
//
// An error that is returned reaches the handle_errors routes, and else is answered with its status
// (see Error).
type Handler interface {
	ServeSIP(w ResponseWriter, r *Request, next Next) error
}

// Next is the rest of the chain.
type Next func(w ResponseWriter, r *Request) error

// Matcher is a request matcher module (namespace sip.matchers). Matchers of one set are asked in no
// particular order.
type Matcher interface {
	Match(r *Request) (bool, error)
}

// Compiler is implemented by handlers that are made of other routes. Compile is called once, when
// the configuration is loaded, with what follows the handler.
type Compiler interface {
	Compile(next Next) (Next, error)
}

// ResponseWriter sends the responses to one request. It must not be used by two goroutines at once.
type ResponseWriter interface {
	// WriteResponse sends a response: through the request's transaction when it has one, else
	// statelessly. Provisional responses may precede one final response; what comes after a final
	// response is an error, except further 2xx to an INVITE (RFC 6026). Nothing of res may be kept:
	// its memory, and that of the message that it relays, is the caller's again afterwards.
	WriteResponse(res *Response) error

	// Status returns the status of the final response that was sent, or 0.
	Status() int
}

// Respond sends a response that has nothing but a status. An empty reason means the status's usual
// one.
func Respond(w ResponseWriter, status int, reason string) error {
	return write(w, Response{Status: status, Reason: reason})
}

// write sends a response that most often needs no memory but the stack.
func write(w ResponseWriter, res Response) error {
	if w, ok := w.(*responder); ok {
		return w.WriteResponse(&res)
	}
	inHeap := res
	return w.WriteResponse(&inHeap)
}
