// Package routetoken is the token in the server's Record-Route values: which call it is for, where
// the two ends of the call are, and when it was made. Because it is signed, a request within a call
// can be judged without state: who may send it, and where it leads.
//
// When a call is set up, Signer.Append writes a Token to the user part of the Record-Route.
// Requests within the call bring it back in Route (RFC 3261 §16.12), where Signer.ReadRoutes reads
// it: Routes says what the sender is entitled to (Standing), and from which end to which the
// request goes. Calls remembers the calls that have ended, whose tokens are not valid any more.
package routetoken
