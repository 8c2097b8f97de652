// Package allocations counts what the server allocates for each request and call, over real sockets.
// Time differs from machine to machine; this doesn't.
package allocations
