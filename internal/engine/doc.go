// Package engine holds what outlives a configuration: listening sockets and connections, SIP
// transactions, the tables of registrations and phone keys, and the storages these are saved to.
// There is one Engine per process.
//
// A loaded configuration attaches to the engine as a Generation, an immutable value that says which
// listeners, which storage and which limits it wants and which Dispatcher serves its requests.
// Attach opens what is missing and puts the generation in force; Detach takes it out again. The
// engine keeps a stack of generations and serves the one attached last, so that a configuration
// that fails to load in another Caddy app rolls back by being detached. A reload moves no socket
// and drops no connection. A listener that no generation wants any more drains: for the grace
// period (32 s by default, as long as a transaction lives, RFC 3261 §17.1.1.2) it is served by the
// generation that had it last.
//
// The transport calls HandleMessage with each message, on the goroutine that reads the socket. The
// engine parses it, gives a response or a retransmission to its transaction, and a new request to
// the Dispatcher of the generation in force. It refuses what cannot be parsed, what comes from a
// banned source and, under overload, what would start something new. It knows nothing of routes or
// handlers: module implements Dispatcher.
//
// The engine also remembers a few facts about sources, each in a table of fixed size: which UDP
// addresses are validated (see Validated), where users with a right password are (see
// MarkAuthenticated), and which requests answered without a transaction were seen already.
//
// Engine.mu guards the stack of generations, the listeners and the open storages. Attach, Detach,
// SetProfiles and the timer that ends a grace period take it; the path of packets never does: it
// reads the generation in force from an atomic pointer. The locks of the stores, the transport and
// the delivery are taken while Engine.mu is held, never the other way round.
package engine
