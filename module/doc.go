// Package module is the SIP app: servers, routes, and the interfaces that handlers, matchers and
// storage engines implement.
package module
