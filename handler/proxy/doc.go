// Package proxy is the proxy of RFC 3261 §16: it relays requests to registered phones, or to given
// servers.
package proxy
