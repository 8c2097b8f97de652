// Package moduletest helps to test handlers and matchers without a network.
//
// A matcher needs a request. A handler needs a writer, which [Recorder] is, and something behind
// it, which [Next] is:
//
//	func TestRefuse(t *testing.T) {
//		r := moduletest.Request(t, moduletest.Invite, moduletest.From("198.51.100.1:5060"))
//		var w moduletest.Recorder
//		var next moduletest.Next
//		if err := (&Refuse{Number: "alice"}).ServeSIP(&w, r, next.Serve); err != nil {
//			t.Fatal(err)
//		}
//		if w.Status() != 403 || next.Calls != 0 {
//			t.Errorf("status %d, next was called %d times", w.Status(), next.Calls)
//		}
//	}
//
// [Request] takes a message with LF line ends. [App] provisions the JSON of an app without opening
// its listeners, and [To] lets a request come to one of its servers; [Load] returns the error of a
// configuration instead of failing the test. For a whole server on real sockets see
// handler/handlertest; docs/testing.md covers both.
package moduletest
