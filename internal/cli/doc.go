// Package cli provides the command "sip", which operates a running server through its admin API
// (registrations, keys, bans, events, backup) and prepares its configuration (hash-password,
// import).
//
// cmd/caddysip and every xcaddy build register it with Caddy's command line. It needs no access to
// the server's files or process, only the address of the admin endpoint.
package cli
