// Package quota divides a bounded number of slots among users, so that one of them, or a few,
// cannot take them all. The workers, flight, the transport and proxy use it for what waits or is
// under way. A user is whatever text the caller chooses, usually an account or a source address.
// One mutex guards a Quota.
package quota
