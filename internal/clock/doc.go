// Package clock keeps time while the system's clock is set: by hand, by NTP on a board that starts
// in 1970, or by the host of a virtual machine that was suspended.
//
// While the process lives, its stores use a Clock, which goes on as if nothing had happened: what
// was to last ten minutes lasts ten minutes. The time of the system's clock, the wall time, is for
// others: it is stored, since the next process has no other, and shown to people. When the clock
// has been set, Check reports it, and everything that is stored with a time must be written again.
package clock
