// Package delivery brings the function keys to the phones. For each registered Snom phone it knows
// which keys the phone has acknowledged, compares that with what the phone should show, and sends
// what differs, one MESSAGE at a time.
//
// Whatever may change what a phone should show, a registration or a record, puts the user's
// address-of-record into the inbox. One goroutine, the scheduler, takes it out, reconciles the
// user's phones with their registrations, and puts those that may lack something into a queue. When
// a phone's turn comes, what it lacks is found out and sent: that is a flight, which ends with the
// phone's answer, or without one. A phone that failed is asked again later.
//
// A phone at rest costs its bytes and nothing else: no goroutine, no timer. What is to be sent is
// found out when its turn comes, so a key that changes five times while a message is on its way is
// sent once more, with the newest record.
package delivery
