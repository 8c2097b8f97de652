// Package transaction is the transaction layer of a server that is a proxy, a UAS and a UAC at
// once: RFC 3261 §17 as corrected by RFC 6026.
//
// A Table holds the transactions. Its owner passes every received message to it:
//
//	if m.IsResponse {
//		table.Response(m, flow, out) // false: a stray response
//	} else if !table.Request(m, flow, out) {
//		// a new request: answer it statelessly, or make a transaction with NewServer
//	}
//
// A transaction is made only when somebody needs one: NewServer for a request that is answered
// later or forwarded, NewClient for a request that is sent. It is driven by calls and by the one
// timer goroutine of the table. There is no goroutine and no runtime timer per transaction, and all
// that is kept of a message is its bytes.
//
// # Handlers
//
// A ServerHandler or ClientHandler is called by Request, by Response and by the timer goroutine,
// never by another function of this package: whoever calls NewServer, NewClient, Respond or Cancel
// may hold a lock that its handler takes. No lock of this package is held while a handler runs, and
// the calls to the handler of one transaction come one after the other. A handler must not block,
// and must not call Close.
//
// # Limits
//
// The number of transactions is limited (Options.Max, or the limits of the flow's listener), and so
// is their memory (Options.Budget). One source gets at most half of the memory, and half of the
// number of a listener, unless it is trusted. To a UDP address that may be forged, little is sent
// again (UnvalidatedRetransmits).
package transaction
