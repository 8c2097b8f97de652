// Package events tells subscribers what happens in the server. The last events, 4,096 of at most 4
// MiB together, are remembered, so that a subscriber whose connection broke can continue from
// there.
//
// The engine owns one Bus per process. Publishing never blocks: a subscriber that is too slow gets
// ErrBehind. The admin API streams the events to its clients, and the configuration's event
// handlers read them. An event published with PublishDescriber is put into words only when somebody
// reads it, which keeps it cheap on the path of packets. The bus has one lock, under which it calls
// nothing.
package events
