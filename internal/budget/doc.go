// Package budget counts the memory that the server's state takes, and refuses more of it above a
// ceiling.
//
// Whoever holds something for others (bindings, transactions, queues) takes its bytes from the
// Budget first and gives them back when it releases it. Above the ceiling new state is refused,
// with 503 on the wire, while existing state is served. Each Kind may also have a share of its own.
// The engine sets the ceiling from the configuration and exports the figures as metrics. The bytes
// are estimates by the holders; the package does not measure the heap. All counters are atomic:
// there is no lock.
package budget
