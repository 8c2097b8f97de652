// Package clock keeps time when the system's clock is set: by hand, by NTP on a board that starts in
// 1970, or by a host that lets a machine go on which it had stopped.
//
// While the process lives, its stores count by a Clock, which goes on as if nothing had happened:
// what was to last ten minutes lasts ten minutes. The time of the system's clock, the wall time, is
// for what others read: what is stored, since the next process has no other, and what people see.
// When the clock has been set, Check says so, and what is stored with a time is to be written again.
package clock
