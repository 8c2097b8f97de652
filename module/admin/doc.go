// Package admin is the admin API of the SIP app: registrations, keys, messages, bans, events and a
// backup, as JSON over HTTP. openapi.json describes it, docs/admin.md explains it.
//
// [Handler] serves it anywhere. Importing the package also mounts it on Caddy's admin endpoint, as
// the module admin.api.sip. Whoever may send it a request may do anything: it has no sign-in of its
// own, so what it is mounted behind must have one.
package admin
