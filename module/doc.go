// Package module is the SIP app: servers, routes, and what handlers, matchers, storages and
// authentication providers implement and are given.
//
// A handler is a Caddy module in the namespace sip.handlers with one method. This one answers calls
// from a number with 403, and lets everything else go on:
//
//	func (h *Refuse) ServeSIP(w module.ResponseWriter, r *module.Request, next module.Next) error {
//		_, from := r.From()
//		if r.Is("INVITE") && string(from.User) == h.Number {
//			return module.Respond(w, 403, "")
//		}
//		return next(w, r)
//	}
//
// What it finds at hand:
//
//   - [Request] is what came: its text as a view that package wire reads, where it came from, who has
//     authenticated, variables and placeholders. Its bytes are valid until ServeSIP returns; Keep
//     makes them last.
//   - [ResponseWriter] answers it. A handler that wants to know what becomes of a request hands the
//     next one a writer of its own, and sees the responses pass.
//   - [App], which [AppFrom] returns while a module is provisioned, knows the domains that are
//     served and where users are registered ([App.Bindings]), sets the function keys of their phones
//     ([App.SetKeys]) and sends them requests ([App.Send]).
//   - [Server], which [ServerFrom] returns, is the one that the module's routes belong to.
//
// A handler runs on the goroutine that reads the socket, so it must not block: what may wait is run
// by [Request.Go], or by [Request.Background] if nobody waits for it. What it returns as an error is
// answered with the status that it has, see [Error].
//
// The guides in docs/ show one of each kind of module, with its tests: docs/handler.md first. What
// may change from one version to the next is in docs/stability.md.
package module
