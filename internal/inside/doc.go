// Package inside is what package module keeps from guests and gives to this repository: the engine
// behind an app, and the flow and the outbox behind a request. Our own handlers, the admin API and
// the tests use it.
//
// The public API of module names no type under internal/, so that a guest can write down everything
// that it is given. A handler that must reach further, because it holds transactions or bindings
// itself, gets there by [AppOf] and [RequestOf].
package inside
