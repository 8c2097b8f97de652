// Package flight does slow work, such as a DNS look-up or opening a connection, once for all who
// want its result at the same time.
//
// Callers wait as callbacks, not as goroutines, so that a thousand requests for one dead
// destination cost one goroutine. Work that has failed is not tried again for some seconds;
// meanwhile callers get the error at once. Quotas limit the work under way and the callbacks, in
// all and for each user. The group's lock is not held while a callback runs.
package flight
