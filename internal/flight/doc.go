// Package flight does slow work, such as a DNS look-up or the opening of a connection, once for all
// who want its result at the same time.
//
// They wait as callbacks, not as goroutines, so that a thousand requests for one dead destination
// cost one goroutine. What failed is not tried again at once, but fails for a while. How much is
// under way, how much waits, and how much one user may have of both is bounded by quotas. Callbacks
// run without the group's lock held.
package flight
